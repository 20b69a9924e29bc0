"""The seam to a Lightning node: what a backend is asked, what it answers, and what it can do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from kitestring.base.destinations import Destination
from kitestring.base.money import ZERO, Msat
from kitestring.base.payments import LookupAnswer, PayAnswer


class Capabilities(msgspec.Struct, frozen=True, gc=False):
    """The abilities of a backend; the engine never guesses. A capability that is declared is relied upon with money.

    - ``own_preimage``: takes our preimage for an invoice. Without it a crash in between makes a second invoice, and a
      payment inside the service has no preimage to show
    - ``idempotent_by_hash``: the same hash sent twice pays once, also at the same moment, also after a restart of the
      node. Only then is an order sent again whose answer got lost
    - ``authoritative_lookup``: NeverSeen is the word of the database that orders are written to before they are sent
      on: no second database, no replica. Only then may "never sent" be concluded
    - ``payment_index``: the node counts its payments, and the count falls when records are lost. Without it "never
      seen" is believed by the process alone that has sent the order, and by nobody after a restart
    - ``fee_cap``: the node never spends more on fees than the order allows. Nothing asks for it yet: the engine always
      sends the cap, reserves it, and books the truth if the node spends more
    - ``amountless``: makes and pays invoices without an amount
    - ``description_hash``: makes invoices that carry only the hash of a description
    - ``sub_sat``: amounts below one sat
    - ``keysend``: pays a node by its key alone, with a preimage of ours
    - ``payment_slots``: so many payments may be under way at once before one waits for another to end; 0: as many as
      the service allows. A payment that waits there has been claimed, so the service begins no more than these
    - ``hold``: makes invoices of a hash whose preimage it does not know, and keeps what is paid to them until it is
      told to settle or to cancel. The backend is a :class:`HoldBackend` then
    - ``cancel``: ends an open invoice when it is told to. Without it an invoice can be taken back by nobody: it stays
      open until it expires
    - ``sign_message``: signs texts with the node's own key. The backend is a :class:`SigningBackend` then
    - ``bolt12``: nothing asks for it yet
    """

    own_preimage: bool
    idempotent_by_hash: bool
    authoritative_lookup: bool
    fee_cap: bool
    amountless: bool
    description_hash: bool
    sub_sat: bool = True
    hold: bool = False
    cancel: bool = False
    keysend: bool = False
    bolt12: bool = False
    payment_index: bool = False
    sign_message: bool = False
    payment_slots: int = 0

    @property
    def names(self) -> frozenset[str]:
        """The abilities that are there, by their names."""
        return frozenset(name for name, is_there in msgspec.structs.asdict(self).items() if is_there)

    @property
    def repeats_safely(self) -> bool:
        """Whether an order whose answer got lost may be sent again once the node shows that it is not at work on it."""
        return self.authoritative_lookup and self.idempotent_by_hash


class NodeInfo(msgspec.Struct, frozen=True, gc=False):
    """``network`` is ``bitcoin``, ``testnet``, ``signet`` or ``regtest``; ``node_id`` is the node's public key.

    ``told_at`` is the node's own time when it answered (Unix seconds), from its clock and nobody else's; 0 where it
    does not say. Headers of blocks are none: their times are hours off.
    """

    node_id: str
    alias: str
    color: str
    network: str
    block_height: int
    block_hash: str
    told_at: int = 0


class NodeBalance(msgspec.Struct, frozen=True, gc=False):
    """The amounts that can go out and come in now. Rounded against the owner: never more than is really possible.

    ``owned_msat`` is what is on the node's own side of all its channels, also of those that are not active now, and
    with what they must keep back: where the money is, whether or not it can be sent.
    """

    spendable_msat: Msat
    receivable_msat: Msat
    owned_msat: Msat


class PayOrder(msgspec.Struct, frozen=True, gc=False):
    """``amount_msat`` is given to the node for everything but an invoice that names it. ``timeout_s`` bounds the node's
    own search. A ``Keysend`` comes only to a backend that declares ``keysend``.

    An invoice was read and its network, amount and expiry checked. Its signature was **not**: that is the node's part.
    """

    destination: Destination
    payment_hash: str
    amount_msat: Msat
    fee_cap_msat: Msat
    timeout_s: int


class InvoiceOrder(msgspec.Struct, frozen=True, gc=False):
    """``amount_msat`` None leaves the amount to the payer. One of ``description`` and ``description_hash`` (64 hex
    digits) is "". ``preimage`` is 64 hex digits where the backend has ``own_preimage``, else ""."""

    amount_msat: Msat | None
    description: str
    description_hash: str
    expiry_s: int
    preimage: str


class HoldOrder(msgspec.Struct, frozen=True, gc=False):
    """An invoice of a payment hash (64 hex digits) whose preimage only somebody else knows. One of ``description`` and
    ``description_hash`` is "". ``min_cltv_delta`` is the number of blocks that a payment must leave for the decision,
    0: as the node does it."""

    payment_hash: str
    amount_msat: Msat
    description: str
    description_hash: str
    expiry_s: int
    min_cltv_delta: int = 0


class NodeInvoice(msgspec.Struct, frozen=True, gc=False):
    """``expires_at`` is Unix seconds, as the invoice says it, not as it was ordered."""

    bolt11: str
    payment_hash: str
    expires_at: int


class NodeInvoiceState(StrEnum):
    """The state of an invoice at the node. What is held and not taken is no balance."""

    UNKNOWN = "unknown"  # there is no such invoice
    OPEN = "open"
    ACCEPTED = "accepted"  # all of it is paid, and held until somebody settles or cancels
    SETTLED = "settled"
    CANCELED = "canceled"  # also expired: the node refuses every payment of it


class NodePaymentState(StrEnum):
    """The state of an outgoing payment in the node's own list."""

    OPEN = "open"
    SETTLED = "settled"
    FAILED = "failed"


