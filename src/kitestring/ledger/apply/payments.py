"""Claim, record and resolve outgoing payments: the two transactions around the one call to the node."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.payments import OPEN, Failed, Settled, State, step
from kitestring.base.records import Charge, Payment, Request
from kitestring.base.transactions import (
    AlreadyPaid,
    Claimed,
    ClaimPayment,
    Denied,
    InvoiceNotOpen,
    Joined,
    Recorded,
    RecordPayment,
    ResolvePayment,
    Running,
    Stale,
    TxAnswer,
)
from kitestring.ledger.apply.batch import USERS, Balance, Batch
from kitestring.ledger.apply.memory import Charged, Reservation
from kitestring.ledger.rows import (
    PAYMENT,
    REQUEST,
    STATES,
    WORLD,
    read_payment,
    read_request,
    write_payment,
)

_FACTS: Final = """
SELECT r.request, r.finished_at, g.version, g.revoked_at, h.payment_id, h.grant_id, h.state, b.used_msat, b.oldest,
  i.state = 'open' AND i.bolt11 = ?
FROM services s
LEFT JOIN requests r ON r.service = s.service AND r.request_id = ?
LEFT JOIN grants g ON g.service = s.service AND g.grant_id = ?
LEFT JOIN payments h ON h.service = s.service AND h.payment_hash = ? AND h.node_id = ? AND h.holding = 1
LEFT JOIN budgets b ON b.service = s.service AND b.grant_id = ?
LEFT JOIN invoices i ON i.service = s.service AND i.payment_hash = ? AND i.node_id = ? AND i.payment_hash <> ''
WHERE s.service = ?"""
_INSERT: Final = f"INSERT INTO payments (service, {PAYMENT}, transfer, charges, steps) VALUES (?{', ?' * 24})"
_BY_ID: Final = f"SELECT {PAYMENT}, payment, transfer, charges FROM payments WHERE service = ? AND payment_id = ?"
_UPDATE: Final = (
    "UPDATE payments SET state = ?1, fee_msat = ?2, preimage = ?3, evidence = ?4, settled_at = ?5,"
    " steps = steps || ' ' || ?1 WHERE payment = ?6 AND payment_id = ?7 AND state = ?8"
)
_FAIL: Final = _UPDATE.replace("SET", "SET holding = 0,")
_ALARM: Final = "INSERT INTO overspends VALUES (?, ?, ?, ?)"
_WAITING: Final = (
    f"SELECT {REQUEST} FROM requests WHERE service = ? AND payment_id = ? AND finished_at IS NULL ORDER BY received_at"
)
_OUR_INVOICE: Final = (
    "SELECT state, bolt11, amount_msat, account_id, invoice_id FROM invoices"
    " WHERE service = ? AND payment_hash = ? AND node_id = ? AND payment_hash <> ''"
)
_SETTLE_INVOICE: Final = """
UPDATE invoices SET state = 'settled', internal = 1, received_msat = ?, settled_at = ?,
  preimage = iif(preimage = '', ?, preimage)
