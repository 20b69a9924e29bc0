"""Claim, record and resolve outgoing payments: the two transactions around the one call to the node."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from typing import Final

import msgspec

from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.destinations import Keysend, invoice_text
from kitestring.base.enrolments import TOGETHER, is_enrolled
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import EventKind
from kitestring.base.invoices import Decision, InvoiceState
from kitestring.base.money import Msat
from kitestring.base.payments import OPEN, Failed, Settled, State, step
from kitestring.base.records import CONTROL_WIRE, REPLY, Charge, Invoice, Payment, Request
from kitestring.base.shares import Share, have_room
from kitestring.base.transactions.answers import (
    AlreadyPaid,
    Claimed,
    Denied,
    Finished,
    InvoiceNotOpen,
    Joined,
    Recorded,
    Running,
    Stale,
)
from kitestring.base.transactions.payments import MAX_JOINED, ClaimPayment, RecordPayment, ResolvePayment
from kitestring.ledger.apply import budgets, tokens, truth
from kitestring.ledger.apply.batch import USERS, AccountBalance, Batch
from kitestring.ledger.apply.holds import call_canceled
from kitestring.ledger.apply.memory import Reservation
from kitestring.ledger.apply.received import tell_received
from kitestring.ledger.rows import (
    CLAIMED,
    INVOICE,
    NEXT_ENTRY,
    PAYMENT,
    REQUEST,
    SERVICE_FEES,
    WORLD,
    keysend_text,
    marks,
    read_invoice,
    read_payment,
    read_request,
    write_claimed,
)

_NUMBER_WAITING: Final = "SELECT count(*) FROM requests WHERE service = ? AND payment_id = ? AND finished_at IS NULL"
#: Everything that a claim asks for, in one look-up.
_LOOK: Final = """
SELECT r.request, r.finished_at, g.version, g.revoked_at, f.refused_before,
  iif(i.bolt11 = ? AND i.bolt11 <> '', i.state, ''), {},
  h.payment_id, h.grant_id, h.requestor, h.amount_msat, h.state, h.keysend,
  b.used_msat, b.oldest, b.ends, b.last_at, b.before_msat, b.before_at
FROM services s
LEFT JOIN requests r ON r.service = s.service AND r.request_id = ?
LEFT JOIN grants g ON g.service = s.service AND g.grant_id = ?
LEFT JOIN payments h ON h.service = s.service AND h.payment_hash = ? AND h.node_id = ? AND h.holding = 1
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
_BY_ID: Final = f"SELECT {PAYMENT}, payment, charges FROM payments WHERE service = ? AND payment_id = ?"
_UPDATE: Final = (
    "UPDATE payments SET state = ?1, steps = steps || ' ' || ?1, {} WHERE payment = ?2 AND payment_id = ?3"
    " AND state = ?4"
)
_SETTLE: Final = _UPDATE.format("fee_msat = ?5, preimage = ?6, settled_at = ?7, credited = ?8")
_FAIL: Final = _UPDATE.format("evidence = ?5, holding = 0")
_EXPLAIN: Final = _UPDATE.format("evidence = ?5")
_ALARM: Final = "INSERT INTO overspends VALUES (?, ?, ?, ?)"
_WAITING: Final = (
    f"SELECT {REQUEST} FROM requests WHERE service = ? AND payment_id = ? AND finished_at IS NULL ORDER BY received_at"
)
_OUR_INVOICE: Final = (
    f"SELECT {INVOICE} FROM invoices WHERE service = ? AND payment_hash = ? AND node_id = ? AND payment_hash <> ''"
)
_BLOCKED: Final = "SELECT 1 FROM blocks WHERE service = ? AND caller = ?"
#: Refusals to who may take nothing here, whatever the invoice is.
_CLOSED: Final = frozenset({Reason.NOT_PERMITTED, Reason.UNKNOWN_TARGET})
_HAND_OVER: Final = "UPDATE requests SET grant_id = ? WHERE service = ? AND payment_id = ? AND finished_at IS NULL"
_SETTLE_INVOICE: Final = """
UPDATE invoices SET state = 'settled', internal = 1, received_msat = ?, settled_at = ?,
  preimage = iif(preimage = '', ?, preimage)
WHERE service = ? AND invoice_id = ?"""

# ---------------------------------------------------------------- claim


