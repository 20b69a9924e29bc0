"""Transactions as values, and what a store answers to each of them.

A value holds no callable, so that a store can apply a batch of them in one commit. Times are Unix seconds and always
given by the caller: a store never reads a clock. The type of a value names its answers: whoever applies one and forgets
a case does not pass the type checker. The rules behind each field: docs/explanation/money-safety.md.

A payment takes two of them. The first, ``ClaimPayment``, is all that is decided before the node is asked; the second,
``RecordPayment``, is all that follows from its answer. What lies between them is in base/payments.py.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import msgspec

from kitestring.base.approvals import Approval, ApprovalState, Block, DebitSession, PromptGate, Token
from kitestring.base.enrolments import Enrolment
from kitestring.base.errors import Reason
from kitestring.base.events import MAX_ALARMS, MAX_EVENTS, MAX_NOTICES, Event
from kitestring.base.grants import Account, Grant, Offer
from kitestring.base.invoices import Decision
from kitestring.base.money import Msat
from kitestring.base.payments import Failed, Settled, Unknown
from kitestring.base.records import Charge, Invoice, Message, Node, NodeView, Outgoing, Payment, Request, StopCause
from kitestring.base.shares import ANY, Share
from kitestring.base.webhooks import WebhookDelivery

#: Requests that may wait for the end of one hold invoice: its maker asks once, and again while the node is away.
MAX_DECIDING: Final = 20
#: Requests that may wait for the end of one payment, about 1.5 kB each: an app that asks again every minute for an hour
#: and a half, while a payee holds it.
MAX_JOINED: Final = 100

# ---------------------------------------------------------------- answers


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """This caller owns the request now."""


class Finished(msgspec.Struct, frozen=True):
    """The request was answered before; these are the stored answers (the reply first, a receipt if there is one)."""

    messages: tuple[Message, ...]


class Running(msgspec.Struct, frozen=True, gc=False):
    """The request is claimed and unanswered; whoever claimed it will answer."""


class Stale(msgspec.Struct, frozen=True, gc=False):
    """Decided on an old grant, or the internal invoice is not what it was: load again and decide again."""


class Denied(msgspec.Struct, frozen=True, gc=False):
    """``remaining_msat``: what would have fitted (budget or balance), when that is known. Where budgets are in the way,
    ``budget_id`` is the one of the grant that has the least left."""

    reason: Reason
    remaining_msat: Msat | None = None
    budget_id: int = 0


class Joined(msgspec.Struct, frozen=True):
    """The same grant is paying this hash already: the request waits for that payment and gets its answer."""

    payment: Payment


class AlreadyPaid(msgspec.Struct, frozen=True):
    """The same grant has paid this hash: answer with its preimage."""

    payment: Payment


class Recorded(msgspec.Struct, frozen=True):
    """``unanswered``: requests that wait for this payment and were not among the messages. ``payment``: what
    ResolvePayment made of it; the other transactions do not read it again."""

    payment: Payment | None = None
    unanswered: tuple[Request, ...] = ()
    overdrawn: bool = False


class Done(msgspec.Struct, frozen=True, gc=False):
    """It is in the ledger."""


class More(msgspec.Struct, frozen=True, gc=False):
    """A part is done, so that payments need not wait for it; apply the same value again for the rest."""


class Unstored(msgspec.Struct, frozen=True, gc=False):
    """The request is never claimed any more, and its reply is not kept, for there are too many: whoever applied it says
    it, once."""


class DecisionStored(msgspec.Struct, frozen=True):
    """The owner's decision is in the ledger. ``unanswered``: requests that waited for it and were not among the
    messages, where nothing else will answer them."""

    unanswered: tuple[Request, ...] = ()


class AlreadyDecided(msgspec.Struct, frozen=True, gc=False):
    """It had ended before, as it is here; nothing was changed."""

    approval: Approval


class InvoiceNotOpen(msgspec.Struct, frozen=True, gc=False):
    """Our own invoice was settled or cancelled meanwhile; the internal payment did not happen."""


class Credited(msgspec.Struct, frozen=True):
    """Booked. ``invoice`` is the settled one, None where the money is the owner's."""

    invoice: Invoice | None
    surplus: bool = False