WHERE service = ? AND invoice_id = ?"""
_BUDGET: Final = "SELECT used_msat, oldest FROM budgets WHERE service = ? AND grant_id = ?"
_EXPIRED: Final = "SELECT coalesce(sum(used_msat), 0) FROM buckets WHERE service = ? AND grant_id = ? AND bucket < ?"
_FORGET_BUCKETS: Final = "DELETE FROM buckets WHERE service = ? AND grant_id = ? AND bucket < ?"
_MOVE_BUDGET: Final = """
INSERT INTO budgets VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET used_msat = excluded.used_msat, oldest = excluded.oldest"""
_USE_BUDGET: Final = "UPDATE budgets SET used_msat = used_msat + ? WHERE service = ? AND grant_id = ?"
_FILL_BUCKET: Final = """
INSERT INTO buckets VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET used_msat = used_msat + excluded.used_msat"""
_CORRECT_BUCKET: Final = (
    "UPDATE buckets SET used_msat = used_msat + ? WHERE service = ? AND grant_id = ? AND bucket = ?"
)
_CHARGE: Final = "INSERT INTO charges VALUES (?, ?, ?, ?, ?, ?, ?)"
_CHARGES: Final = "SELECT grant_id, bucket, amount_msat FROM charges WHERE service = ? AND transfer = ?"

#: (used, moves): what a charge finds in its budget, and whether the budget's window begins anew with it.
Found = tuple[int, bool]
#: state, fee in msat, preimage, evidence, settled_at: what an outcome changes in the payment's row.
Change = tuple[str, int, str, str, int | None]


# ---------------------------------------------------------------- claim


def claim_payment(batch: Batch, tx: ClaimPayment) -> TxAnswer:
    """Transaction 1. One look-up brings every fact; nothing is written before every check has passed."""
    p, request = tx.payment, tx.request
    caller = request.grant_id
    key = (p.payment_hash, p.node_id)
    keys = (p.bolt11, request.request_id, caller, *key, caller, *key, batch.service)
    facts = batch.execute(_FACTS, keys).fetchone()
    known, finished_at, version, revoked_at, held_id, held_grant, held_state, used, oldest, is_ours = facts
    if known is not None:
        return Running() if finished_at is None else batch.finished(known)
    if request.sent_at < batch.sums.pruned_before:
        return Denied(Reason.STALE_REQUEST)
    account = batch.balance(p.account_id)
    if version != tx.grant_version or revoked_at is not None or account is None or account.kind not in USERS:
        return Stale()
    if held_id is not None:
        return _held(batch, request, held_id, held_grant == p.grant_id, STATES[held_state])
    if batch.sums.stopped:  # only new money stops: what is paid or under way keeps its answer
        return Denied(Reason.SPENDING_STOPPED)
    if not _is_payable(batch, p) if p.internal else is_ours:
        return Stale()
    held = int(p.amount_msat) + int(p.fee_cap_msat)
    refusal = _uncovered(batch, tx, held, account)
    if refusal is not None:
        return refusal
    row = (used, oldest)
    found = [_budget(batch, charge, row if charge.grant_id == caller else None) for charge in tx.charges]
    for charge, (before, _) in zip(tx.charges, found, strict=True):
        if before + int(charge.amount_msat) > int(charge.limit_msat):
            return Denied(Reason.OVER_BUDGET, Msat(max(0, int(charge.limit_msat) - before)))
    _write_claim(batch, tx, held, found)
    return Claimed()


def _held(batch: Batch, request: Request, payment_id: str, same_grant: bool, state: State) -> TxAnswer:
    if not same_grant or state is State.RESOLVED:
        return Denied(Reason.INVOICE_TAKEN)
    batch.memory.take(payment_id)  # it does not know of a second request
    payment = _look_up(batch, payment_id).payment
    if state is State.SETTLED:
        return AlreadyPaid(payment)
    batch.insert_request(request, payment_id)
    return Joined(payment)


def _is_payable(batch: Batch, p: Payment) -> bool:
    """Is this our own open invoice, the very same one? A wrapped invoice shares the hash, but is another bolt11."""
    row = batch.execute(_OUR_INVOICE, (batch.service, p.payment_hash, p.node_id)).fetchone()
    if row is None:
        return False
    state, bolt11, amount, _, _ = row
    return bool(state == "open" and bolt11 == p.bolt11 and (amount is None or amount <= int(p.amount_msat)))


def _uncovered(batch: Batch, tx: ClaimPayment, held: int, account: Balance) -> Denied | None:
    """An overdrawn sub-account waits for a credit that covers it, the owner for a fresh view of the node."""
    overdrawn, available = account.overdrawn, account.available
    if tx.payment.account_id == OWNER_ACCOUNT:
        if tx.view is None:
            return Denied(Reason.UNAVAILABLE)
        available = batch.owner_spendable(tx.view)
        overdrawn = overdrawn and not batch.is_fresh(tx.view)
    if overdrawn:
        return Denied(Reason.INSUFFICIENT_FUNDS, Msat(0))
    if held > available:
        return Denied(Reason.INSUFFICIENT_FUNDS, Msat(max(0, available)))
    return None


def _budget(batch: Batch, charge: Charge, known: Sequence[int | None] | None) -> Found:
    """``known`` is the budget's row, as far as the facts have brought it. Expired buckets are subtracted here."""
    key = (batch.service, charge.grant_id)
    used, oldest = known or batch.execute(_BUDGET, key).fetchone() or (None, None)
    if used is None or oldest is None:
        return 0, True
    if charge.oldest <= oldest:
        return used, False
    return used - int(batch.execute(_EXPIRED, (*key, charge.oldest)).fetchone()[0]), True


