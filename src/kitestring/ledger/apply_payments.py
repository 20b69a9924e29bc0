"""Claim, record and resolve outgoing payments: the two transactions around the one call to the node."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.ledger import (
    AlreadyPaid,
    Charge,
    Claimed,
    ClaimPayment,
    Denied,
    InvoiceNotOpen,
    Joined,
    Payment,
    Recorded,
    RecordPayment,
    Request,
    ResolvePayment,
    Running,
    Stale,
    TxAnswer,
)
from kitestring.base.money import Msat
from kitestring.base.payments import OPEN, Failed, Settled, State, step
from kitestring.ledger.batch import Batch
from kitestring.ledger.rows import (
    FEES,
    PAYMENT,
    REQUEST,
    STATES,
    WORLD,
    Row,
    read_payment,
    read_request,
    write_payment,
)

#: Where the columns begin that an outcome changes; two of the store's own follow the payment's.
_CHANGING: Final = 16
_TRANSFER: Final = 21
_IS_CHARGED: Final = 22

_FACTS: Final = """
SELECT r.request_id, r.finished_at, g.version, g.revoked_at, a.kind, a.overdrawn,
  a.credits_msat - a.posted_msat - a.pending_msat, h.payment_id, h.grant_id, h.state,
  b.used_msat, b.oldest
FROM services s
LEFT JOIN requests r ON r.service = s.service AND r.request_id = ?
LEFT JOIN grants g ON g.service = s.service AND g.grant_id = ?
LEFT JOIN accounts a ON a.service = s.service AND a.account_id = ?
LEFT JOIN payments h ON h.service = s.service AND h.payment_hash = ? AND h.node_id = ? AND h.holding = 1
LEFT JOIN budgets b ON b.service = s.service AND b.grant_id = ?
WHERE s.service = ?"""
_INSERT: Final = f"INSERT INTO payments (service, {PAYMENT}, transfer, charges) VALUES (?{', ?' * 23})"
_BY_ID: Final = f"SELECT {PAYMENT}, transfer, charges FROM payments WHERE service = ? AND payment_id = ?"
_UPDATE: Final = (
    "UPDATE payments SET state = ?, fee_msat = ?, preimage = ?, evidence = ?, settled_at = ?"
    " WHERE service = ? AND payment_id = ?"
)
_FAIL: Final = _UPDATE.replace("SET", "SET holding = 0,")
_SPEND: Final = (
    "UPDATE accounts SET posted_msat = posted_msat + ?, pending_msat = pending_msat - ?"
    " WHERE service = ? AND account_id = ?"
)
_OVERSPEND: Final = """
UPDATE accounts SET posted_msat = posted_msat + ?, pending_msat = pending_msat - ?,
  overdrawn = overdrawn OR ? OR (kind = 'sub' AND credits_msat - posted_msat - pending_msat < ?)
WHERE service = ? AND account_id = ? RETURNING overdrawn"""
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
INSERT INTO budgets VALUES (?, ?, 0, ?) ON CONFLICT DO UPDATE SET oldest = excluded.oldest"""
_CHARGE: Final = "INSERT INTO charges VALUES (?, ?, ?, ?, ?, ?, ?)"
_CORRECT_CHARGE: Final = "UPDATE charges SET amount_msat = ? WHERE service = ? AND transfer = ?"

#: (used, moves): what a charge finds in its budget, and whether the budget's window begins anew with it.
Found = tuple[int, bool]


# ---------------------------------------------------------------- claim