class AlreadyCredited(msgspec.Struct, frozen=True, gc=False):
    """The same settlement was booked before; only the cursor has moved."""


class NotCredited(msgspec.Struct, frozen=True, gc=False):
    """The amount cannot be true (nothing, less, or more than there is): an alarm tells it, and the cursor has moved."""


A_co = TypeVar("A_co", covariant=True)


class Tx(msgspec.Struct, Generic[A_co], frozen=True):
    """A value that a store applies in one commit, with its answers."""


# ---------------------------------------------------------------- payments


class ClaimPayment(Tx[Claimed | Finished | Running | Stale | Denied | Joined | AlreadyPaid], frozen=True):
    """Transaction 1 of a payment: claim the request, compare version, balance and budgets, reserve, store the hash,
    mark dispatched (an internal one stays reserved). ``view`` is needed when the account is the owner's.

    An overdrawn account reserves nothing until a transfer or a credit has covered it; the owner's until a ``view``
    taken after everything that is spent covers what is asked for.

    Stale also when the invoice is an open one of this service and the payment is not internal.

    Denied as PAYMENT_IN_FLIGHT where :data:`MAX_JOINED` requests wait already for the payment that it would join, and
    nobody is to be told that it is not made; the owner's are always joined.

    ``share`` is the grant's part of the payments that may be open at the payment's node: a new one beyond it is denied
    as RATE_LIMITED. The tokens in ``consume`` are used up by it, for ever, unless it fails: then they are free again
    with that very commit.

    After it answered Claimed, whoever applied it must ask the node and record its answer; a claim of the same request
    or of the same hash by another grant must fail until then, over any crash.
    """

    request: Request
    grant_version: int
    payment: Payment
    charges: tuple[Charge, ...] = ()
    view: NodeView | None = None
    share: Share = ANY
    consume: tuple[Token, ...] = ()


class RecordPayment(Tx[Recorded | InvoiceNotOpen], frozen=True):
    """Transaction 2 of a payment: compare-and-set the outcome, post or void, finish the requests in ``messages``.

    ``Unknown`` only moves dispatched → unknown. For an internal payment ``Settled`` also settles our own invoice and
    credits its account; a hold invoice must have been decided so. ``Failed`` of one that is held cancels the invoice.
    ``messages`` may carry the receipt of that invoice's request.

    InvoiceNotOpen (internal only): nothing was changed. An illegal step raises IllegalStepError. After Settled or
    Failed every further one must fail. Nothing else about an outcome is refused: in place of a fee that cannot be true
    the fee cap is booked, with an alarm.
    """

    payment_id: str
    outcome: Settled | Failed | Unknown
    now: int
    messages: tuple[Message, ...] = ()


class ResolvePayment(Tx[Recorded], frozen=True):
    """The operator's word about an unknown payment, with a note: releases the reservation (→ resolved). After it only
    Settled may be recorded, a late truth."""

    payment_id: str
    note: str
    now: int


class ClaimBundle(Tx[Claimed | Finished | Running | Denied], frozen=True):
    """Claim a request for several payments, of which each has a request and a claim of its own. ``request`` waits for
    ``BUNDLE`` (its ``payment_id``) and is finished when all of them are claimed or refused. Denied where it is as old
    as what was forgotten."""

    request: Request


class EndBundle(Tx[Done], frozen=True):
    """Finish the request of a bundle without a word, once each of its parts (``parts`` are their ids) is claimed or
    refused: those have the answers. What was asked for is kept no longer. Where nothing of its parts is kept but
    refusals, it is one itself, until ``until`` (Unix seconds, None: it has no age) and as :class:`Refuse` bounds
    them."""

    request_id: str
    parts: tuple[str, ...]
    until: int | None
    now: int
    max_number: int


# ---------------------------------------------------------------- approvals


