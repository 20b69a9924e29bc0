"""A payment as it lies in the ledger: its row with its charges, and the invoice of ours that it pays."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from typing import Final

import msgspec

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.records import Charge, OwnInvoice, Payment
from kitestring.ledger.apply import budgets
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.apply.memory import Reservation
from kitestring.ledger.rows import INVOICE, PAYMENT, read_invoice, read_payment

_BY_ID: Final = f"SELECT {PAYMENT}, payment, charges FROM payments WHERE service = ? AND payment_id = ?"
_OUR_INVOICE: Final = (
    f"SELECT {INVOICE} FROM invoices WHERE service = ? AND payment_hash = ? AND node_id = ? AND payment_hash <> ''"
)


def our_invoice(batch: Batch, p: Payment) -> OwnInvoice | None:
    row = batch.execute(_OUR_INVOICE, (batch.service, p.payment_hash, p.node_id)).fetchone()
    return None if row is None else read_invoice(row)


def write_charges(found: list[budgets.Usage]) -> str:
    """The charges in the payment's row: grant, bucket, oldest, amount, limit, used right after, budget."""
    rows = [
        (c.grant_id, c.bucket, c.oldest, int(c.amount_msat), int(c.limit_msat), usage.after, c.budget_id)
        for usage in found
        for c in (usage.charge,)
    ]
    return msgspec.json.encode(rows).decode()


def read_charges(stored: str) -> tuple[Charge, ...]:
    return tuple(
        Charge(grant_id, Msat(amount), Msat(limit), bucket, oldest, budget_id)
        for grant_id, bucket, oldest, amount, limit, _, budget_id in msgspec.json.decode(stored)
    )


def look_up(batch: Batch, payment_id: str) -> Reservation:
    row = batch.execute(_BY_ID, (batch.service, payment_id)).fetchone()
    if row is None:
        raise KitestringError(Reason.INTERNAL, f"the ledger holds no payment {payment_id}: nothing was recorded")
    payment, (number, charges) = read_payment(row), row[-2:]
    return Reservation(payment, payment.state, number, read_charges(charges))
