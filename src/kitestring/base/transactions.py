"""Transactions as values, and what a store answers to them.

A value holds no callable, so that a store can apply a batch of them in one commit. Times are Unix seconds and always
given by the caller: a store never reads a clock. The rules behind each field: docs/explanation/money-safety.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from kitestring.base.errors import Reason
from kitestring.base.grants import Account, Grant, Offer
from kitestring.base.money import Msat
from kitestring.base.payments import Failed, Settled, Unknown
from kitestring.base.records import Charge, Invoice, Message, Node, NodeView, Payment, Request

# ---------------------------------------------------------------- transactions


@dataclass(frozen=True, slots=True)
class ClaimPayment:
    """Transaction 1 of a payment: claim the request, compare version, balance and budgets, reserve, store the hash,
    mark dispatched (an internal one stays reserved). ``view`` is needed when the account is the owner's.

    An overdrawn account reserves nothing until a transfer or a credit has covered it; the owner's until a ``view``
    taken after everything that is spent covers what is asked for.

    Stale also when the invoice is an open one of this service and the payment is not internal.

    → Claimed | Finished | Running | Stale | Denied | Joined | AlreadyPaid
    """

    request: Request
    grant_version: int
    payment: Payment
    charges: tuple[Charge, ...] = ()
    view: NodeView | None = None


@dataclass(frozen=True, slots=True)
class RecordPayment:
    """Transaction 2 of a payment: compare-and-set the outcome, post or void, finish the requests in ``messages``.

    ``Unknown`` only moves dispatched → unknown. For an internal payment ``Settled`` also settles our own invoice and
    credits its account. ``messages`` may carry the receipt of that invoice's request.

    → Recorded | InvoiceNotOpen (internal only; nothing was changed). An illegal step raises IllegalStepError.
    """

    payment_id: str
    outcome: Settled | Failed | Unknown
    now: int
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class ResolvePayment:
    """The operator's word about an unknown payment, with a note: releases the reservation (→ resolved)."""

    payment_id: str
    note: str
    now: int


@dataclass(frozen=True, slots=True)
class ClaimInvoice:
    """Transaction 1 of an invoice: claim the request and store the invoice as ``creating`` (hash and preimage are set
    when we draw the preimage ourselves, else ""). ``max_open`` bounds open invoices of this grant or offer.

    → Claimed | Finished | Running | Stale | Denied
    """

    request: Request
    grant_version: int
    invoice: Invoice
    max_open: int = 0


@dataclass(frozen=True, slots=True)
class RecordInvoice:
    """Transaction 2 of an invoice: creating → open with the node's bolt11, reply stored. → Recorded"""

    invoice_id: str
    bolt11: str
    payment_hash: str
    expires_at: int
    now: int
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class DropInvoice:
    """The node never made this invoice: the ``creating`` row goes, the request ends with a refusal. → Recorded"""

    invoice_id: str
    now: int
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """Finish one request with a reply, inserting it if it was never claimed (a refusal, a second asker).

    A claimed request is finished only by who names the payment it waits for (``request.payment_id``, as it is stored);
    to anybody else it is running and nothing is written.

    → Recorded | Finished (it had a reply already, which stays) | Running
    """

    request: Request
    messages: tuple[Message, ...]
    now: int