#: The steps that an invoice takes at the node, as far as anybody may rely on it.
INVOICE_STEPS: Final[dict[NodeInvoiceState, frozenset[NodeInvoiceState]]] = {
    NodeInvoiceState.UNKNOWN: frozenset({NodeInvoiceState.OPEN}),
    NodeInvoiceState.OPEN: frozenset({NodeInvoiceState.ACCEPTED, NodeInvoiceState.SETTLED, NodeInvoiceState.CANCELED}),
    NodeInvoiceState.ACCEPTED: frozenset({NodeInvoiceState.SETTLED, NodeInvoiceState.CANCELED}),
    NodeInvoiceState.SETTLED: frozenset(),
    NodeInvoiceState.CANCELED: frozenset(),
}
#: The steps of a payment there. After a failure the same hash may be sent again.
PAYMENT_STEPS: Final[dict[NodePaymentState, frozenset[NodePaymentState]]] = {
    NodePaymentState.OPEN: frozenset({NodePaymentState.SETTLED, NodePaymentState.FAILED}),
    NodePaymentState.SETTLED: frozenset(),
    NodePaymentState.FAILED: frozenset({NodePaymentState.OPEN}),
}


class InvoiceStatus(msgspec.Struct, frozen=True, gc=False):
    """``received_msat`` may be more than was asked for; of an accepted invoice it is what is held. ``settle_deadline``
    is the height of the block with which the first of what is held goes back to its payer. What a state does not have
    is "" or 0."""

    state: NodeInvoiceState
    bolt11: str = ""
    received_msat: Msat = ZERO
    settled_at: int = 0
    preimage: str = ""
    expires_at: int = 0
    settle_deadline: int = 0

    def __post_init__(self) -> None:
        """Refuse a mere text with TypeError: what is compared with a state would not be it, and money not credited."""
        if type(self.state) is not NodeInvoiceState:
            raise TypeError("the state of an invoice is a NodeInvoiceState")


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """One settled invoice from the stream; ``cursor`` resumes right after it."""

    payment_hash: str
    received_msat: Msat
    settled_at: int
    preimage: str
    cursor: bytes


class NodePayment(msgspec.Struct, frozen=True, gc=False):
    """One outgoing payment in the node's own list."""

    payment_hash: str
    state: NodePaymentState
    amount_msat: Msat
    fee_msat: Msat
    preimage: str

    def __post_init__(self) -> None:
        """Refuse a mere text with TypeError, as :class:`InvoiceStatus` does."""
        if type(self.state) is not NodePaymentState:
            raise TypeError("the state of a payment is a NodePaymentState")


