"""Transaction 1 of outgoing payments: every check, then the claim, before the node is asked."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from typing import Final

import msgspec

from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.destinations import Keysend, invoice_text
from kitestring.base.enrolments import TOGETHER, is_enrolled
from kitestring.base.errors import Reason
from kitestring.base.invoices import Decision, InvoiceState
from kitestring.base.money import Msat
from kitestring.base.payments import State, step
from kitestring.base.records import CONTROL_WIRE, Payment, Request
from kitestring.base.shares import Share, have_room
from kitestring.base.transactions.answers import AlreadyPaid, Claimed, Denied, Finished, Joined, Running, Stale
from kitestring.base.transactions.payments import MAX_JOINED, ClaimPayment
from kitestring.ledger.apply import budgets, tokens
from kitestring.ledger.apply.batch import USERS, AccountBalance, Batch
from kitestring.ledger.apply.memory import Reservation
from kitestring.ledger.apply.payment_rows import look_up, our_invoice, write_charges
from kitestring.ledger.rows import CLAIMED, NEXT_ENTRY, keysend_text, marks, write_claimed

_NUMBER_WAITING: Final = "SELECT count(*) FROM requests WHERE service = ? AND payment_id = ? AND finished_at IS NULL"
#: Everything that a claim asks for, in one look-up.
_LOOK: Final = """
SELECT r.request, r.finished_at, g.version, g.revoked_at, f.refused_before,
  iif(i.bolt11 = ? AND i.bolt11 <> '', iif(i.state = 'open' AND i.decision = 'cancel', 'canceled', i.state), ''), {},
  h.payment_id, h.grant_id, h.requestor, h.amount_msat, h.state, h.keysend,
  b.used_msat, b.oldest, b.ends, b.last_at, b.before_msat, b.before_at