@dataclass(frozen=True, slots=True)
class Credit:
    """A settlement the node has confirmed. Unique by (service, node, hash); the cursor moves in the same commit.

    An unknown hash is the owner's money. A second payment of an invoice that was settled internally is booked to its
    account as surplus, once. → Credited | AlreadyCredited
    """

    node_id: str
    payment_hash: str
    received_msat: Msat
    settled_at: int
    preimage: str
    cursor: bytes = b""
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class SaveGrant:
    """Insert a grant, or replace it when ``grant.version`` is the stored one + 1."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class SaveAccount:
    account: Account


@dataclass(frozen=True, slots=True)
class SaveOffer:
    offer: Offer


@dataclass(frozen=True, slots=True)
class Transfer:
    """Move credit between accounts (funding a sub-account from the owner needs ``view``). Denied when not covered, and
    while spending is stopped unless it goes back to the owner."""

    transfer_id: str
    from_account: str
    to_account: str
    amount_msat: Msat
    note: str
    now: int
    view: NodeView | None = None


Write = SaveGrant | SaveAccount | SaveOffer | Transfer


@dataclass(frozen=True, slots=True)
class Execute:
    """One owner's command: claim its idempotency key, do all writes or none, store the result.

    ``message`` is the stored result. → Claimed | Finished | Denied | Stale
    """

    request: Request
    writes: tuple[Write, ...]
    message: Message


@dataclass(frozen=True, slots=True)
class MarkPublished:
    """A relay took these (request_id, part)."""

    keys: tuple[tuple[str, str], ...]
    now: int


@dataclass(frozen=True, slots=True)
class SaveNode:
    node: Node


@dataclass(frozen=True, slots=True)
class MoveCursor:
    node_id: str
    cursor: bytes


@dataclass(frozen=True, slots=True)
class ExpireInvoices:
    """Invoices of ``node_id``: those of offers that expired before ``drop_offers_before`` are deleted with their
    requests and replies (strangers leave no rows behind); open ones whose ``expires_at`` is before ``before`` become
    expired. What has one of the payment hashes in ``keep`` stays open: the node has not said that it is unpaid.

    A request id of an offer is then known no more; its age window, which must be shorter than the time an unpaid
    invoice is kept, refuses it. Only a clock that is set back makes another invoice of it: nobody's money moves.

    → Recorded | More
    """

    before: int
    drop_offers_before: int
    node_id: str
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prune:
    """Forget finished requests and replies received before ``before``; the horizon moves forward with them.

    Those of wire ``control`` stay for ever: an idempotency key has no age that could refuse it.

    → Recorded | More
    """

    before: int


@dataclass(frozen=True, slots=True)
class SetSpending:
    """The drift breaker: stop or allow spending, with the reason that audit and doctor show."""

    stopped: bool
    why: str
    now: int


Tx = (
    ClaimPayment
    | RecordPayment
    | ResolvePayment
    | ClaimInvoice
    | RecordInvoice
    | DropInvoice
    | Answer
    | Credit
    | Execute
    | MarkPublished
    | SaveNode
    | MoveCursor
    | ExpireInvoices
    | Prune
    | SetSpending
)

# ---------------------------------------------------------------- answers


@dataclass(frozen=True, slots=True)
class Claimed:
    """This caller owns the request now."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The request was answered before; these are the stored answers (reply, and receipt if there is one)."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Running:
    """The request is claimed and unanswered; whoever claimed it will answer."""


@dataclass(frozen=True, slots=True)
class Stale:
    """Decided on an old grant, or the internal invoice is not what it was: load again and decide again."""


@dataclass(frozen=True, slots=True)
class Denied:
    """``remaining_msat``: what would have fitted (budget or balance), when that is known."""

    reason: Reason
    remaining_msat: Msat | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """The same grant is paying this hash already: the request waits for that payment and gets its answer."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class AlreadyPaid:
    """The same grant has paid this hash: answer with its preimage."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class Recorded:
    """``unanswered``: requests that wait for this payment and were not among the messages. ``payment``: what
    ResolvePayment made of it; the other transactions do not read it again."""

    payment: Payment | None = None
    unanswered: tuple[Request, ...] = ()
    overdrawn: bool = False


@dataclass(frozen=True, slots=True)
class More:
    """A part is done, so that payments need not wait for it; apply the same value again for the rest."""


@dataclass(frozen=True, slots=True)
class InvoiceNotOpen:
    """Our own invoice was settled or cancelled meanwhile; the internal payment did not happen."""


@dataclass(frozen=True, slots=True)
class Credited:
    invoice: Invoice | None
    surplus: bool = False


@dataclass(frozen=True, slots=True)
class AlreadyCredited:
    pass


TxAnswer = (
    Claimed
    | Finished
    | Running
    | Stale
    | Denied
    | Joined
    | AlreadyPaid
    | Recorded
    | More
    | InvoiceNotOpen
    | Credited
    | AlreadyCredited
)
