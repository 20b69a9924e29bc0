"""Payments and invoices as one list, as their owner may see them."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kitestring.base.commands import ListTransactions
from kitestring.base.outcomes import Direction, Transaction
from kitestring.base.store import Scope
from kitestring.ledger import rows
from kitestring.ledger.shown import incoming, outgoing
from kitestring.ledger.sqlite.reads.statements import Statements

#: How far into a list anybody may page, offset and page together: what lies before a page is walked through on the loop
#: (a few milliseconds at this limit). A caller that wants older rows bounds them by time.
LIST_LIMIT: Final = 10_000
#: As many transactions are counted for whoever lists them, in about half a millisecond.
COUNT_LIMIT: Final = 1_000
#: Beyond every time there will be.
_EVER: Final = 1 << 62


class TransactionReads(Statements):
    """Payments and invoices as one list, as their owner may see them."""

    async def transaction(
        self, scope: Scope, payment_hash: str, direction: Direction | None = None
    ) -> Transaction | None:
        """The invoice of that hash in this scope, else the payment that holds the hash, else the newest failed one."""
        if direction is not Direction.OUTGOING:
            row = self._invoice_of(scope, payment_hash)
            if row is not None or direction is not None:
                return row
        return self._payment_of(scope, payment_hash)

    def _invoice_of(self, scope: Scope, payment_hash: str) -> Transaction | None:
        # Left to itself SQLite walks through all of the scope, which stand in the order of time already.
        where, values = _within(scope)
        row = self._one(
            f"SELECT {rows.INVOICE} FROM invoices INDEXED BY invoices_by_hash"
            f" WHERE service = ? AND payment_hash = ? AND payment_hash <> ''{where}",
            payment_hash,
            *values,
        )
        return None if row is None else incoming(rows.read_invoice(row))

    def _payment_of(self, scope: Scope, payment_hash: str) -> Transaction | None:
        where, values = _within(scope)
        row = self._one(
            f"SELECT {rows.PAYMENT} FROM payments INDEXED BY payments_holding"
            f" WHERE service = ? AND payment_hash = ? AND holding = 1{where}",
            payment_hash,
            *values,
        ) or self._one(
            f"SELECT {rows.PAYMENT} FROM payments INDEXED BY payments_failed"
            f" WHERE service = ? AND payment_hash = ? AND holding = 0{where} ORDER BY created_at DESC, rowid DESC",
            payment_hash,
            *values,
        )
        return None if row is None else outgoing(rows.read_payment(row))

    async def transactions(self, scope: Scope, query: ListTransactions) -> list[Transaction]:
        """Newest first. Without the unpaid flags only what has settled. Nothing beyond :data:`LIST_LIMIT`."""
        found = (self._shown(*key) for key in self._page(scope, query))
        return [one for one in found if one is not None]

    def _page(self, scope: Scope, query: ListTransactions) -> list[tuple[str, int]]:
        """Table and row id of each transaction on the page. What lies before it is only counted off, in the indexes
        that SQLite merges."""
        if query.offset >= LIST_LIMIT:
            return []
        keys, bounds = self._matching(scope, query)
        end = min(query.offset + query.limit, LIST_LIMIT)
        rest = (end - query.offset, query.offset)
        found = self._run(f"{keys} ORDER BY made DESC, number DESC LIMIT ? OFFSET ?", bounds + rest)
        return [(kind, number) for kind, number, _ in found]

    def _matching(self, scope: Scope, query: ListTransactions) -> tuple[str, tuple[Any, ...]]:
        """The statement for table, row id and time of every transaction that ``query`` is about, and its values."""
        where, values = _within(scope)
        parts: tuple[_Part, ...] = ()
        if query.direction != "incoming":
            parts += _OUTGOING if query.unpaid_outgoing else _PAID
        if query.direction != "outgoing":
            parts += _INCOMING if query.unpaid_incoming else _RECEIVED
        order = "grant" if scope.grant_id else "account" if scope.account_id else "time"
        keys = " UNION ALL ".join(
            f"SELECT '{table}' AS kind, rowid AS number, created_at AS made FROM {table} INDEXED BY {index}_by_{order}"
            f" WHERE service = ?{where} AND created_at BETWEEN ? AND ? AND {which}"
            for table, index, which in parts
        )
        return keys, (self._service, *values, query.from_, query.until or _EVER) * len(parts)

    async def count_transactions(self, scope: Scope, query: ListTransactions) -> int | None:
        """None for more than :data:`COUNT_LIMIT`: no list costs more for having grown long."""
        keys, bounds = self._matching(scope, query)
        ((found,),) = self._run(f"SELECT count(*) FROM ({keys} LIMIT ?)", (*bounds, COUNT_LIMIT + 1))
        return found if found <= COUNT_LIMIT else None

    def _shown(self, table: str, number: int) -> Transaction | None:
        """None if the row went between the two looks (an invoice that a stranger never paid)."""
        columns, show = _SHOWN[table]
        row = self._run(f"SELECT {columns} FROM {table} WHERE rowid = ?", (number,))
        return show(row[0]) if row else None


#: What a list walks through: a table, an index of it by grant, account or time, and the rows in that index.
_Part = tuple[str, str, str]
_PAID: Final[tuple[_Part, ...]] = (("payments", "payments", "holding = 1 AND state = 'settled'"),)
_OUTGOING: Final = (("payments", "payments", "holding = 1"), ("payments", "failed_payments", "holding = 0"))
_RECEIVED: Final[tuple[_Part, ...]] = (("invoices", "settled_invoices", "state = 'settled'"),)
_INCOMING: Final[tuple[_Part, ...]] = (("invoices", "invoices", "true"),)
#: Per table: what of a row is read, and how its owner sees it.
_SHOWN: Final[dict[str, tuple[str, Callable[[rows.Row], Transaction]]]] = {
    "payments": (rows.PAYMENT, lambda row: outgoing(rows.read_payment(row))),
    "invoices": (rows.INVOICE, lambda row: incoming(rows.read_invoice(row))),
}


def _within(scope: Scope) -> tuple[str, tuple[Any, ...]]:
    where, values = "", []
    for column, value in (("grant_id", scope.grant_id), ("account_id", scope.account_id)):
        if value:
            where += f" AND {column} = ?"
            values.append(value)
    return where, tuple(values)