def _write_claim(batch: Batch, tx: ClaimPayment, held: int, found: list[Found]) -> None:
    p, request = tx.payment, tx.request
    # An internal payment stays reserved; any other is dispatched by this very commit.
    state = State.RESERVED if p.internal else step(State.RESERVED, State.DISPATCHED)
    transfer = batch.hold("internal" if p.internal else "payment", p.account_id, held, p.created_at)
    waiting = batch.insert_request(request, p.payment_id)
    values = (batch.service, *write_payment(p, state.value), transfer, len(tx.charges), state.value)
    number = batch.execute(_INSERT, values).lastrowid or 0
    for charge, (before, moves) in zip(tx.charges, found, strict=True):
        _write_charge(batch, transfer, charge, before, moves=moves)
    if tx.view is not None and p.account_id == OWNER_ACCOUNT:
        batch.remember_view(tx.view)
    charged = tuple(Charged(c.grant_id, c.bucket, int(c.amount_msat)) for c in tx.charges)
    batch.memory.claimed(Reservation(p, state, number, transfer, charged, waiting, request.request_id))


def _write_charge(batch: Batch, transfer: int, charge: Charge, before: int, *, moves: bool) -> None:
    """The charge, its bucket and the running sum. ``before``: what was used of the budget without it."""
    service, grant_id, amount = batch.service, charge.grant_id, int(charge.amount_msat)
    limit = int(charge.limit_msat)
    batch.execute(_CHARGE, (service, transfer, grant_id, charge.bucket, amount, limit, before + amount))
    if moves:
        batch.execute(_FORGET_BUCKETS, (service, grant_id, charge.oldest))
        batch.execute(_MOVE_BUDGET, (service, grant_id, before + amount, charge.oldest))
    else:
        batch.execute(_USE_BUDGET, (amount, service, grant_id))
    batch.execute(_FILL_BUCKET, (service, grant_id, charge.bucket, amount))


# ---------------------------------------------------------------- record


def record_payment(batch: Batch, tx: RecordPayment) -> TxAnswer:
    """Transaction 2: compare-and-set the outcome. Raises IllegalStepError where the table does not lead."""
    held, outcome = batch.memory.take(tx.payment_id) or _look_up(batch, tx.payment_id), tx.outcome
    overdrawn = False
    if isinstance(outcome, Settled):
        state = step(held.state, State.SETTLED)
        payee: str | None = WORLD
        if held.payment.internal:
            payee = _settle_our_invoice(batch, held.payment, outcome, tx.now)
        if payee is None:
            return InvoiceNotOpen()
        change: Change = (state.value, int(outcome.fee_msat), outcome.preimage, held.payment.evidence, tx.now)
        overdrawn = _post(batch, held, int(outcome.fee_msat), payee, tx.now)
    elif isinstance(outcome, Failed):
        change = (step(held.state, State.FAILED).value, 0, "", outcome.evidence, None)
        _release(batch, held)
    else:
        change = (step(held.state, State.UNKNOWN).value, 0, "", outcome.why, None)
    _write(batch, held, change)
    return Recorded(None, _answer(batch, held, tx), overdrawn)


def resolve_payment(batch: Batch, tx: ResolvePayment) -> TxAnswer:
    """The operator's word: the reservation goes, the hash stays taken."""
    held = batch.memory.take(tx.payment_id) or _look_up(batch, tx.payment_id)
    change: Change = (step(held.state, State.RESOLVED).value, 0, "", tx.note, None)
    _release(batch, held)
    _write(batch, held, change)
    return Recorded(_look_up(batch, tx.payment_id).payment, _unanswered(batch, tx.payment_id))