class AskOwner(Tx[Claimed | Finished | Running | Stale | Denied], frozen=True):
    """Claim a request that has to wait for the owner's decision, and store the question.

    ``replaces`` is the open question of the same caller at the same target, "" for none: it is superseded, and
    ``messages`` are the replies to all requests that waited for it, with whatever else is to be told. Stale where that
    is not how it is any more.
    Beyond the ``gate`` it is denied as RATE_LIMITED. The ``token`` is held until it is decided.
    """

    request: Request
    approval: Approval
    gate: PromptGate
    replaces: str = ""
    messages: tuple[Message, ...] = ()
    token: Token | None = None


class AwaitApproval(Tx[Claimed | Finished | Running | Stale | Denied], frozen=True):
    """Claim a request that asks for the same as an open question: it gets the same answer. Stale: that has ended.
    Denied as RATE_LIMITED where :data:`~kitestring.base.approvals.MAX_WAITING` wait for it already."""

    request: Request
    approval_id: str


class Decide(Tx[DecisionStored | AlreadyDecided | Stale | Denied | Joined | AlreadyPaid], frozen=True):
    """End an open question, once: everything of it in one commit, or nothing.

    ``version`` is that of the question as whoever decides has seen it. ``writes`` are done first (the grant that it
    makes). ``claim`` is the payment that was asked for, whose id is the question's: charged, covered and claimed as of
    now, and every request that waits goes on to wait for it; for anything but Claimed nothing is decided. Without a
    ``claim`` the ``messages`` are the replies to the requests that wait; without a yes these are refusals from then on,
    kept for :data:`~kitestring.base.approvals.REFUSED_S`, and so are those that are answered later.

    A ``claim`` of another payment, or where the ``state`` is not approved, raises KitestringError(INTERNAL).
    """

    approval_id: str
    version: int
    state: ApprovalState
    now: int
    decided_by: str = ""
    decided_as: str = ""
    decision: str = ""
    writes: tuple[Write, ...] = ()
    claim: ClaimPayment | None = None
    messages: tuple[Message, ...] = ()


# ---------------------------------------------------------------- invoices


class HoldPayment(Tx[Done | Stale], frozen=True):
    """A payment of a hold invoice is held (→ accepted), by the node, or as ``payment_id`` inside this service. It goes
    back at the height ``settle_deadline``. Stale where it is not open, or was decided meanwhile; the same once more is
    Done."""

    node_id: str
    payment_hash: str
    held_msat: Msat
    settle_deadline: int
    now: int
    payment_id: str = ""


class DecideHold(Tx[Claimed | Finished | Running | Stale | Denied], frozen=True):
    """Decide about a hold invoice that waits, for good: before the node is told, so that it is carried on after a
    crash.

    ``request`` asks for it, and is claimed: it waits under the id of the invoice until that has ended. None where the
    service itself decides; then ``why`` is told as an alarm. ``preimage`` (64 hex digits) is needed to settle. Stale
    where it cannot be decided so (any more), and for an old ``grant_version``. Denied as RATE_LIMITED where
    :data:`MAX_DECIDING` requests wait for its end already. A preimage that does not fit raises
    KitestringError(INTERNAL).
    """

    invoice_id: str
    decision: Decision
    now: int
    request: Request | None = None
    grant_version: int = 0
    preimage: str = ""
    why: str = ""


class WarnHold(Tx[Done], frozen=True):
    """The deadline of a held payment is near: told as an alarm, once."""

    invoice_id: str
    why: str
    now: int


class AlarmHold(Tx[Done], frozen=True):
    """Something is to be done by hand about a hold invoice: told as an alarm, but not if the same was told in the last
    ``again_s`` seconds before ``now``."""

    invoice_id: str
    why: str
    now: int
    again_s: int


class EndHold(Tx[Done | Stale], frozen=True):
    """The node has refused every payment of a hold invoice for good, or has given back what it held (→ canceled).
    ``messages`` are the replies to those who wait for its end. ``why`` is told as an alarm, "" for none. Stale where it
    has ended already, or a payment of this service is held for it."""

    invoice_id: str
    now: int
    messages: tuple[Message, ...] = ()
    why: str = ""


