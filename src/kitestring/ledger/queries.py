"""Everything that is read: short, indexed look-ups on a connection that cannot write."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

import heapq
import sqlite3
from typing import Any, Final

from kitestring.base.commands import ListTransactions, Transaction
from kitestring.base.grants import Account, Grant, Offer
from kitestring.base.ledger import Invoice, Message, Node, Payment, Request
from kitestring.base.money import ZERO, Msat
from kitestring.base.ports import Scope, Totals
from kitestring.ledger import rows

#: Rows one list may bring at most, offset included: what an app pages through is bounded by what it may ask at once.
LIST_LIMIT: Final = 10_000
#: Beyond every time there will be.
_EVER: Final = 1 << 62

_OPEN: Final = "state IN ('reserved', 'dispatched', 'unknown')"


class Reader:
    """The read side of one service. Every method is one or two statements."""

    def __init__(self, connection: sqlite3.Connection, service: int) -> None:
        self.connection, self._service = connection, service

    def _one(self, sql: str, *values: object) -> rows.Row | None:
        row: rows.Row | None = self.connection.execute(sql, (self._service, *values)).fetchone()
        return row

    def _all(self, sql: str, *values: object) -> list[rows.Row]:
        return self.connection.execute(sql, (self._service, *values)).fetchall()

    # ------------------------------------------------------------ grants, accounts, offers, nodes

    def grants(self) -> list[Grant]:
        found = self._all(f"SELECT {rows.GRANT} FROM grants WHERE service = ? ORDER BY grant_id")
        return [rows.read_grant(row) for row in found]

    def grant(self, grant_id: str) -> Grant | None:
        row = self._one(f"SELECT {rows.GRANT} FROM grants WHERE service = ? AND grant_id = ?", grant_id)
        return None if row is None else rows.read_grant(row)

    def accounts(self) -> list[Account]:
        found = self._all(
            f"SELECT {rows.ACCOUNT} FROM accounts"
            " WHERE service = ? AND kind IN ('owner', 'sub') ORDER BY kind, account_id"
        )
        return [rows.read_account(row) for row in found]

    def account(self, account_id: str) -> Account | None:
        row = self._one(
            f"SELECT {rows.ACCOUNT} FROM accounts WHERE service = ? AND account_id = ? AND kind IN ('owner', 'sub')",
            account_id,
        )
        return None if row is None else rows.read_account(row)

    def offers(self) -> list[Offer]:
        found = self._all(f"SELECT {rows.OFFER} FROM offers WHERE service = ? ORDER BY offer_id")
        return [rows.read_offer(row) for row in found]

    def offer(self, offer_id: str) -> Offer | None:
        row = self._one(f"SELECT {rows.OFFER} FROM offers WHERE service = ? AND offer_id = ?", offer_id)
        return None if row is None else rows.read_offer(row)

    def node(self, node_id: str) -> Node | None:
        row = self._one(f"SELECT {rows.NODE} FROM nodes WHERE service = ? AND node_id = ?", node_id)
        return None if row is None else rows.read_node(row)

    def nodes(self) -> list[Node]:
        found = self._all(f"SELECT {rows.NODE} FROM nodes WHERE service = ? ORDER BY epoch, node_id")
        return [rows.read_node(row) for row in found]

    # ------------------------------------------------------------ payments and invoices

    def payment(self, payment_id: str) -> Payment | None:
        row = self._one(f"SELECT {rows.PAYMENT} FROM payments WHERE service = ? AND payment_id = ?", payment_id)
        return None if row is None else rows.read_payment(row)

    def payment_by_hash(self, node_id: str, payment_hash: str) -> Payment | None:
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

    def open_payments(self) -> list[Payment]:
        found = self._all(f"SELECT {rows.PAYMENT} FROM payments WHERE service = ? AND {_OPEN} ORDER BY rowid")
        return [rows.read_payment(row) for row in found]

    def resolved_payments(self) -> list[Payment]:
        found = self._all(
            f"SELECT {rows.PAYMENT} FROM payments WHERE service = ? AND state = 'resolved' ORDER BY rowid"
        )
        return [rows.read_payment(row) for row in found]

    def invoice_by_hash(self, node_id: str, payment_hash: str) -> Invoice | None:
        row = self._one(
            f"SELECT {rows.INVOICE} FROM invoices"
            " WHERE service = ? AND payment_hash = ? AND node_id = ? AND payment_hash <> ''",
            payment_hash,
            node_id,
        )
        return None if row is None else rows.read_invoice(row)

    def invoices(self, state: str) -> list[Invoice]:
        which = "state = 'settled'" if state == "settled" else "state <> 'settled' AND state = ?"
        values = () if state == "settled" else (state,)
        found = self._all(f"SELECT {rows.INVOICE} FROM invoices WHERE service = ? AND {which}", *values)
        return [rows.read_invoice(row) for row in found]

    # ------------------------------------------------------------ requests and messages

    def waiting(self, payment_id: str) -> list[Request]:
        found = self._all(
            f"SELECT {rows.REQUEST} FROM requests"
            " WHERE service = ? AND payment_id = ? AND finished_at IS NULL ORDER BY received_at",
            payment_id,
        )
        return [rows.read_request(row) for row in found]

    def request(self, request_id: str) -> Request | None:
        row = self._one(f"SELECT {rows.REQUEST} FROM requests WHERE service = ? AND request_id = ?", request_id)
        return None if row is None else rows.read_request(row)

    def running_requests(self) -> list[Request]:
        found = self._all(
            f"SELECT {rows.REQUEST} FROM requests INDEXED BY requests_unanswered"
            " WHERE service = ? AND finished_at IS NULL ORDER BY received_at, rowid"
        )
        return [rows.read_request(row) for row in found]

    def messages(self, request_id: str) -> tuple[Message, ...]:
        found = self._all(
            f"SELECT {rows.MESSAGE} FROM messages WHERE service = ? AND request_id = ? ORDER BY part", request_id
        )
        return tuple(rows.read_message(row) for row in found)

    def unpublished(self, limit: int) -> list[Message]:
        found = self._all(
            f"SELECT {rows.MESSAGE} FROM messages INDEXED BY messages_unpublished"
            " WHERE service = ? AND published_at IS NULL AND event <> x'' ORDER BY rowid LIMIT ?",
            limit,
        )
        return [rows.read_message(row) for row in found]

    # ------------------------------------------------------------ sums

    def budget_used(self, grant_id: str, oldest: int) -> Msat:
        row = self._one(
            "SELECT used_msat - (SELECT coalesce(sum(used_msat), 0) FROM buckets"
            " WHERE service = b.service AND grant_id = b.grant_id AND bucket < ?2)"
            " FROM budgets b WHERE service = ?1 AND grant_id = ?3",
            oldest,
            grant_id,
        )
        return ZERO if row is None else Msat(row[0])

    def totals(self) -> Totals:
        row = self._one(
            "SELECT spent_msat, sub_accounts_msat, owner_pending_msat, pending_msat, spending_stopped, pruned_before"
            " FROM totals WHERE service = ?"
        )
        assert row is not None  # noqa: S101 - written when the service was
        spent, sub_accounts, owner_pending, pending, stopped, pruned_before = row
        return Totals(Msat(spent), Msat(sub_accounts), Msat(owner_pending), Msat(pending), stopped, pruned_before)

    # ------------------------------------------------------------ transactions

    def transaction(self, scope: Scope, payment_hash: str) -> Transaction | None:
        """The invoice of that hash in this scope, else the payment that holds the hash, else the newest failed one."""
        where, values = _within(scope)
        row = self._one(
            f"SELECT {rows.INVOICE} FROM invoices"
            f" WHERE service = ? AND payment_hash = ? AND payment_hash <> '' AND state <> 'creating'{where}",
            payment_hash,
            *values,
        )
        if row is not None:
            return rows.incoming(rows.read_invoice(row))
        for holding in (1, 0):
            row = self._one(
                f"SELECT {rows.PAYMENT} FROM payments"
                f" WHERE service = ? AND payment_hash = ? AND holding = {holding}{where}"
                " ORDER BY created_at DESC, rowid DESC",
                payment_hash,
                *values,
            )
            if row is not None:
                return rows.outgoing(rows.read_payment(row))
        return None

    def transactions(self, scope: Scope, query: ListTransactions) -> list[Transaction]:
        """Newest first. Without the unpaid flags only what has settled."""
        end = min(query.offset + query.limit, LIST_LIMIT)
        found: list[list[Transaction]] = []
        if query.direction != "incoming":
            state = "" if query.unpaid_outgoing else " AND state = 'settled'"
            payments = self._listed("payments", rows.PAYMENT, scope, query, state=state, end=end)
            found.append([rows.outgoing(rows.read_payment(row)) for row in payments])
        if query.direction != "outgoing":
            state = " AND state <> 'creating'" if query.unpaid_incoming else " AND state = 'settled'"
            invoices = self._listed("invoices", rows.INVOICE, scope, query, state=state, end=end)
            found.append([rows.incoming(rows.read_invoice(row)) for row in invoices])
        merged = heapq.merge(*found, key=lambda one: -one.created_at)
        return list(merged)[query.offset : end]

    def _listed(
        self, table: str, columns: str, scope: Scope, query: ListTransactions, *, state: str, end: int
    ) -> list[rows.Row]:
        where, values = _within(scope)
        return self._all(
            f"SELECT {columns} FROM {table} WHERE service = ?{where} AND created_at BETWEEN ? AND ?{state}"
            " ORDER BY created_at DESC, rowid DESC LIMIT ?",
            *values,
            query.from_,
            query.until or _EVER,
            end,
        )


def _within(scope: Scope) -> tuple[str, tuple[Any, ...]]:
    where, values = "", []
    for column, value in (("grant_id", scope.grant_id), ("account_id", scope.account_id)):
        if value:
            where += f" AND {column} = ?"
            values.append(value)
    return where, tuple(values)