class FindingState(StrEnum):
    """The gravity of a finding: what warns should be mended, what fails does not work, the rest is well."""

    OK = "ok"
    INFO = "info"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of ``kitestring doctor``: what was looked at (one word), how it is, and what to do about it.

    The sentence may name files and hosts, never a secret.
    """

    name: str
    state: FindingState
    sentence: str


class NodeUnreachableError(Exception):
    """Could not connect at all: the only exception that proves that the node was never asked.

    A connection that was made and broke, however early, is another exception.
    """


class HashTakenError(Exception):
    """The node has an invoice of this payment hash already, whoever made it."""


class OtherNodeError(NodeUnreachableError):
    """Another node answers at the address than the one that this backend spoke to first: it was asked nothing."""


class Backend(Protocol):
    """One Lightning node or wallet, and one connection to it.

    Every method but :meth:`findings` needs :meth:`open` first, and raises NodeUnreachableError before it and after
    :meth:`close`. Methods may raise anything else: the engine reads every exception about a payment but
    NodeUnreachableError as Unknown, and asks again. So a backend translates nothing that it does not understand,
    **and never says Failed without the node's own final word**. All methods may be called at once, any number of
    times; each has time limits of its own, no longer than the engine's 300 s (payments) and 60 s (questions). Being
    cancelled never undoes what the node was told.

    How to write one: ``docs/how-to/write-a-backend.md``. All of this is checked by ``tests/contract``.
    """

    capabilities: Capabilities

    @property
    def node_id(self) -> str:
        """The node that was spoken to last, as :attr:`NodeInfo.node_id`; "" before the first conversation.

        Whoever keeps connections asks for it on each new one, **before** anything else is sent there, and drops the
        kept ones where it is another than before. While it is another than the first, everything but :meth:`info` and
        :meth:`findings` raises OtherNodeError, and no node is asked: the other one knows nothing of our payments, and
        would carry out what the first one has carried out already.
        """
        ...

    async def open(self) -> None:
        """Make ready to ask. Raises KitestringError where it can never work (a file that is something else).

        A node that is down is no reason to fail: it may come back while the service runs.
        """
        ...

    async def close(self) -> None:
        """Let go of every connection. A second time, and before :meth:`open`, it does nothing. Never raises."""
        ...

    async def findings(self) -> tuple[Finding, ...]:
        """Lines of ``kitestring doctor`` about this node, beyond "it answers": a credential that may do too much or too
        little, a version with a known fault. () where there is nothing to say.

        Works before :meth:`open` and while the node is away, and then says what is known without it: the doctor also
        asks when no service runs. Never raises; what could not be looked at is a finding.
        """
        ...

    async def info(self) -> NodeInfo:
        """The node's identity, asked anew at each call, on a connection of its own. ``node_id`` names the books:
        another id is another node, whose payments and invoices are not ours, so it is never a placeholder and never
        changes with the address."""
        ...

    async def balance(self) -> NodeBalance:
        """The amounts that can be sent and received now, without those in flight and those the channels must keep back;
        and what is owned, without what is in flight.

        While less is owned than the accounts are owed, the service stops spending: say rather too little than too
        much, but not 0 because the question failed, nor because the peers are not connected yet.
        """
        ...

    async def pay(self, order: PayOrder) -> PayAnswer:
        """Pay once per hash, with at most ``fee_cap_msat`` of fees, and wait for the end.

        - Settled only with the preimage of this very hash
        - Failed only where the node says that this payment has ended or was never begun. **An invoice whose signature
          no key can be recovered from, or which is not that of the node it names, is refused for good**: nobody else
          looks. So are an expired invoice and one of another network
        - "already exists" and the like mean: look it up, and say what has become of that one; never Failed. If that one
          failed, ``attempt_at`` is None, because this order was not taken
        - InFlight when the node is still trying after ``timeout_s``
        - Unknown, or any exception, for whatever else: a broken or late answer, an error of a kind that the backend
          does not know, an answer about another hash
        - NodeUnreachableError only if not one byte of the order was sent. A second question inside this method that
          cannot connect is no such case
        """
        ...

    async def lookup_payment(self, payment_hash: str) -> LookupAnswer:
        """Look up a payment now, without waiting for its end.

        NeverSeen only for the node's own "there is none", dated before the question was asked. Failed with
        ``attempt_at`` where the node dates its attempts. Any error is an exception or Unknown, never one of these.
        """
        ...

    async def track(self, payment_hash: str) -> LookupAnswer:
        """As :meth:`lookup_payment`, but wait for the end of a payment that is in flight; may give up after a while
        with InFlight or Unknown, and is then asked again. Of a payment that the node does not know it says so at once.
        """
        ...

    async def payment_index(self) -> int:
        """The node's own count of outgoing payments, failed and unfinished ones too. With ``payment_index`` only.

        It never falls while the node keeps what it knows, and a new attempt of a hash that has failed may leave it
        where it is. It falls when records are deleted, when the node is restored from a copy, and when it begins with
        an empty database: a *number* that goes on growing after such a loss, as sequence numbers do, is no count. It
        is stored with each claim, at most a minute old; 0 stands for an empty list and proves nothing.
        """
        ...

    async def make_invoice(self, order: InvoiceOrder) -> NodeInvoice:
        """An invoice with exactly what was ordered. With ``own_preimage`` the same preimage gives the same invoice
        again ("already exists" is looked up); without it every call may make another one.

        Raises when the node cannot make it so. An invoice that lacks something of the order is no answer.
        """
        ...

    async def cancel_invoice(self, payment_hash: str) -> InvoiceStatus:
        """Cancel an invoice that is still open, or whose payment is held, and say its state afterwards: ``settled`` if
        the payer was faster, ``unknown`` if there is none. Never ``canceled`` before the node refuses a payment of it
        for certain, and gives back what it held: a payment inside the service moves the money at that word. Raises when
        it is still open or accepted afterwards."""
        ...

    async def lookup_invoice(self, payment_hash: str) -> InvoiceStatus:
        """The state of one invoice of this node. ``unknown`` only for the node's own "there is none"; any error is an
        exception."""
        ...

    def settlements(self, cursor: bytes) -> AsyncIterator[Settlement]:
        """Settled invoices after ``cursor``, each once, in the order in which they settled, forever.

        Each carries the cursor to resume right after it, opaque to everybody else and stored with the credit. b"" =
        from now on, or from the beginning where the node can. A cursor whose settlement the node does not know any more
        is of another epoch (a new database numbers from the beginning again): then everything that is settled is told.
        Nothing is left out because of its number. Missing one loses a receipt; naming one twice, or one that is not
        ours, is harmless. Raises when the connection breaks; it is called again with the last cursor, and
        every open invoice is looked up besides. A stream that may be dead without a sign is made again in silence.
        """
        ...

    def list_payments(self) -> AsyncIterator[NodePayment]:
        """Every outgoing payment the node ever tried, failed and unfinished ones too, oldest first, in pages: there may
        be a million. For ``audit --node``."""
        ...

    def list_invoices(self) -> AsyncIterator[tuple[str, InvoiceStatus]]:
        """(payment hash, status) of every invoice the node ever made, in pages. For ``audit --node``."""
        ...

    async def own_books(self) -> tuple[str, ...]:
        """Errors in the node's own bookkeeping, one sentence each, for ``audit --node``: () where it is right,
        or where the node shows no more than its lists."""
        ...


class HoldBackend(Backend, Protocol):
    """The rest of a backend with the capability ``hold``. The payment of such an invoice is held by the node,
    ``accepted``, until :meth:`settle_invoice` or :meth:`Backend.cancel_invoice`, or until the node gives it back by
    itself, which it does before it loses it at ``settle_deadline``."""

    async def make_hold_invoice(self, order: HoldOrder) -> NodeInvoice:
        """An invoice with exactly what was ordered. Raises HashTakenError where the node has one of this hash already,
        in whatever state: what is paid to that one may be somebody else's. Otherwise as :meth:`Backend.make_invoice`.
        """
        ...

    async def settle_invoice(self, preimage: str) -> InvoiceStatus:
        """Take what is held for the hash of this preimage (64 hex digits), and say the state afterwards: ``settled``
        also where it was before, ``open`` where nobody has paid, ``canceled`` where it has gone back, ``unknown`` if
        there is none. Raises when it is still accepted afterwards."""
        ...

    async def track_invoice(self, payment_hash: str, seen: NodeInvoiceState) -> InvoiceStatus:
        """As :meth:`Backend.lookup_invoice`, but wait until the state is another than ``seen``; gives up after a while,
        and is then asked again."""
        ...


class SigningBackend(Backend, Protocol):
    """The rest of a backend with the capability ``sign_message``."""

    async def sign_message(self, message: str) -> str:
        """The recoverable signature of ``message`` by the key of the node, in the form of
        :mod:`kitestring.codec.signed_message`."""
        ...