def _look_up(batch: Batch, payment_id: str) -> Reservation:
    row = batch.execute(_BY_ID, (batch.service, payment_id)).fetchone()
    if row is None:
        raise KitestringError(Reason.INTERNAL, f"the ledger holds no payment {payment_id}: nothing was recorded")
    payment, (number, transfer, is_charged) = read_payment(row), row[-3:]
    charges = batch.execute(_CHARGES, (batch.service, transfer)).fetchall() if is_charged else ()
    return Reservation(payment, payment.state, number, transfer, tuple(Charged(*charge) for charge in charges))


def _write(batch: Batch, held: Reservation, change: Change) -> None:
    key = (held.number, held.payment.payment_id, held.state.value)
    if batch.execute(_FAIL if change[0] == "failed" else _UPDATE, (*change, *key)).rowcount != 1:
        raise KitestringError(Reason.INTERNAL, f"payment {held.payment.payment_id} is not {held.state.value} any more")


def _answer(batch: Batch, held: Reservation, tx: RecordPayment) -> tuple[Request, ...]:
    """Store the answers; tells who waits for the payment and is not among them."""
    messages = tx.messages
    if len(messages) == 1 and held.request and messages[0].request_id == held.request_id:
        batch.store(messages, tx.now, held.request)
        if messages[0].part == "reply":
            return ()
    else:
        batch.store(messages, tx.now)
    return _unanswered(batch, tx.payment_id)


def _unanswered(batch: Batch, payment_id: str) -> tuple[Request, ...]:
    return tuple(read_request(row) for row in batch.execute(_WAITING, (batch.service, payment_id)).fetchall())


def _settle_our_invoice(batch: Batch, payment: Payment, outcome: Settled, now: int) -> str | None:
    """Settle the invoice an internal payment pays and say whose it is; None if it is not open any more."""
    found = batch.execute(_OUR_INVOICE, (batch.service, payment.payment_hash, payment.node_id)).fetchone()
    if found is None or found[0] != "open":
        return None
    batch.execute(_SETTLE_INVOICE, (int(payment.amount_msat), now, outcome.preimage, batch.service, found[4]))
    return str(found[3])


def _post(batch: Batch, held: Reservation, fee: int, payee: str, now: int) -> bool:
    """Book what was really paid, even beyond what was held. Answers whether the account is overdrawn by it."""
    p, account_id = held.payment, held.payment.account_id
    amount, cap = int(p.amount_msat), int(p.fee_cap_msat)
    total, reserved = amount + fee, 0
    if held.state in OPEN:
        reserved = amount + cap
        batch.post(held.transfer, account_id, payee, amount, fee)
        batch.pend(account_id, -reserved)
    else:  # The operator released the first transfer; the late truth gets one of its own.
        note = f"payment {p.payment_id} settled after it was resolved"
        batch.book("late", account_id, payee, amount, now, fee=fee, note=note)
    _correct_charges(batch, held, total)
    if total <= reserved:
        return False
    if fee > cap:
        batch.execute(_ALARM, (batch.service, p.payment_id, fee, cap))
    account = batch.accounts[account_id]
    if fee > cap or (account.kind == "sub" and account.available < 0):
        batch.mark(account_id, overdrawn=True)
    return bool(account.overdrawn)


def _release(batch: Batch, held: Reservation) -> None:
    batch.void(held.transfer, held.payment.account_id, int(held.payment.amount_msat) + int(held.payment.fee_cap_msat))
    _correct_charges(batch, held, 0)


def _correct_charges(batch: Batch, held: Reservation, total: int) -> None:
    """A bucket that has left the window is gone, and nothing is corrected in it. What was resolved counted nothing."""
    for charge in held.charges:
        more = total - (charge.amount if held.state in OPEN else 0)
        key = (batch.service, charge.grant_id)
        if more and batch.execute(_CORRECT_BUCKET, (more, *key, charge.bucket)).rowcount:
            batch.execute(_USE_BUDGET, (more, *key))