class RecordInvoice(Tx[Claimed | Finished | Running | Stale | Denied], frozen=True):
    """Store an invoice that the node has made, with its request and the reply: nobody has seen its text before this
    commit, so one that is refused here or lost in a crash can be paid by nobody. ``messages`` begin with the reply.

    ``shares`` are those of the invoice's holders in the open invoices at its node (none: no bound): one more than they
    allow (:func:`kitestring.base.shares.have_room`) is denied as RATE_LIMITED. A hold invoice whose hash another one
    has, in whatever state, is denied as INVOICE_TAKEN. Stale where ``offer``, which it was priced by, stands otherwise
    by now."""

    request: Request
    grant_version: int
    invoice: Invoice
    messages: tuple[Message, ...]
    now: int
    shares: tuple[Share, ...] = ()
    offer: Offer | None = None


class Credit(Tx[Credited | AlreadyCredited | NotCredited], frozen=True):
    """A settlement the node has confirmed. Unique by (service, node, hash); the cursor moves in the same commit.

    An unknown hash is the owner's money. A second payment of an invoice that was settled internally is booked to its
    account as surplus, once. ``messages`` are stored only if this settles an invoice. A preimage that is none is not
    kept. Nothing about a settlement is refused with an error.
    """

    node_id: str
    payment_hash: str
    received_msat: Msat
    settled_at: int
    preimage: str
    cursor: bytes = b""
    messages: tuple[Message, ...] = ()


class ParkSettlement(Tx[Done], frozen=True):
    """A settlement that cannot be booked: the cursor moves beyond it, so that what is behind it can be. ``why`` is a
    sentence for the owner, told as an alarm; "" where that was told before. An empty cursor stays where it is."""

    node_id: str
    payment_hash: str
    cursor: bytes
    why: str
    now: int


class ExpireInvoices(Tx[Done | More], frozen=True):
    """Invoices of ``node_id``: open ones that have one of the payment hashes in ``ended`` become expired, because the
    node has said that they can be paid no more. No time ends an invoice: our clock may be wrong. One that was decided
    stays: EndHold ends it.

    Those of offers that ended in an earlier step, and whose expiry lies before ``drop_offers_before``, are deleted with
    their requests and replies (strangers leave no rows behind).

    A request id of an offer is then known no more; its age window, which must be shorter than the time an unpaid
    invoice is kept, refuses it. Only a clock that is set back makes another invoice of it: nobody's money moves.
    """

    ended: tuple[str, ...]
    drop_offers_before: int
    node_id: str
    now: int


class LeaveInvoices(Tx[Done | More], frozen=True):
    """The service stands on ``node_id``: open invoices of other nodes that expired before ``expired_before`` are left,
    and those of this node that were left are open again."""

    node_id: str
    expired_before: int


# ---------------------------------------------------------------- requests


class Answer(Tx[Done | Finished | Running], frozen=True):
    """Finish one request with a reply, inserting it if it was never claimed (a refusal, a second asker).

    A claimed request is finished only by a caller that names the payment it waits for (``request.payment_id``, as it
    is stored); to anybody else it is running and nothing is written. Finished: it had a reply already, which stays.
    """

    request: Request
    messages: tuple[Message, ...]
    now: int


class Refuse(Tx[Done | Unstored | Finished | Running], frozen=True):
    """Refuse a request that was never claimed, so that it never will be: until ``until`` (Unix seconds), its id and its
    reply are kept, and nothing else of it. ``until`` must lie behind the end of its age window, by every clock.

    ``reply`` None is silence; it may also be an answer to what needs no claim. The replies kept of one grant have at
    most ``max_bytes``, those that refuse and those that answer each for themselves; beyond that only the id is. Of one
    grant ``max_number`` refusals are kept, answers among them; beyond that the oldest are forgotten, and what it has
    sent before them is refused for ever. Unstored also for what that refuses already.
    """

    request: Request
    until: int
    now: int
    reply: Message | None
    max_bytes: int
    max_number: int