def claim_payment(batch: Batch, tx: ClaimPayment) -> TxAnswer:
    """Transaction 1. One look-up brings every fact; nothing is written before every check has passed."""
    p, request = tx.payment, tx.request
    caller = request.grant_id
    keys = (request.request_id, caller, p.account_id, p.payment_hash, p.node_id, caller, batch.service)
    facts = batch.execute(_FACTS, keys).fetchone()
    known, finished_at, version, revoked_at, kind, overdrawn, available, *held_by, used, oldest = facts
    held_id, held_grant, held_state = held_by
    if known is not None:
        return Running() if finished_at is None else batch.finished(request.request_id)
    if request.sent_at < batch.sums.pruned_before:
        return Denied(Reason.STALE_REQUEST)
    if version != tx.grant_version or revoked_at is not None or kind not in ("owner", "sub"):
        return Stale()
    if held_id is not None:
        return _held(batch, request, held_id, held_grant == p.grant_id, STATES[held_state])
    if batch.sums.stopped:  # only new money stops: what is paid or under way keeps its answer
        return Denied(Reason.NODE_UNAVAILABLE)
    if p.internal and not _is_payable(batch, p):
        return Stale()
    held = int(p.amount_msat) + int(p.fee_cap_msat)
    refusal = _uncovered(batch, tx, held, bool(overdrawn), available)
    if refusal is not None:
        return refusal
    row = (used, oldest)
    found = [_budget(batch, charge, row if charge.grant_id == caller else None) for charge in tx.charges]
    for charge, (before, _) in zip(tx.charges, found, strict=True):
        if before + int(charge.amount_msat) > int(charge.limit_msat):
            return Denied(Reason.OVER_BUDGET, Msat(max(0, int(charge.limit_msat) - before)))
    _write_claim(batch, tx, held, found, covers=bool(overdrawn))
    return Claimed()


def _held(batch: Batch, request: Request, payment_id: str, same_grant: bool, state: State) -> TxAnswer:
    if not same_grant or state is State.RESOLVED:
        return Denied(Reason.INVOICE_TAKEN)
    payment = read_payment(_payment_row(batch, payment_id))
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


def _uncovered(batch: Batch, tx: ClaimPayment, held: int, overdrawn: bool, available: int) -> Denied | None:
    """An overdrawn sub-account waits for a credit that covers it, the owner for a fresh view of the node."""
    if tx.payment.account_id == OWNER_ACCOUNT:
        if tx.view is None:
            return Denied(Reason.NODE_UNAVAILABLE)
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


def _write_claim(batch: Batch, tx: ClaimPayment, held: int, found: list[Found], *, covers: bool) -> None:
    p = tx.payment
    # An internal payment stays reserved; any other is dispatched by this very commit.
    state = State.RESERVED if p.internal else step(State.RESERVED, State.DISPATCHED)
    number = batch.hold("internal" if p.internal else "payment", p.account_id, held, p.created_at)
    batch.reserve(p.account_id, held)
    batch.insert_request(tx.request, p.payment_id)
    batch.execute(_INSERT, (batch.service, *write_payment(p, state.value), number, len(tx.charges)))
    for charge, (before, moves) in zip(tx.charges, found, strict=True):
        _write_charge(batch, number, charge, before, moves=moves)
    if tx.view is not None and p.account_id == OWNER_ACCOUNT:
        batch.remember_view(tx.view, covers=covers)


def _write_charge(batch: Batch, transfer: int, charge: Charge, before: int, *, moves: bool) -> None:
    """The charge alone is written; triggers carry it into its bucket and into the running sum."""
    service, grant_id, amount = batch.service, charge.grant_id, int(charge.amount_msat)
    if moves:
        batch.execute(_FORGET_BUCKETS, (service, grant_id, charge.oldest))
        batch.execute(_MOVE_BUDGET, (service, grant_id, charge.oldest))
    limit = int(charge.limit_msat)
    batch.execute(_CHARGE, (service, transfer, grant_id, charge.bucket, amount, limit, before + amount))


# ---------------------------------------------------------------- record


def record_payment(batch: Batch, tx: RecordPayment) -> TxAnswer:
    """Transaction 2: compare-and-set the outcome. Raises IllegalStepError where the table does not lead."""
    row = _payment_row(batch, tx.payment_id)
    before, outcome = STATES[row[16]], tx.outcome
    overdrawn = False
    if isinstance(outcome, Settled):
        state = step(before, State.SETTLED)
        payee = _settle_our_invoice(batch, row, outcome, tx.now) if row[10] else None
        if row[10] and payee is None:
            return InvoiceNotOpen()
        change: Sequence[Any] = (state.value, int(outcome.fee_msat), outcome.preimage, row[19], tx.now)
        overdrawn = _post(batch, row, is_held=before in OPEN, fee=int(outcome.fee_msat), payee=payee, now=tx.now)
    elif isinstance(outcome, Failed):
        state = step(before, State.FAILED)
        change = (state.value, 0, "", outcome.evidence, None)
        _release(batch, row)
    else:
        state = step(before, State.UNKNOWN)
        change = (state.value, 0, "", outcome.why, None)
    return _finish(batch, row, change, tx, overdrawn)


