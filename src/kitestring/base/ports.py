"""The seams: everything the engine needs from outside is injected through one of these."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from kitestring.base.commands import ListTransactions, Outcome, Transaction
from kitestring.base.grants import Account, Grant, Offer
from kitestring.base.ledger import (
    Invoice,
    Message,
    Node,
    Payment,
    Request,
    Tx,
    TxAnswer,
)
from kitestring.base.money import ZERO, Msat
from kitestring.base.payments import LookupAnswer, PayAnswer


class Clock(Protocol):
    """Wall time is for freshness and rows; ordering and waiting use the monotonic clock."""

    def now(self) -> int:
        """Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin."""
        ...

    async def sleep(self, seconds: float) -> None: ...


Entropy = Callable[[int], bytes]

# ---------------------------------------------------------------- backend


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do; the engine never guesses.

    ``own_preimage``: takes our preimage for an invoice. ``idempotent_by_hash``: the same hash sent twice pays once.
    ``authoritative_lookup``: "never seen" proves that. ``fee_cap``: honours the cap. ``sub_sat``:
    amounts below one sat.
    """

    own_preimage: bool
    idempotent_by_hash: bool
    authoritative_lookup: bool
    fee_cap: bool
    amountless: bool
    description_hash: bool
    sub_sat: bool = True
    hold: bool = False
    keysend: bool = False
    bolt12: bool = False


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """``network`` is ``bitcoin``, ``testnet``, ``signet`` or ``regtest``; ``node_id`` is the node's public key."""

    node_id: str
    alias: str
    color: str
    network: str
    block_height: int
    block_hash: str


@dataclass(frozen=True, slots=True)
class NodeBalance:
    spendable_msat: Msat
    receivable_msat: Msat


@dataclass(frozen=True, slots=True)
class PayOrder:
    """``amount_msat`` is given to the node only for amountless invoices. ``timeout_s`` bounds the node's own search."""

    bolt11: str
    payment_hash: str
    amount_msat: Msat
    amountless: bool
    fee_cap_msat: Msat
    timeout_s: int


@dataclass(frozen=True, slots=True)
class InvoiceOrder:
    """``preimage`` is 64 hex digits where the backend has ``own_preimage``, else ""."""

    amount_msat: Msat | None
    description: str
    description_hash: str
    expiry_s: int
    preimage: str


@dataclass(frozen=True, slots=True)
class NodeInvoice:
    bolt11: str
    payment_hash: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class InvoiceStatus:
    """``state``: ``open``, ``settled``, ``canceled`` (also expired at the node) or ``unknown`` (no such invoice)."""

    state: str
    bolt11: str = ""
    received_msat: Msat = ZERO
    settled_at: int = 0
    preimage: str = ""
    expires_at: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """One settled invoice from the stream; ``cursor`` resumes right after it."""

    payment_hash: str
    received_msat: Msat
    settled_at: int
    preimage: str
    cursor: bytes


@dataclass(frozen=True, slots=True)
class NodePayment:
    """One outgoing payment in the node's own list. ``state``: ``settled``, ``failed`` or ``open``."""

    payment_hash: str
    state: str
    amount_msat: Msat
    fee_msat: Msat
    preimage: str


class NodeUnreachableError(Exception):
    """Could not connect at all: the only exception that proves that the node was never asked."""


class Backend(Protocol):
    """One Lightning node or wallet. Methods may raise anything; the engine reads every exception of :meth:`pay` but
    NodeUnreachableError as Unknown. A backend never says Failed without the node's own final word."""

    capabilities: Capabilities

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def info(self) -> NodeInfo: ...
    async def balance(self) -> NodeBalance: ...

    async def pay(self, order: PayOrder) -> PayAnswer:
        """Pay once per hash. "Already exists" means look it up, never Failed."""
        ...

    async def lookup_payment(self, payment_hash: str) -> LookupAnswer: ...

    async def track(self, payment_hash: str) -> LookupAnswer:
        """Wait for the end of a payment that was sent before; may give up with InFlight or Unknown."""
        ...

    async def make_invoice(self, order: InvoiceOrder) -> NodeInvoice:
        """With ``own_preimage`` the same preimage gives the same invoice again ("already exists" is looked up)."""
        ...

    async def cancel_invoice(self, payment_hash: str) -> InvoiceStatus:
        """Cancel if still open; answers the status afterwards."""
        ...

    async def lookup_invoice(self, payment_hash: str) -> InvoiceStatus: ...

    def settlements(self, cursor: bytes) -> AsyncIterator[Settlement]:
        """Settled invoices after ``cursor`` (b"" = from now on, or from the beginning where the node can), for ever."""
        ...

    def list_payments(self) -> AsyncIterator[NodePayment]: ...
    def list_invoices(self) -> AsyncIterator[tuple[str, InvoiceStatus]]: ...