class _Holder(msgspec.Struct, frozen=True, gc=False):
    """The payment that holds a hash, as far as a claim looks it up."""

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
    key = (p.payment_hash, p.node_id)
    budget_id = tx.charges[0].budget_id if tx.charges else 0
    who = (request.wire, p.requestor, p.requestor) if p.requestor else ()
    keys = (request.request_id, caller, *key, caller, caller, budget_id, *key, batch.service)
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
    if our_state == InvoiceState.SETTLED:  # the node would only say that it finds no route to itself
        return Denied(Reason.INVOICE_TAKEN)
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
    payment = _look_up(batch, holder.payment_id).payment
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
    ours = _our_invoice(batch, p)
    if ours is None or ours.state is not InvoiceState.OPEN or ours.decision is not Decision.NONE:
        return False
    is_this = ours.bolt11 == invoice_text(p.destination)
    return is_this and (ours.amount_msat is None or ours.amount_msat <= p.amount_msat)


def _our_invoice(batch: Batch, p: Payment) -> Invoice | None:
    row = batch.execute(_OUR_INVOICE, (batch.service, p.payment_hash, p.node_id)).fetchone()
    return None if row is None else read_invoice(row)


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
    values = (batch.service, *write_claimed(p), _write_charges(found), state.value, state.value)
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


def _write_charges(found: list[budgets.Usage]) -> str:
    """The charges in the payment's row: grant, bucket, oldest, amount, limit, used right after, budget."""
    rows = [
        (c.grant_id, c.bucket, c.oldest, int(c.amount_msat), int(c.limit_msat), usage.after, c.budget_id)
        for usage in found
        for c in (usage.charge,)
    ]
    return msgspec.json.encode(rows).decode()


def _read_charges(stored: str) -> tuple[Charge, ...]:
    return tuple(
        Charge(grant_id, Msat(amount), Msat(limit), bucket, oldest, budget_id)
        for grant_id, bucket, oldest, amount, limit, _, budget_id in msgspec.json.decode(stored)
    )


# ---------------------------------------------------------------- record


def record_payment(batch: Batch, tx: RecordPayment) -> Recorded | InvoiceNotOpen:
    """Transaction 2: compare-and-set the outcome. Raises IllegalStepError where the table does not lead; nothing else
    about an outcome is refused, see :mod:`kitestring.ledger.apply.truth`."""
    held, outcome = batch.memory.take(tx.payment_id) or _look_up(batch, tx.payment_id), tx.outcome
    overdrawn = False
    if isinstance(outcome, Settled):
        state = step(held.state, State.SETTLED)
        payee: str | None = WORLD
        if held.payment.internal:
            payee = _settle_our_invoice(batch, held.payment, outcome, tx.now)
        if payee is None:
            return InvoiceNotOpen()
        fee = truth.paid_fee(batch, held.payment, outcome.fee_msat, tx.now)
        _write(batch, held, state, _SETTLE, fee, outcome.preimage, tx.now, payee)
        overdrawn = _post(batch, held, fee, payee, tx.now)
        _tell(batch, held.payment, EventKind.SETTLED, tx.now)
    elif isinstance(outcome, Failed):
        _write(batch, held, step(held.state, State.FAILED), _FAIL, truth.words(outcome.evidence))
        _release(batch, held)
        if held.payment.internal:
            _release_our_invoice(batch, held.payment, tx.now)
        tokens.release(batch, tx.payment_id)
        _tell(batch, held.payment, EventKind.FAILED, tx.now)
    else:
        _write(batch, held, step(held.state, State.UNKNOWN), _EXPLAIN, truth.words(outcome.why))
    return Recorded(None, _answer(batch, held, tx), overdrawn)


def resolve_payment(batch: Batch, tx: ResolvePayment) -> Recorded:
    """The operator's word: the reservation goes, the hash stays taken."""
    held = batch.memory.take(tx.payment_id) or _look_up(batch, tx.payment_id)
    _write(batch, held, step(held.state, State.RESOLVED), _EXPLAIN, truth.words(tx.note))
    _release(batch, held)
    _tell(batch, held.payment, EventKind.RESOLVED, tx.now)
    return Recorded(_look_up(batch, tx.payment_id).payment, _unanswered(batch, tx.payment_id))


def _tell(batch: Batch, p: Payment, kind: EventKind, now: int) -> None:
    batch.tell(kind, p.payment_id, now, grant_id=p.grant_id, account_id=p.account_id)


def _look_up(batch: Batch, payment_id: str) -> Reservation:
    row = batch.execute(_BY_ID, (batch.service, payment_id)).fetchone()
    if row is None:
        raise KitestringError(Reason.INTERNAL, f"the ledger holds no payment {payment_id}: nothing was recorded")
    payment, (number, charges) = read_payment(row), row[-2:]
    return Reservation(payment, payment.state, number, _read_charges(charges))


