"""Invoices, and those that hold what was paid."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from typing import Final

from kitestring.base.invoices import InvoiceState
from kitestring.base.records import OwnInvoice
from kitestring.ledger import rows
from kitestring.ledger.sqlite.reads.statements import Statements

_ROW_OF_INVOICE: Final = "SELECT rowid FROM invoices WHERE service = ? AND invoice_id = ?"


class InvoiceReads(Statements):
    """Invoices, and those that hold what was paid."""

    async def invoice(self, invoice_id: str) -> OwnInvoice | None:
        row = self._one(f"SELECT {rows.INVOICE} FROM invoices WHERE service = ? AND invoice_id = ?", invoice_id)
        return None if row is None else rows.read_invoice(row)

    async def invoice_by_hash(self, node_id: str, payment_hash: str) -> OwnInvoice | None:
        row = self._one(
            f"SELECT {rows.INVOICE} FROM invoices"
            " WHERE service = ? AND payment_hash = ? AND node_id = ? AND payment_hash <> ''",
            payment_hash,
            node_id,
        )
        return None if row is None else rows.read_invoice(row)

    async def invoices(
        self, state: InvoiceState, *, after: OwnInvoice | None = None, limit: int = 0, expires_before: int = 0
    ) -> list[OwnInvoice]:
        which, order = "state <> 'settled' AND state = ?", "expires_at"
        if state is InvoiceState.SETTLED:
            which, order = "state = ?", "created_at"
        values: list[object] = [state.value]
        if after is not None:
            which += f" AND ({order}, rowid) > (?, coalesce(({_ROW_OF_INVOICE}), 0))"
            values += [getattr(after, order), self._service, after.invoice_id]
        if expires_before:
            which += " AND expires_at < ?"
            values.append(expires_before)
        found = self._all(
            f"SELECT {rows.INVOICE} FROM invoices WHERE service = ? AND {which} ORDER BY {order}, rowid LIMIT ?",
            *values,
            limit or -1,
        )
        return [rows.read_invoice(row) for row in found]

    async def holds(self, *, after: str = "", limit: int = 0) -> list[OwnInvoice]:
        return self._from(
            "INDEXED BY invoices_held", "hold_blocks > 0 AND (state = 'open' OR state = 'accepted')", after, limit
        )

    async def to_cancel(self, *, after: str = "", limit: int = 0) -> list[OwnInvoice]:
        which = "decision = 'cancel' AND hold_blocks = 0 AND state = 'open'"
        return self._from("INDEXED BY invoices_to_cancel", which, after, limit)

    def _from(self, index: str, which: str, after: str, limit: int) -> list[OwnInvoice]:
        """Read what an index lists, in the order in which it was made."""
        found = self._all(
            f"SELECT {rows.INVOICE} FROM invoices {index} WHERE service = ? AND {which}"
            f" AND invoice > coalesce(({_ROW_OF_INVOICE}), 0) ORDER BY invoice LIMIT ?",
            self._service,
            after,
            limit or -1,
        )
        return [rows.read_invoice(row) for row in found]