# ---------------------------------------------------------------- store


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose records: of one grant, of one account, or (both empty) everything."""

    grant_id: str = ""
    account_id: str = ""


@dataclass(frozen=True, slots=True)
class Totals:
    """``spent_msat`` only grows (amount + fee of settled outgoing payments); ``sub_accounts_msat`` is their sum of
    credits − posted; ``spending_stopped`` is why the drift breaker is open, or ""."""

    spent_msat: Msat
    sub_accounts_msat: Msat
    owner_pending_msat: Msat
    pending_msat: Msat
    spending_stopped: str
    pruned_before: int


class Store(Protocol):
    """The durable ledger of one service. ``apply`` resolves after the commit (with fsync) that holds the value.

    A failed batch fails every member; nothing of it happened. Raises KitestringError(NODE…/INTERNAL) never for a
    policy answer: those are values. The readers raise KitestringError(INTERNAL) when the database cannot be read.
    """

    async def apply(self, tx: Tx) -> TxAnswer: ...

    async def grants(self) -> list[Grant]: ...
    async def grant(self, grant_id: str) -> Grant | None: ...
    async def accounts(self) -> list[Account]: ...
    async def account(self, account_id: str) -> Account | None: ...
    async def offers(self) -> list[Offer]: ...
    async def offer(self, offer_id: str) -> Offer | None: ...
    async def payment(self, payment_id: str) -> Payment | None: ...
    async def payment_by_hash(self, node_id: str, payment_hash: str) -> Payment | None:
        """The payment that holds the hash, else the newest failed one."""
        ...

    async def has_failed(self, node_id: str, payment_hash: str) -> bool:
        """Whether a payment of this hash has failed at this node."""
        ...

    async def open_payments(self) -> list[Payment]: ...
    async def resolved_payments(self) -> list[Payment]:
        """Those that the operator closed without proof: the truth about them may still come."""
        ...

    async def waiting(self, payment_id: str) -> list[Request]:
        """Unanswered requests that wait for this payment."""
        ...

    async def invoice_by_hash(self, node_id: str, payment_hash: str) -> Invoice | None: ...
    async def invoices(
        self, state: str, *, after: Invoice | None = None, limit: int = 0, expires_before: int = 0
    ) -> list[Invoice]:
        """Invoices in this state, those that expire first first (the settled in the order they were made).

        ``limit`` 0 is all of them: there may be many thousands, so what walks through them on the loop asks for a
        page at a time and names the last invoice it got as ``after``; it may see one twice, but misses none.
        ``expires_before`` 0 is at any time.
        """
        ...

    async def request(self, request_id: str) -> Request | None: ...
    async def running_requests(self) -> list[Request]:
        """Claimed and unanswered, oldest first."""
        ...

    async def messages(self, request_id: str) -> tuple[Message, ...]: ...
    async def unpublished(self, limit: int) -> list[Message]: ...
    async def transaction(self, scope: Scope, payment_hash: str) -> Transaction | None: ...
    async def transactions(self, scope: Scope, query: ListTransactions) -> list[Transaction]: ...
    async def budget_used(self, grant_id: str, oldest: int) -> Msat: ...
    async def totals(self) -> Totals: ...
    async def node(self, node_id: str) -> Node | None: ...
    async def nodes(self) -> list[Node]:
        """All nodes this service has stood on, the present one (the highest epoch) last."""
        ...

    async def close(self) -> None: ...


# ---------------------------------------------------------------- replies

#: (reply_to, part, outcome, now) -> the finished answer, or None where the wire answers with silence.
Encode = Callable[[bytes, str, Outcome, int], "Encoded | None"]
#: Told about stored messages right after the commit; must not block.
Deliver = Callable[[tuple[Message, ...]], None]


@dataclass(frozen=True, slots=True)
class Encoded:
    plaintext: bytes
    event: bytes
    signed_at: int