FROM services s
LEFT JOIN requests r ON r.service = s.service AND r.request_id = ?
LEFT JOIN grants g ON g.service = s.service AND g.grant_id = ?
LEFT JOIN payments h ON h.service = s.service AND h.payment_hash = ? AND h.holding = 1
LEFT JOIN refusals f ON f.service = s.service AND f.grant_id = ?
LEFT JOIN budgets b ON b.service = s.service AND b.grant_id = ? AND b.budget_id = ?
LEFT JOIN invoices i ON i.service = s.service AND i.payment_hash = ? AND i.node_id = ? AND i.payment_hash <> ''
WHERE s.service = ?"""
_FACTS: Final = _LOOK.format("0, 0")
#: The same of a payment that a requestor asks for: what all of its grants refuse, revoked or not, and whether the owner
#: has blocked it.
_FACTS_OF_REQUESTOR: Final = _LOOK.format("""
  (SELECT max(q.refused_before) FROM grants o INDEXED BY grants_by_caller
   JOIN refusals q ON q.service = o.service AND q.grant_id = o.grant_id
   WHERE o.service = s.service AND o.wire = ? AND o.caller = ?),
  EXISTS (SELECT 1 FROM blocks k WHERE k.service = s.service AND k.caller = ?)""")
_INSERT: Final = (
    f"INSERT INTO payments (payment, service, {CLAIMED}, charges, state, fee_msat, preimage, evidence, steps)"
    f" VALUES ({NEXT_ENTRY}, {marks(CLAIMED)}, ?, ?, 0, '', '', ?)"
)
_BLOCKED: Final = "SELECT 1 FROM blocks WHERE service = ? AND caller = ?"
#: The refusal of an invoice of ours that nobody can pay any more, or that is to be cancelled: the node would only say
#: that it finds no route to itself.
_ENDED: Final = {InvoiceState.SETTLED: Reason.INVOICE_TAKEN, InvoiceState.CANCELED: Reason.EXPIRED_INVOICE}
#: Refusals to who may take nothing here, whatever the invoice is.
_CLOSED: Final = frozenset({Reason.NOT_PERMITTED, Reason.UNKNOWN_TARGET})
_HAND_OVER: Final = "UPDATE requests SET grant_id = ? WHERE service = ? AND payment_id = ? AND finished_at IS NULL"


class _Holder(msgspec.Struct, frozen=True, gc=False):
    """The payment that holds a hash, as far as a claim looks it up. It may be of a node on which the service does not
    stand any more: a payee can take from two nodes what was promised for one preimage."""

    payment_id: str
    grant_id: str
    requestor: str
    amount_msat: int
    state: str
    keysend: str

    def is_of(self, p: Payment) -> bool:
        """Whether it is the same payment as ``p``. Who pays a key may choose the preimage, also one of another payment
        that it knows."""
        is_of_caller = self.requestor == p.requestor and (bool(p.requestor) or self.grant_id == p.grant_id)
        is_same = self.amount_msat == int(p.amount_msat) and self.keysend == keysend_text(p.destination)
        return is_of_caller and is_same


ClaimRefusal = Stale | Denied | Joined | AlreadyPaid
ClaimAnswer = Claimed | Finished | Running | Stale | Denied | Joined | AlreadyPaid


def claim_payment(batch: Batch, tx: ClaimPayment) -> ClaimAnswer:
    """Transaction 1. One look-up brings every fact; nothing is written before every check has passed."""
    return _claim(batch, tx, is_waiting=False)


def claim_asked(batch: Batch, tx: ClaimPayment) -> ClaimRefusal | None:
    """Transaction 1 of a payment that the owner was asked for: its requests are claimed already, and wait under its id.
    None when it is done; any other answer has changed nothing."""
    answer = _claim(batch, tx, is_waiting=True)
    if isinstance(answer, Stale | Denied | Joined | AlreadyPaid):
        return answer
    batch.execute(_HAND_OVER, (tx.payment.grant_id, batch.service, tx.payment.payment_id))
    return None


def _claim(batch: Batch, tx: ClaimPayment, *, is_waiting: bool) -> ClaimAnswer:
    """``is_waiting``: the request is in the ledger and waits for this very payment."""
    p, request = tx.payment, tx.request
    caller = request.grant_id
    budget_id = tx.charges[0].budget_id if tx.charges else 0
    who = (request.wire, p.requestor, p.requestor) if p.requestor else ()
    invoice = (p.payment_hash, p.node_id)
    keys = (request.request_id, caller, p.payment_hash, caller, caller, budget_id, *invoice, batch.service)
    look = _FACTS_OF_REQUESTOR if p.requestor else _FACTS
    facts = batch.execute(look, (invoice_text(p.destination), *who, *keys)).fetchone()
    known, finished_at, version, revoked_at, refused_before, our_state, of_requestor, blocked, *rest = facts
    held, row = rest[:6], tuple(rest[6:])
    if known is not None and not is_waiting:
        return Running() if finished_at is None else batch.finished(known, request.request_id)
    if not is_waiting and batch.is_too_old(request, refused_before or 0, p.requestor, of_caller=of_requestor or 0):
        return Denied(Reason.STALE_REQUEST)
    account = batch.balance(p.account_id)
    if version != tx.grant_version or revoked_at is not None or account is None or account.kind not in USERS:
        return Stale()
    holder = _Holder(*held) if held[0] else None
    answer = _known_or_unmeant(batch, tx, holder, is_waiting=is_waiting, is_blocked=bool(blocked))
    if answer is not None:
        return answer
    if batch.sums.stopped:  # only new money stops: what is paid or under way keeps its answer
        return Denied(Reason.SPENDING_STOPPED)
    if not _is_payable(batch, p) if p.internal else our_state == InvoiceState.OPEN:
        return Stale()
    if our_state in _ENDED:
        return Denied(_ENDED[our_state])
    refusal = _without_room(batch, tx)
    if refusal is not None:
        return refusal
    looked_up = (caller, budget_id)
    found = [
        budgets.find(batch, charge, row if (charge.grant_id, charge.budget_id) == looked_up else None)
        for charge in tx.charges
    ]
    # The budgets first: whoever has one learns of the account what that lets him spend, and no more.
    refusal = _over_budget(found) or _uncovered(batch, tx, int(p.reserved_msat), account)
    if refusal is not None:
        return refusal
    _write_claim(batch, tx, found, is_waiting=is_waiting)
    return Claimed()


def _not_for_its_requestor(batch: Batch, tx: ClaimPayment, *, is_blocked: bool) -> Denied | None:
    """The refusal to a blocked key, and of a word that is not good (any more)."""
    p = tx.payment
    if is_blocked:
        return Denied(Reason.NOT_PERMITTED)
    holders = (p.payment_id,)
    refusals = (tokens.refuse(batch, token, int(p.amount_msat), p.created_at, holders) for token in tx.consume)
    return next(filter(None, refusals), None)


def is_blocked(batch: Batch, caller: str) -> bool:
    """Whether the owner has blocked this public key."""
    return batch.execute(_BLOCKED, (batch.service, caller)).fetchone() is not None


def _over_budget(found: list[budgets.Usage]) -> Denied | None:
    """The refusal by the budget that has the least left, where one does not cover it."""
    if all(usage.after <= int(usage.charge.limit_msat) for usage in found):
        return None
    least = min(found, key=lambda usage: usage.left)
    return Denied(Reason.OVER_BUDGET, Msat(max(0, least.left)), least.charge.budget_id)


def _known_or_unmeant(
    batch: Batch, tx: ClaimPayment, holder: _Holder | None, *, is_waiting: bool, is_blocked: bool
) -> Denied | AlreadyPaid | Joined | None:
    """The answer of the payment that holds the hash, or the refusal to who may take nothing here, whatever there is.

    The same payment is what the same grant, or the same requestor on whichever grant, wants to pay with the same
    amount. Who is not meant hears of no other, nor of what the account has.
    """
    p = tx.payment
    if holder is not None and holder.is_of(p):
        return _joined(batch, tx.request, holder, is_waiting=is_waiting)
    unmeant = _not_for_its_requestor(batch, tx, is_blocked=is_blocked) if p.requestor or tx.consume else None
    if holder is not None and (unmeant is None or unmeant.reason not in _CLOSED):
        return Denied(Reason.INVOICE_TAKEN)
    return unmeant


def _joined(batch: Batch, request: Request, holder: _Holder, *, is_waiting: bool) -> Denied | AlreadyPaid | Joined:
    """The answer of a payment that is made or under way already."""
    if holder.state == State.RESOLVED:
        return Denied(Reason.INVOICE_TAKEN)
    batch.memory.take(holder.payment_id)  # it does not know of a second request
    payment = look_up(batch, holder.payment_id).payment
    if payment.state is State.SETTLED:
        return AlreadyPaid(payment)
    if not is_waiting:
        if request.wire != CONTROL_WIRE and _number_waiting(batch, holder.payment_id) >= MAX_JOINED:
            return Denied(Reason.PAYMENT_IN_FLIGHT)
        batch.insert_request(msgspec.structs.replace(request, grant_id=holder.grant_id), holder.payment_id)
    return Joined(payment)


def _number_waiting(batch: Batch, payment_id: str) -> int:
    number: int = batch.execute(_NUMBER_WAITING, (batch.service, payment_id)).fetchone()[0]
    return number


def _is_payable(batch: Batch, p: Payment) -> bool:
    """Whether this pays an open invoice of ours, or the node's own key. A wrapped invoice shares the hash, but is
    another bolt11."""
    if isinstance(p.destination, Keysend):
        return True
    ours = our_invoice(batch, p)
    if ours is None or ours.state is not InvoiceState.OPEN or ours.decision is not Decision.NONE:
        return False
    is_this = ours.bolt11 == invoice_text(p.destination)
    return is_this and (ours.amount_msat is None or ours.amount_msat <= p.amount_msat)


def _without_room(batch: Batch, tx: ClaimPayment) -> Denied | None:
    """The refusal where its share is full. What is the grant's own is counted only where it matters. Of what is left
    to all enrolled keys together, as to a few connections, each has its part."""
    p, share, taken = tx.payment, tx.share, batch.counts.open_payments(tx.payment.node_id)
    if share.has_room(taken, taken):
        return None
    own = batch.counts.open_payments_of(p.node_id, p.grant_id)
    if is_enrolled(p.account_id):
        together = batch.counts.open_payments_of_enrolled(p.node_id)
        has_room = have_room((share, Share(share.places, share.most * TOGETHER)), (own, together, taken))
    else:
        has_room = share.has_room(own, taken)
    return None if has_room else Denied(Reason.RATE_LIMITED)


def _uncovered(batch: Batch, tx: ClaimPayment, held: int, account: AccountBalance) -> Denied | None:
    """The refusal where money is missing. An overdrawn sub-account waits for a credit that covers it, the owner for a
    fresh view of the node."""
    overdrawn, available, reserved = account.overdrawn, account.available, account.pending
    if tx.payment.account_id == OWNER_ACCOUNT:
        if tx.view is None:
            return Denied(Reason.UNAVAILABLE)
        available, reserved = batch.owner_spendable(tx.view), batch.sums.owner_pending
        overdrawn = overdrawn and not batch.is_fresh(tx.view)
    if not overdrawn and held <= available:
        return None
    left = 0 if overdrawn else max(0, available)
    return Denied(Reason.INSUFFICIENT_FUNDS, Msat(left), reserved_msat=Msat(reserved))


def _write_claim(batch: Batch, tx: ClaimPayment, found: list[budgets.Usage], *, is_waiting: bool) -> None:
    p, request = tx.payment, tx.request
    # An internal payment stays reserved; any other is dispatched by this very commit.
    state = State.RESERVED if p.internal else step(State.RESERVED, State.DISPATCHED)
    batch.pend(p.account_id, int(p.reserved_msat))
    waiting = 0 if is_waiting else batch.insert_request(request, p.payment_id)
    values = (batch.service, *write_claimed(p), write_charges(found), state.value, state.value)
    charges = tuple(usage.charge for usage in found)
    number = batch.execute(_INSERT, values).lastrowid or 0
    batch.counts.count_payment(p.node_id, 1)
    for usage in found:
        budgets.reserve(batch, usage)
    for token in tx.consume:
        tokens.take(batch, token, p.payment_id)
    if tx.view is not None and p.account_id == OWNER_ACCOUNT:
        batch.remember_view(tx.view)
    batch.memory.claimed(Reservation(p, state, number, charges, waiting, "" if is_waiting else request.request_id))