def _write(batch: Batch, held: Reservation, state: State, statement: str, *changes: int | str) -> None:
    key = (held.number, held.payment.payment_id, held.state.value)
    if batch.execute(statement, (state.value, *key, *changes)).rowcount != 1:
        raise KitestringError(Reason.INTERNAL, f"payment {held.payment.payment_id} is not {held.state.value} any more")
    if held.state in OPEN and state not in OPEN:
        batch.counts.count_payment(held.payment.node_id, -1)


def _answer(batch: Batch, held: Reservation, tx: RecordPayment) -> tuple[Request, ...]:
    """Store the answers; tells who waits for the payment and is not among them."""
    messages = tx.messages
    if len(messages) == 1 and held.request and messages[0].request_id == held.request_id:
        batch.store(messages, tx.now, held.request)
        if messages[0].kind == REPLY:
            return ()
    else:
        batch.store(messages, tx.now)
    return _unanswered(batch, tx.payment_id)


def _unanswered(batch: Batch, payment_id: str) -> tuple[Request, ...]:
    return tuple(read_request(row) for row in batch.execute(_WAITING, (batch.service, payment_id)).fetchall())


def _settle_our_invoice(batch: Batch, payment: Payment, outcome: Settled, now: int) -> str | None:
    """Settle the invoice an internal payment pays and say whose it is; None if it is not open any more. What is sent to
    the node's own key without an invoice is the owner's, as it is when somebody outside sends it."""
    if isinstance(payment.destination, Keysend):
        return OWNER_ACCOUNT
    ours = _our_invoice(batch, payment)
    if ours is None or not _may_settle(ours, payment):
        return None
    batch.counts.count_invoice(payment.node_id, ours.holders, -1)
    batch.execute(_SETTLE_INVOICE, (int(payment.amount_msat), now, outcome.preimage, batch.service, ours.invoice_id))
    tell_received(batch, ours, now)
    return ours.account_id


def _may_settle(ours: Invoice, payment: Payment) -> bool:
    if ours.is_hold:
        return _is_held(ours, payment) and ours.decision is Decision.SETTLE
    return ours.state is InvoiceState.OPEN


def _is_held(ours: Invoice, payment: Payment) -> bool:
    """Whether this payment is held for a hold invoice of ours."""
    return ours.state is InvoiceState.ACCEPTED and ours.held_by == payment.payment_id


def _release_our_invoice(batch: Batch, payment: Payment, now: int) -> None:
    """End the hold invoice for which a payment is held that has failed now."""
    ours = _our_invoice(batch, payment)
    if ours is not None and _is_held(ours, payment):
        call_canceled(batch, ours, now)


def _post(batch: Batch, held: Reservation, fee: int, payee: str, now: int) -> bool:
    """Move what was really paid, even beyond what was held. Answers whether the account is overdrawn by it.

    The operator had released the reservation of a late truth; nothing is released then.
    """
    p, account_id = held.payment, held.payment.account_id
    amount, cap, ours = int(p.amount_msat), int(p.fee_cap_msat), int(p.service_fee_msat)
    total, reserved = amount + fee + ours, int(p.reserved_msat) if held.state in OPEN else 0
    batch.move(account_id, payee, amount, fee)
    if ours:
        batch.move(account_id, SERVICE_FEES, ours, 0)
    batch.pend(account_id, -reserved)
    _correct_charges(batch, held, total)
    if total <= reserved:
        return False
    if fee > cap:
        batch.execute(_ALARM, (batch.service, p.payment_id, fee, cap))
    account = batch.of(account_id)
    if fee > cap or (account.kind == "sub" and account.available < 0):
        batch.mark(account_id, overdrawn=True)
        detail = f"payment {p.payment_hash} cost {total} msat, of which {reserved} were held: the account is overdrawn"
        batch.tell(EventKind.ALARM, account_id, now, account_id=account_id, detail=detail)
    return bool(account.overdrawn)


def _release(batch: Batch, held: Reservation) -> None:
    p = held.payment
    batch.pend(p.account_id, -int(p.reserved_msat))
    _correct_charges(batch, held, 0)


def _correct_charges(batch: Batch, held: Reservation, total: int) -> None:
    """Put the truth in place of what was reserved. A resolved payment had given its reservation back already."""
    for charge in held.charges:
        more = total - (int(charge.amount_msat) if held.state in OPEN else 0)
        if more:
            budgets.correct(batch, charge, more)