class ForgetRefusals(Tx[Done | More], frozen=True):
    """Forget refusals that were to be kept until before ``before``, once they have been sent or ``unsent_before``
    (Unix seconds) has passed. What is as old as one of them is refused from then on, also if our clock goes back. Of
    questions to the owner that ended without a yes the newest are kept, of strangers and of known keys as many."""

    before: int
    unsent_before: int


class Prune(Tx[Done | More], frozen=True):
    """Forget finished requests and their messages that are more than ``keep_s`` seconds older than ``now``, or than the
    newest request if that is earlier; the horizon moves forward with them.
    Refusals are not its affair.

    Requests of ``CONTROL_WIRE`` stay for ever: an idempotency key has no age that could refuse it.
    """

    now: int
    keep_s: int


class ForgetNews(Tx[Done | More], frozen=True):
    """Forget events and messages about no request that are more than ``keep_s`` seconds older than ``now``, or than the
    newest of their sort if that is earlier, and the oldest of more than ``max_events`` and ``max_notices``. Of what is
    forgotten for being too many, the newest ``max_alarms`` lines of the log stay.

    Of the events only the oldest go, by number, up to the first that is to stay. A message that may still be sent
    stays, unless there are too many. A delivery to a webhook goes after its event: one that has failed stays for
    :data:`~kitestring.base.webhooks.KEEP_FAILED_S`, the newest :data:`~kitestring.base.webhooks.MAX_FAILED` of them.
    More: some were forgotten, and there may be others.
    """

    now: int
    keep_s: int
    max_events: int = MAX_EVENTS
    max_notices: int = MAX_NOTICES
    max_alarms: int = MAX_ALARMS


# ---------------------------------------------------------------- the owner's commands


class SaveGrant(msgspec.Struct, frozen=True):
    """Insert a grant, or replace it when ``grant.version`` is the stored one + 1."""

    grant: Grant


class SaveAccount(msgspec.Struct, frozen=True):
    """Insert an account, or change its name and its overdrawn mark; balances change by transfers alone."""

    account: Account


class SaveOffer(msgspec.Struct, frozen=True):
    """Insert or replace an offer. With another webhook, what waits to be told there is due at once."""

    offer: Offer


class CheckOffer(msgspec.Struct, frozen=True):
    """Look at an offer before it is written, and write nothing: what comes after it is Stale where the offer is not
    ``before`` (None = there is none) any more, or the pointer that it is managed over has ended.

    A new one is denied as OVER_BUDGET where its ``creator`` has ``most`` over this pointer, or has deleted
    ``most_deleted``.
    """

    offer_id: str
    before: Offer | None
    pointer_id: str
    creator: str
    most: int
    most_deleted: int


class EndOffers(msgspec.Struct, frozen=True):
    """Delete all standing offers that ``creator`` has made over a pointer, "" = whoever has made one over it."""

    pointer_id: str
    creator: str = ""


class Transfer(msgspec.Struct, frozen=True):
    """Move credit between accounts (funding a sub-account from the owner needs ``view``). Denied when not covered, and
    while spending is stopped unless it goes back to the owner."""

    transfer_id: str
    from_account: str
    to_account: str
    amount_msat: Msat
    note: str
    now: int
    view: NodeView | None = None


class SendAgain(msgspec.Struct, frozen=True):
    """Have deliveries to webhooks tried again from the start, whatever became of them (``invoice_ids`` are theirs).
    Denied as UNKNOWN_TARGET where there is no such one."""

    invoice_ids: tuple[str, ...]


class SaveBlock(msgspec.Struct, frozen=True):
    """Block a public key, or (``block`` None) unblock it. What was decided about it just before is denied."""

    caller: str
    block: Block | None


class SaveSession(msgspec.Struct, frozen=True):
    """Make a session. Denied as ALREADY_USED where there is such a one."""

    session: DebitSession


class SaveQuestion(msgspec.Struct, frozen=True):
    """Store a question to the owner that no request waits for, in the place of the one that is open for the same caller
    at the same target."""

    approval: Approval


