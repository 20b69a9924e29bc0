"""Outgoing payments: one, those that are open, and what they say about the node."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from typing import Final

from kitestring.base.approvals import Dealings
from kitestring.base.money import Msat
from kitestring.base.records import Payment
from kitestring.base.store import Places
from kitestring.ledger import rows
from kitestring.ledger.sqlite.reads.statements import Statements

#: Claims among which the highest count of the node's payments is looked for: a loss is told until so many followed.
NEWEST_CLAIMS: Final = 1_000
#: As the index of open payments says it.
_OPEN: Final = "(state = 'reserved' OR state = 'dispatched' OR state = 'unknown')"


class PaymentReads(Statements):
    """Outgoing payments: one, those that are open, and what they say about the node."""

    async def payment(self, payment_id: str) -> Payment | None:
        row = self._one(f"SELECT {rows.PAYMENT} FROM payments WHERE service = ? AND payment_id = ?", payment_id)
        return None if row is None else rows.read_payment(row)

    async def has_failed(self, node_id: str, payment_hash: str) -> bool:
        return bool(
            self._one(
                "SELECT 1 FROM payments WHERE service = ? AND payment_hash = ? AND node_id = ? AND holding = 0",
                payment_hash,
                node_id,
            )
        )

    async def holder(self, payment_hash: str) -> Payment | None:
        row = self._one(
            f"SELECT {rows.PAYMENT} FROM payments WHERE service = ? AND payment_hash = ? AND holding = 1", payment_hash
        )
        return None if row is None else rows.read_payment(row)

    async def payment_by_hash(self, node_id: str, payment_hash: str) -> Payment | None:
        row = self._one(
            f"SELECT {rows.PAYMENT} FROM payments"
            " WHERE service = ? AND payment_hash = ? AND node_id = ? AND holding = 1",
            payment_hash,
            node_id,
        ) or self._one(
            f"SELECT {rows.PAYMENT} FROM payments"
            " WHERE service = ? AND payment_hash = ? AND node_id = ? AND holding = 0"
            " ORDER BY created_at DESC, rowid DESC",
            payment_hash,
            node_id,
        )
        return None if row is None else rows.read_payment(row)

    async def dealings(self, requestor: str) -> Dealings:
        row = self._one(
            "SELECT count(*), coalesce(sum(p.amount_msat + p.fee_msat + p.service_fee_msat), 0),"
            " max(p.created_at), count(a.approval_id)"
            " FROM payments p LEFT JOIN approvals a ON a.service = p.service AND a.approval_id = p.payment_id"
            " WHERE p.service = ? AND p.requestor = ? AND p.requestor <> '' AND p.state = 'settled'",
            requestor,
        )
        return Dealings() if row is None else Dealings(row[0], Msat(row[1]), row[2], row[3] > 0)

    async def payment_index(self, node_id: str) -> int | None:
        newest = (
            "SELECT payment_index FROM payments INDEXED BY payments_by_time WHERE service = ? AND node_id = ?"
            f" AND holding = 1 ORDER BY created_at DESC LIMIT {NEWEST_CLAIMS}"
        )
        row = self._one(f"SELECT max(payment_index) FROM ({newest})", node_id)
        return None if row is None else row[0]

    async def least_payments(self, node_id: str) -> int | None:
        newest = (
            "SELECT payment, payment_index, state = 'settled' AND NOT internal AND NOT EXISTS (SELECT 1 FROM payments f"
            " WHERE f.service = p.service AND f.payment_hash = p.payment_hash AND f.node_id = p.node_id"
            " AND f.holding = 0) AS is_new"  # a new attempt takes the place of the one that has failed
            " FROM payments p INDEXED BY payments_by_time WHERE service = ? AND node_id = ?"
            f" AND holding = 1 ORDER BY created_at DESC LIMIT {NEWEST_CLAIMS}"
        )
        counted = f"SELECT payment_index + sum(is_new) OVER (ORDER BY payment DESC) AS least FROM ({newest})"
        row = self._one(f"SELECT max(least) FROM ({counted})", node_id)
        return None if row is None else row[0]

    async def open_payments(self) -> list[Payment]:
        found = self._all(f"SELECT payment, {rows.PAYMENT} FROM payments WHERE service = ? AND {_OPEN}")
        return [rows.read_payment(row[1:]) for row in sorted(found)]  # few, and their index has them by grant

    async def places(self, node_id: str) -> Places:
        payments = self._all(
            "SELECT grant_id, count(*) FROM payments INDEXED BY payments_open"
            f" WHERE service = ? AND node_id = ? AND {_OPEN} GROUP BY grant_id",
            node_id,
        )
        invoices = self._all("SELECT holder, number FROM open_invoices WHERE service = ? AND node_id = ?", node_id)
        return Places(dict(payments), dict(invoices))

    async def resolved_payments(self) -> list[Payment]:
        found = self._all(
            f"SELECT {rows.PAYMENT} FROM payments WHERE service = ? AND state = 'resolved' ORDER BY rowid"
        )
        return [rows.read_payment(row) for row in found]