def resolve_payment(batch: Batch, tx: ResolvePayment) -> TxAnswer:
    """The operator's word: the reservation goes, the hash stays taken."""
    row = _payment_row(batch, tx.payment_id)
    state = step(STATES[row[16]], State.RESOLVED)
    _release(batch, row)
    return _finish(batch, row, (state.value, 0, "", tx.note, None), None, False)


def _payment_row(batch: Batch, payment_id: str) -> Row:
    row: Row | None = batch.execute(_BY_ID, (batch.service, payment_id)).fetchone()
    if row is None:
        raise KitestringError(Reason.INTERNAL, f"the ledger holds no payment {payment_id}: nothing was recorded")
    return row


def _finish(batch: Batch, row: Row, change: Sequence[Any], tx: RecordPayment | None, overdrawn: bool) -> Recorded:
    key = (batch.service, row[0])
    batch.execute(_FAIL if change[0] == "failed" else _UPDATE, (*change, *key))
    if tx is not None:
        batch.store(tx.messages, tx.now)
    unanswered = tuple(read_request(waiting) for waiting in batch.execute(_WAITING, key).fetchall())
    return Recorded(read_payment((*row[:_CHANGING], *change)), unanswered, overdrawn)


def _settle_our_invoice(batch: Batch, row: Row, outcome: Settled, now: int) -> str | None:
    """Settle the invoice an internal payment pays and say whose it is; None if it is not open any more."""
    found = batch.execute(_OUR_INVOICE, (batch.service, row[5], row[1])).fetchone()
    if found is None or found[0] != "open":
        return None
    batch.execute(_SETTLE_INVOICE, (row[7], now, outcome.preimage, batch.service, found[4]))
    return str(found[3])


def _post(batch: Batch, row: Row, *, is_held: bool, fee: int, payee: str | None, now: int) -> bool:
    """Book what was really paid, even beyond what was held. Answers whether the account is overdrawn by it."""
    account_id, amount, cap, number = row[3], row[7], row[8], row[_TRANSFER]
    held, total, sums = (amount + cap if is_held else 0), amount + fee, batch.sums
    if not is_held:  # The operator released the first transfer; the late truth gets one of its own.
        number = batch.hold("late", account_id, 0, now, note=f"payment {row[0]} settled after it was resolved")
    legs = [(account_id, -total), (payee or WORLD, amount)]
    if fee:
        legs.append((FEES, fee))
        sums.fees_credits += fee
    batch.post(number, total, legs)
    if payee is None:
        sums.world_credits += amount
        sums.spent += total
        if sums.node_balance is not None:
            sums.node_balance -= total
    else:
        batch.credit(payee, amount)
    if account_id != OWNER_ACCOUNT:
        sums.sub_accounts -= total
    batch.count_pending(account_id, -held)
    _correct_charge(batch, row, total)
    if total <= held:
        batch.execute(_SPEND, (total, held, batch.service, account_id))
        return False
    beyond_cap = int(fee > cap)
    if beyond_cap:
        batch.execute(_ALARM, (batch.service, row[0], fee, cap))
    changed = batch.execute(_OVERSPEND, (total, held, beyond_cap, total - held, batch.service, account_id)).fetchone()
    return bool(changed[0])


def _release(batch: Batch, row: Row) -> None:
    batch.void(row[_TRANSFER], row[3], row[7] + row[8])
    _correct_charge(batch, row, 0)


def _correct_charge(batch: Batch, row: Row, total: int) -> None:
    if row[_IS_CHARGED]:
        batch.execute(_CORRECT_CHARGE, (total, batch.service, row[_TRANSFER]))
