"""Rows of the ledger as values. Times are Unix seconds; ids are texts that the ledger never interprets."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from kitestring.base.currency import ExchangeRate
from kitestring.base.destinations import Destination
from kitestring.base.invoices import Decision, InvoiceState, holders
from kitestring.base.money import ZERO, Msat
from kitestring.base.payments import State


class Request(msgspec.Struct, frozen=True, gc=False):
    """One claimed request. ``request_id`` is a Nostr event id or an owner's idempotency key, consumed once, forever.

    ``command`` is the frozen neutral command, ``reply_to`` belongs to the wire and is opaque here. ``sent_at`` is the
    sender's time: what is older than the pruned horizon is refused. ``grant_id`` is "" for strangers (offers).
    """

    request_id: str
    wire: str
    grant_id: str
    command: bytes
    reply_to: bytes
    sent_at: int
    received_at: int
    payment_id: str = ""


#: The wire of requests that are commands of the owner, by whatever door.
CONTROL_WIRE: Final = "control"
#: What a request waits for whose parts have requests of their own, in the place of the id of a payment.
BUNDLE: Final = "bundle"
#: Kinds of messages that answer a request: its one reply, and the receipt of the invoice it asked for.
REPLY: Final[str] = "reply"
RECEIPT: Final[str] = "receipt"
#: The kind of message that is a line of the service's log, mostly an alarm.
LOG: Final[str] = "log"
#: The kind of message that tells an app of a payment of its own: ``plaintext`` is the type and the id of the payment or
#: invoice, ``address`` the grant. What is sent is written when it is sent.
NOTIFICATION: Final[str] = "notification"


class Message(msgspec.Struct, frozen=True, gc=False):
    """Something that somebody must be told. ``kind`` chooses its deliverer, ``address`` is for that deliverer to read
    (a wire's ``reply_to``, a grant, a URL). ``request_id`` is the request it answers, "" for none.

    ``event`` is the signed wire form, b"" when nothing is to be sent (the owner's control socket reads the stored
    answer). ``signed_at`` is the event's own time. ``is_no``: it refuses, so whoever reads it may pay in another way.
    """

    request_id: str
    kind: str
    plaintext: bytes
    event: bytes
    signed_at: int
    address: bytes = b""
    is_no: bool = False


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A message in the outbox. ``number`` grows in the order of the commits; ``attempts`` are those that failed."""

    number: int
    message: Message
    attempts: int = 0


class Payment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One outgoing payment. ``fee_cap_msat`` and ``service_fee_msat`` are reserved with the amount; ``fee_msat`` is
    what routing really cost, and the other what the service takes if it settles, as it was decided at the claim. After
    ``send_until`` (Unix seconds) its order is not given to the node any more. ``payment_index`` is the node's own count
    of payments, seen some time before the claim; None where the node has none or could not tell. ``requestor`` is the
    public key that asked for it where several may use one grant, else "": nobody else is told of it."""

    payment_id: str
    node_id: str
    epoch: int
    account_id: str
    grant_id: str
    payment_hash: str
    destination: Destination
    amount_msat: Msat
    fee_cap_msat: Msat
    created_at: int
    send_until: int
    state: State = State.RESERVED
    internal: bool = False
    expires_at: int = 0
    description: str = ""
    description_hash: str = ""
    metadata: str = ""
    payment_index: int | None = None
    fee_msat: Msat = ZERO
    preimage: str = ""
    evidence: str = ""
    settled_at: int | None = None
    requestor: str = ""
    service_fee_msat: Msat = ZERO

    @property
    def reserved_msat(self) -> Msat:
        """The amount held for it while it is open: the most that it was allowed to cost."""
        return Msat(int(self.amount_msat) + int(self.fee_cap_msat) + int(self.service_fee_msat))


class OwnInvoice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One incoming invoice. ``request_id`` is the request that asked for it; a receipt reuses its ``reply_to``.
    ``preimage`` is set when we drew it ourselves, when the node told it at settlement, or with the decision to settle.
    ``payer`` tells the payers of an offer apart, and says nothing about any of them. ``zap`` is the zap request
    (NIP-57) that it answers, as it was received, "" for none; ``rate`` is the one that it was priced with.

    ``hold_blocks`` above 0 makes it a hold invoice: so many blocks a payment leaves for the ``decision``. While it is
    accepted, the payment goes back at the height ``settle_deadline``; ``held_by`` is the payment of this service that
    is held, "" for one that the node holds. ``is_warned``: the owner was told that the deadline is near."""

    invoice_id: str
    node_id: str
    epoch: int
    account_id: str
    grant_id: str
    payment_hash: str
    bolt11: str
    amount_msat: Msat | None
    created_at: int
    expires_at: int
    state: InvoiceState = InvoiceState.OPEN
    preimage: str = ""
    description: str = ""
    description_hash: str = ""
    metadata: str = ""
    offer_id: str = ""
    payer_data: str = ""
    zap: str = ""
    rate: ExchangeRate | None = None
    request_id: str = ""
    received_msat: Msat | None = None
    settled_at: int | None = None
    internal: bool = False
    payer: str = ""
    hold_blocks: int = 0
    decision: Decision = Decision.NONE
    settle_deadline: int | None = None
    held_by: str = ""
    is_warned: bool = False

    @property
    def is_hold(self) -> bool:
        """Whether its payment waits for a decision."""
        return self.hold_blocks > 0

    @property
    def holders(self) -> tuple[str, ...]:
        """The names under which it counts while it waits."""
        return holders(self.grant_id, self.offer_id, self.payer)


class AccountMove(msgspec.Struct, frozen=True, gc=False):
    """Money that the owner has moved between two accounts (their ids); nothing of it moved on the Lightning network."""

    from_account: str
    to_account: str
    amount_msat: Msat
    note: str
    at: int


class Node(msgspec.Struct, frozen=True, gc=False):
    """A Lightning node this service stands on, or stood on. ``cursor`` is the settled stream's opaque position."""

    node_id: str
    epoch: int
    backend: str
    network: str
    cursor: bytes = b""


class NodeView(msgspec.Struct, frozen=True, gc=False):
    """The node's spendable balance, and the service's ``spent`` counter read *before* the node was asked; beside them
    the node's count of payments, as of then or a little earlier, if it has one."""

    spendable_msat: Msat
    spent_mark_msat: Msat
    payment_index: int | None = None


class StopCause(StrEnum):
    """The causes for which spending stops. Each cause stops and allows for itself."""

    DRIFT = "drift"  # the node holds less than the accounts are owed; goes by itself
    NODE = "node"  # another node answers at the address of ours; goes by itself when ours is back
    LEDGER = "ledger"  # not provably the ledger that served last; goes with a clean audit, or by the owner's word
    FILE = "file"  # the file under the running service is gone or another one; goes with a start on the right file
    TWIN = "twin"  # another service with this key is alive; goes by the owner's word


class Stop(msgspec.Struct, frozen=True, gc=False):
    """Spending is stopped since ``at`` (Unix seconds), and ``why`` in a sentence."""

    cause: StopCause
    why: str
    at: int


class Generation(msgspec.Struct, frozen=True, gc=False):
    """The point to which a ledger has come. The numbers only grow; ``ledger_id`` was drawn when the ledger was made, or
    at ``since`` (Unix seconds), when the owner let it go on in the place of a newer one."""

    ledger_id: str
    events: int
    messages: int
    payments: int
    transfers: int
    since: int = 0

    @property
    def is_blank(self) -> bool:
        """Whether no money was ever moved in it, so that nothing can have been lost."""
        return not (self.payments or self.transfers)

    def misses(self, other: Generation) -> int:
        """The number of rows that ``other`` has and that were never written here, at least; 0 for none."""
        mine = (self.events, self.messages, self.payments, self.transfers)
        theirs = (other.events, other.messages, other.payments, other.transfers)
        return sum(max(0, there - here) for here, there in zip(mine, theirs, strict=True))


class Charge(msgspec.Struct, frozen=True, gc=False):
    """A budget charge, computed by policy: the bucket the amount falls into and the oldest bucket that still counts.

    Buckets below ``oldest`` have left the window. A calendar budget has one bucket, its period's start: then both are
    the same, and ``ends`` is the end of that period (0 of any other budget). It was computed at ``at``.
    """

    grant_id: str
    amount_msat: Msat
    limit_msat: Msat
    bucket: int
    oldest: int
    budget_id: int = 0
    ends: int = 0
    at: int = 0