Write = (
    SaveGrant
    | SaveAccount
    | SaveOffer
    | CheckOffer
    | EndOffers
    | SendAgain
    | SaveBlock
    | SaveSession
    | SaveQuestion
    | Transfer
)


class ManageOffers(Tx[Claimed | Finished | Running | Stale | Denied], frozen=True):
    """Claim the request of an app that changes its offers, do all ``writes`` or none, and store the reply.

    ``grant_id`` is the row by which ``caller`` may do it, in the version that this was decided on: Stale otherwise, and
    where that has ended. "" where it is its own account. Denied as NOT_PERMITTED for a blocked caller.
    """

    request: Request
    caller: str
    grant_id: str
    grant_version: int
    writes: tuple[Write, ...]
    message: Message


class EnrollKey(Tx[Claimed | Finished | Running | Stale | Denied], frozen=True):
    """Claim a request that enrolls a key, with all rows of its account and the reply in ``message``: all or nothing.

    Stale where the key has an account already. Denied as NOT_PERMITTED for a key that the owner has blocked, as
    OVER_BUDGET where there are ``max_accounts`` of enrolled keys.
    """

    request: Request
    enrolment: Enrolment
    message: Message
    max_accounts: int


class Execute(Tx[Claimed | Finished | Running | Denied | Stale], frozen=True):
    """One owner's command: claim its idempotency key, do all writes or none, store the result in ``message``. Running:
    a payment or an invoice has claimed the key and is not answered yet; nothing was done."""

    request: Request
    writes: tuple[Write, ...]
    message: Message


# ---------------------------------------------------------------- feed and outbox


class MarkSent(Tx[Done], frozen=True):
    """Delivery of the outbox has come so far: every message up to ``position`` was tried. Of those, ``again`` are to be
    tried again at a time (number, failed attempts, Unix seconds), and ``ended`` no longer; the others were taken.

    A ``position`` behind the stored one leaves it: it never goes back.
    """

    position: int
    again: tuple[tuple[int, int, int], ...] = ()
    ended: tuple[int, ...] = ()


class Tell(Tx[Done], frozen=True):
    """A consumer's step: it has seen all events up to ``position`` and this is what they mean to others. Position and
    messages are one commit, so that over a crash no event is lost and none is told twice.

    A ``position`` that is not beyond the stored one stores nothing.
    """

    consumer: str
    position: int
    now: int
    messages: tuple[Message, ...] = ()


class NoteAttempt(Tx[Done], frozen=True):
    """The end of one attempt to tell a webhook: ``delivery`` is how it stands now. It counts only where the delivery
    waits with one attempt less: one that was sent again meanwhile begins anew.

    One that fails is told as an alarm (``why``), unless an app has made the offer, or one of it has failed in the last
    :data:`~kitestring.base.webhooks.ALARM_AGAIN_S` seconds.
    """

    delivery: WebhookDelivery
    now: int
    why: str = ""


# ---------------------------------------------------------------- the service itself


class NoteUses(Tx[Done], frozen=True):
    """Store when the apps of these grants have last asked for something (Unix seconds), by the clock as it is."""

    uses: tuple[tuple[str, int], ...]


class SaveNode(Tx[Done], frozen=True):
    """Insert or update the row of a node; an empty cursor keeps the stored one."""

    node: Node


class SetSpending(Tx[Done], frozen=True):
    """Stop or allow spending for one cause, with the reason that audit and doctor show. A stop, and an allowance with a
    reason, are told as alarms. To allow a ledger that was restored makes another ledger of it (``ledger_id``)."""

    stopped: bool
    why: str
    now: int
    cause: StopCause = StopCause.DRIFT


class Committed(msgspec.Struct, frozen=True):
    """The news of one commit: its rows of the outbox and of the feed, in their order, and the offers whose webhooks
    have something to be told now."""

    outgoing: tuple[Outgoing, ...]
    events: tuple[Event, ...]
    webhooks: tuple[str, ...] = ()
