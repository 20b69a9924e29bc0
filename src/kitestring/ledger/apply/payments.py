"""Transaction 2 of outgoing payments, after the node was asked: the outcome, or the word of the operator."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from typing import Final

from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.destinations import Keysend
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import EventKind
from kitestring.base.invoices import Decision, InvoiceState
from kitestring.base.payments import OPEN, Failed, Settled, State, step
from kitestring.base.records import REPLY, OwnInvoice, Payment, Request
from kitestring.base.transactions.answers import InvoiceNotOpen, Recorded
from kitestring.base.transactions.payments import RecordPayment, ResolvePayment
from kitestring.ledger.apply import budgets, tokens, truth
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.apply.holds import call_canceled
from kitestring.ledger.apply.memory import Reservation
from kitestring.ledger.apply.payment_rows import look_up, our_invoice
from kitestring.ledger.apply.received import tell_received
from kitestring.ledger.rows import REQUEST, SERVICE_FEES, WORLD, read_request

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
_SETTLE_INVOICE: Final = """
UPDATE invoices SET state = 'settled', internal = 1, received_msat = ?, settled_at = ?,
  preimage = iif(preimage = '', ?, preimage)
WHERE service = ? AND invoice_id = ?"""


def record_payment(batch: Batch, tx: RecordPayment) -> Recorded | InvoiceNotOpen:
    """Transaction 2: compare-and-set the outcome. Raises IllegalStepError where the table does not lead; nothing else
    about an outcome is refused, see :mod:`kitestring.ledger.apply.truth`."""
    held, outcome = batch.memory.take(tx.payment_id) or look_up(batch, tx.payment_id), tx.outcome
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
    held = batch.memory.take(tx.payment_id) or look_up(batch, tx.payment_id)
    _write(batch, held, step(held.state, State.RESOLVED), _EXPLAIN, truth.words(tx.note))
    _release(batch, held)
    _tell(batch, held.payment, EventKind.RESOLVED, tx.now)
    return Recorded(look_up(batch, tx.payment_id).payment, _unanswered(batch, tx.payment_id))


def _tell(batch: Batch, p: Payment, kind: EventKind, now: int) -> None:
    batch.tell(kind, p.payment_id, now, grant_id=p.grant_id, account_id=p.account_id)


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
    ours = our_invoice(batch, payment)
    if ours is None or not _may_settle(ours, payment):
        return None
    batch.counts.count_invoice(payment.node_id, ours.holders, -1)
    batch.execute(_SETTLE_INVOICE, (int(payment.amount_msat), now, outcome.preimage, batch.service, ours.invoice_id))
    tell_received(batch, ours, now)
    return ours.account_id


def _may_settle(ours: OwnInvoice, payment: Payment) -> bool:
    if ours.is_hold:
        return _is_held(ours, payment) and ours.decision is Decision.SETTLE
    return ours.state is InvoiceState.OPEN and ours.decision is Decision.NONE


def _is_held(ours: OwnInvoice, payment: Payment) -> bool:
    """Whether this payment is held for a hold invoice of ours."""
    return ours.state is InvoiceState.ACCEPTED and ours.held_by == payment.payment_id


def _release_our_invoice(batch: Batch, payment: Payment, now: int) -> None:
    """End the hold invoice for which a payment is held that has failed now."""
    ours = our_invoice(batch, payment)
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
