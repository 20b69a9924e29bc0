"""Everything that is read: short, indexed look-ups on a connection that cannot write."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final

from kitestring.base.approvals import Approval, Block, Dealings, DebitSession
from kitestring.base.commands import ListTransactions
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import Event, Missed
from kitestring.base.grants import Account, Grant, Offer
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import ZERO, Msat
from kitestring.base.outcomes import Direction, Transaction
from kitestring.base.records import Generation, Invoice, Message, Node, Outgoing, Payment, Request, Stop, StopCause
from kitestring.base.store import LONGEST_RETRY_S, OffersOf, Places, Scope, Totals, Unclaimed
from kitestring.base.webhooks import PAUSES_S, DeliveryState, WebhookDelivery, WebhookLane
from kitestring.ledger import rows
from kitestring.ledger.apply.batch import message_id, message_number
from kitestring.ledger.apply.feed import OUTBOX
from kitestring.ledger.shown import incoming, outgoing

#: How far into a list anybody may page, offset and page together: what lies before a page is walked through on the loop
#: (a few milliseconds at this limit). A caller that wants older rows bounds them by time.
LIST_LIMIT: Final = 10_000
#: As many transactions are counted for whoever lists them, in about half a millisecond.
COUNT_LIMIT: Final = 1_000
#: Claims among which the highest count of the node's payments is looked for: a loss is told until so many followed.
NEWEST_CLAIMS: Final = 1_000
#: Beyond every time there will be.
_EVER: Final = 1 << 62

_BEFORE_INVOICE: Final = "SELECT EXISTS (SELECT 1 FROM requests WHERE service = ?1 AND request_id = ?2)"
_NUMBER: Final = (
    ", coalesce((SELECT number FROM open_invoices WHERE service = ?1 AND node_id = ?3 AND holder = ?{}), 0)"
)
_UNCLAIMED: Final = """
SELECT coalesce(f.answer_bytes, 0), max(t.pruned_before, t.refused_before, coalesce(f.refused_before, 0))
FROM totals t LEFT JOIN refusals f ON f.service = t.service AND f.grant_id = ?2 WHERE t.service = ?1"""
_ROW_OF_INVOICE: Final = "SELECT rowid FROM invoices WHERE service = ? AND invoice_id = ?"
#: As the index of open payments says it.
_OPEN: Final = "(state = 'reserved' OR state = 'dispatched' OR state = 'unknown')"


class SqliteReads:
    """The read side of one service, :class:`kitestring.base.store.Reads`: one or two short statements a method."""

    def __init__(self, connection: sqlite3.Connection, service: int) -> None:
        self._connection, self._service = connection, service

    def _run(self, sql: str, values: tuple[Any, ...]) -> list[rows.Row]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            sentence = f"the database cannot be read ({error}): see `kitestring doctor`"
            raise KitestringError(Reason.INTERNAL, sentence) from error

    def _one(self, sql: str, *values: object) -> rows.Row | None:
        found = self._run(f"{sql} LIMIT 1", (self._service, *values))
        return found[0] if found else None

    def _all(self, sql: str, *values: object) -> list[rows.Row]:
        return self._run(sql, (self._service, *values))

    # ------------------------------------------------------------ grants, accounts, offers, nodes

    async def grants(self) -> list[Grant]:
        found = self._all(f"SELECT {rows.GRANT} FROM grants WHERE service = ? ORDER BY grant_id")
        return [rows.read_grant(row) for row in found]

    async def last_uses(self) -> dict[str, int]:
        return dict(self._all("SELECT grant_id, used_at FROM uses WHERE service = ?"))

    async def grant(self, grant_id: str) -> Grant | None:
        row = self._one(f"SELECT {rows.GRANT} FROM grants WHERE service = ? AND grant_id = ?", grant_id)
        return None if row is None else rows.read_grant(row)

    async def grant_named(self, wire: str, name: str) -> Grant | None:
        # Left to itself SQLite takes the key, and walks through all grants of the service.
        row = self._one(
            f"SELECT {rows.GRANT} FROM grants INDEXED BY grants_by_name"
            " WHERE service = ? AND revoked_at IS NULL AND wire = ? AND name = ?",
            wire,
            name,
        ) or self._one(
            f"SELECT {rows.GRANT} FROM grants WHERE service = ? AND revoked_at IS NULL AND wire = ? AND grant_id = ?",
            wire,
            name,
        )
        return None if row is None else rows.read_grant(row)

    async def grants_of(self, wire: str, caller: str) -> list[Grant]:
        found = self._all(
            f"SELECT {rows.GRANT} FROM grants INDEXED BY grants_by_caller"
            " WHERE service = ? AND revoked_at IS NULL AND wire = ? AND caller = ? ORDER BY created_at, grant_id",
            wire,
            caller,
        )
        return [rows.read_grant(row) for row in found]

    async def accounts(self) -> list[Account]:
        found = self._all(
            f"SELECT {rows.ACCOUNT} FROM accounts"
            " WHERE service = ? AND kind IN ('owner', 'sub') ORDER BY kind, account_id"
        )
        return [rows.read_account(row) for row in found]

    async def account(self, account_id: str) -> Account | None:
        row = self._one(
            f"SELECT {rows.ACCOUNT} FROM accounts WHERE service = ? AND account_id = ? AND kind IN ('owner', 'sub')",
            account_id,
        )
        return None if row is None else rows.read_account(row)

    async def offers(self) -> list[Offer]:
        found = self._all(f"SELECT {rows.OFFER} FROM offers WHERE service = ? ORDER BY offer_id")
        return [rows.read_offer(row) for row in found]

    async def offer(self, offer_id: str) -> Offer | None:
        row = self._one(f"SELECT {rows.OFFER} FROM offers WHERE service = ? AND offer_id = ?", offer_id)
        return None if row is None else rows.read_offer(row)

    async def offers_of(self, maker: OffersOf, *, before: Offer | None = None, limit: int) -> list[Offer]:
        index, whose = "offers_by_account", "account_id = ?"
        values: tuple[str, ...] = (maker.account_id,)
        if not maker.account_id:
            index, whose = "offers_by_creator", "pointer_id = ? AND creator = ? AND creator <> ''"
            values = (maker.pointer_id, maker.creator)
        behind = "" if before is None else " AND (created_at, offer_id) < (?, ?)"
        found = self._all(
            f"SELECT {rows.OFFER} FROM offers INDEXED BY {index}"
            f" WHERE service = ? AND state <> 'deleted' AND state <> 'moved' AND {whose}{behind}"
            " ORDER BY created_at DESC, offer_id DESC LIMIT ?",
            *values,
            *(() if before is None else (before.created_at, before.offer_id)),
            limit,
        )
        return [rows.read_offer(row) for row in found]

    async def count_offers(self, pointer_id: str, creator: str = "") -> int:
        whose = " AND creator = ?" if creator else ""
        row = self._one(
            "SELECT count(*) FROM offers INDEXED BY offers_by_creator"
            " WHERE service = ? AND state <> 'deleted' AND state <> 'moved' AND creator <> ''"
            f" AND pointer_id = ?{whose}",
            pointer_id,
            *((creator,) if creator else ()),
        )
        return 0 if row is None else int(row[0])

    async def node(self, node_id: str) -> Node | None:
        row = self._one(f"SELECT {rows.NODE} FROM nodes WHERE service = ? AND node_id = ?", node_id)
        return None if row is None else rows.read_node(row)

    async def nodes(self) -> list[Node]:
        found = self._all(f"SELECT {rows.NODE} FROM nodes WHERE service = ? ORDER BY epoch, node_id")
        return [rows.read_node(row) for row in found]

    # ------------------------------------------------------------ payments and invoices

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

    async def invoice(self, invoice_id: str) -> Invoice | None:
        row = self._one(f"SELECT {rows.INVOICE} FROM invoices WHERE service = ? AND invoice_id = ?", invoice_id)
        return None if row is None else rows.read_invoice(row)

    async def invoice_by_hash(self, node_id: str, payment_hash: str) -> Invoice | None:
        row = self._one(
            f"SELECT {rows.INVOICE} FROM invoices"
            " WHERE service = ? AND payment_hash = ? AND node_id = ? AND payment_hash <> ''",
            payment_hash,
            node_id,
        )
        return None if row is None else rows.read_invoice(row)

    async def invoices(
        self, state: InvoiceState, *, after: Invoice | None = None, limit: int = 0, expires_before: int = 0
    ) -> list[Invoice]:
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

    async def holds(self, *, after: str = "", limit: int = 0) -> list[Invoice]:
        found = self._all(
            f"SELECT {rows.INVOICE} FROM invoices INDEXED BY invoices_held WHERE service = ? AND hold_blocks > 0"
            f" AND (state = 'open' OR state = 'accepted') AND invoice > coalesce(({_ROW_OF_INVOICE}), 0)"
            " ORDER BY invoice LIMIT ?",
            self._service,
            after,
            limit or -1,
        )
        return [rows.read_invoice(row) for row in found]

    async def before_invoice(
        self, request_id: str, node_id: str, names: tuple[str, ...]
    ) -> tuple[bool, tuple[int, ...]]:
        sql = _BEFORE_INVOICE + "".join(_NUMBER.format(4 + place) for place in range(len(names)))
        is_known, *numbers = self._run(sql, (self._service, request_id, node_id, *names))[0]
        return bool(is_known), tuple(numbers)

    async def unclaimed(self, grant_id: str) -> Unclaimed:
        (row,) = self._run(_UNCLAIMED, (self._service, grant_id))
        return Unclaimed(*row)

    # ------------------------------------------------------------ approvals

    async def approval(self, approval_id: str) -> Approval | None:
        row = self._one(f"SELECT {rows.APPROVAL} FROM approvals WHERE service = ? AND approval_id = ?", approval_id)
        return None if row is None else rows.read_approval(row)

    async def approvals(self, *, limit: int, ended: bool = False) -> list[Approval]:
        # Few are open among many that have ended; of these the newest are looked at, as far as the limit.
        which = "INDEXED BY approvals_open WHERE service = ? AND state = 'open' ORDER BY approval"
        if ended:
            which = "NOT INDEXED WHERE service = ? AND state <> 'open' ORDER BY approval DESC"
        found = self._all(f"SELECT {rows.APPROVAL} FROM approvals {which} LIMIT ?", limit)
        return [rows.read_approval(row) for row in found]

    async def open_approval(self, wire: str, target: str, caller: str) -> Approval | None:
        row = self._one(
            f"SELECT {rows.APPROVAL} FROM approvals"
            " WHERE service = ? AND wire = ? AND target = ? AND caller = ? AND state = 'open'",
            wire,
            target,
            caller,
        )
        return None if row is None else rows.read_approval(row)

    async def blocks(self) -> list[Block]:
        return [Block(*row) for row in self._all("SELECT caller, at, note FROM blocks WHERE service = ? ORDER BY at")]

    async def is_blocked(self, caller: str) -> bool:
        return self._one("SELECT 1 FROM blocks WHERE service = ? AND caller = ?", caller) is not None

    async def session(self, scope: str, value: str) -> DebitSession | None:
        row = self._one(
            f"SELECT {rows.SESSION} FROM tokens"
            " WHERE service = ? AND scope = ? AND value = ? AND minted_at IS NOT NULL",
            scope,
            value,
        )
        return None if row is None else rows.read_session(row)

    async def sessions(self, scope: str, limit: int) -> list[DebitSession]:
        found = self._all(
            f"SELECT {rows.SESSION} FROM tokens"
            " WHERE service = ? AND scope = ? AND minted_at IS NOT NULL ORDER BY minted_at DESC LIMIT ?",
            scope,
            limit,
        )
        return [rows.read_session(row) for row in found]

    # ------------------------------------------------------------ requests and messages

    async def waiting(self, payment_id: str) -> list[Request]:
        found = self._all(
            f"SELECT {rows.REQUEST} FROM requests"
            " WHERE service = ? AND payment_id = ? AND finished_at IS NULL ORDER BY received_at",
            payment_id,
        )
        return [rows.read_request(row) for row in found]

    async def request(self, request_id: str) -> Request | None:
        row = self._one(f"SELECT {rows.REQUEST} FROM requests WHERE service = ? AND request_id = ?", request_id)
        return None if row is None else rows.read_request(row)

    async def running_requests(self) -> list[Request]:
        found = self._all(
            f"SELECT {rows.REQUEST} FROM requests INDEXED BY requests_unanswered"
            " WHERE service = ? AND finished_at IS NULL ORDER BY received_at, rowid"
        )
        return [rows.read_request(row) for row in found]

    async def messages(self, request_id: str) -> tuple[Message, ...]:
        row = self._one("SELECT request, reply FROM requests WHERE service = ? AND request_id = ?", request_id)
        if row is None:
            return ()
        number, reply = row
        found = self._run(f"SELECT {rows.MESSAGE} FROM outbox WHERE message = ?", (reply,))
        found += self._run(
            f"SELECT {rows.MESSAGE} FROM outbox WHERE request = ? AND kind <> 'reply' ORDER BY message", (number,)
        )
        return tuple(Message(request_id, *one) for one in found)

    # ------------------------------------------------------------ outbox and feed

    async def outbox(self, after: int, limit: int) -> list[Outgoing]:
        bounds = (message_id(self._service, after), message_id(self._service + 1, 0), limit)
        return self._outgoing(
            "m.message > ? AND m.message < ? AND m.next_at IS NULL ORDER BY m.message LIMIT ?", bounds
        )

    async def due(self, now: int, limit: int) -> list[Outgoing]:
        when = "(m.next_at <= ? OR m.next_at > ?)"
        which = f"m.service = ? AND m.next_at IS NOT NULL AND {when} ORDER BY m.next_at, m.message LIMIT ?"
        return self._outgoing(which, (self._service, now, now + LONGEST_RETRY_S, limit))

    async def has_due(self) -> bool:
        return self._one("SELECT 1 FROM outbox WHERE service = ? AND next_at IS NOT NULL") is not None

    # ------------------------------------------------------------ webhooks

    async def lanes(self) -> dict[str, WebhookLane]:
        found = self._all(
            "SELECT offer_id, min(next_at), max(attempts) FROM deliveries INDEXED BY deliveries_waiting"
            " WHERE service = ? AND state = 'waiting' GROUP BY offer_id"
        )
        return {offer_id: WebhookLane(next_at, attempts) for offer_id, next_at, attempts in found}

    async def lane(self, offer_id: str) -> WebhookLane | None:
        row = self._one(
            "SELECT min(next_at), max(attempts) FROM deliveries INDEXED BY deliveries_waiting"
            " WHERE service = ? AND offer_id = ? AND state = 'waiting'",
            offer_id,
        )
        return None if row is None or row[0] is None else WebhookLane(*row)

    async def due_deliveries(self, offer_id: str, now: int, limit: int) -> list[WebhookDelivery]:
        found = self._all(
            f"SELECT {rows.DELIVERY} FROM deliveries INDEXED BY deliveries_waiting"
            " WHERE service = ? AND offer_id = ? AND state = 'waiting' AND (next_at <= ? OR next_at > ?)"
            " ORDER BY next_at, delivery LIMIT ?",
            *(offer_id, now, now + PAUSES_S[-1], limit),
        )
        return [rows.read_delivery(row) for row in found]

    async def delivery(self, invoice_id: str) -> WebhookDelivery | None:
        row = self._one(f"SELECT {rows.DELIVERY} FROM deliveries WHERE service = ? AND invoice_id = ?", invoice_id)
        return None if row is None else rows.read_delivery(row)

    async def deliveries(
        self, *, limit: int, offer_id: str = "", state: DeliveryState | None = None
    ) -> list[WebhookDelivery]:
        wanted = (("offer_id", offer_id), ("state", state.value if state is not None else ""))
        which = "".join(f" AND {name} = ?" for name, value in wanted if value)
        found = self._all(
            f"SELECT {rows.DELIVERY} FROM deliveries WHERE service = ?{which} ORDER BY delivery DESC LIMIT ?",
            *(value for _, value in wanted if value),
            limit,
        )
        return [rows.read_delivery(row) for row in found]

    async def count_waiting(self) -> dict[str, int]:
        return dict(
            self._all(
                "SELECT offer_id, count(*) FROM deliveries INDEXED BY deliveries_waiting"
                " WHERE service = ? AND state = 'waiting' GROUP BY offer_id"
            )
        )

    async def count_failed(self, since: int = 0) -> dict[str, int]:
        return dict(
            self._all(
                "SELECT offer_id, count(*) FROM deliveries INDEXED BY deliveries_failed"
                " WHERE service = ? AND state = 'failed' AND ended_at >= ? GROUP BY offer_id",
                since,
            )
        )

    def _outgoing(self, which: str, values: tuple[Any, ...]) -> list[Outgoing]:
        columns = ", ".join(f"m.{name}" for name in rows.MESSAGE.split(", "))
        found = self._run(
            f"SELECT m.message, m.attempts, coalesce(r.request_id, ''), {columns} FROM outbox m"
            f" LEFT JOIN requests r ON r.request = m.request WHERE {which}",
            values,
        )
        return [
            Outgoing(message_number(message), Message(request_id, *row), attempts)
            for message, attempts, request_id, *row in found
        ]

    async def sent_position(self) -> int:
        return await self.position(OUTBOX) or 0

    async def events(self, after: int, limit: int) -> list[Event | Missed]:
        found: list[Event | Missed] = [
            rows.read_event(row)
            for row in self._all(
                f"SELECT {rows.EVENT} FROM events WHERE service = ? AND event > ? ORDER BY event LIMIT ?", after, limit
            )
        ]
        oldest = found[0].number if found else 1 + await self.last_event()
        missed = oldest - after - 1
        return [Missed(oldest - 1, missed), *found] if missed > 0 else found

    async def alarms(self, since: int, limit: int) -> list[Event]:
        found = self._all(
            f"SELECT {rows.EVENT} FROM {rows.ALARMS} AND at >= ? ORDER BY event DESC LIMIT ?",
            since,
            limit,
        )
        return [rows.read_event(row) for row in reversed(found)]

    async def last_event(self) -> int:
        row = self._one("SELECT last_event FROM totals WHERE service = ?")
        return 0 if row is None else int(row[0])

    async def position(self, consumer: str) -> int | None:
        row = self._one("SELECT position FROM consumers WHERE service = ? AND name = ?", consumer)
        return None if row is None else int(row[0])

    # ------------------------------------------------------------ sums

    async def budget_used(self, grant_id: str, oldest: int, budget_id: int = 0, *, now: int = 0) -> Msat:
        row = self._one(
            # As the next charge finds it: a calendar period that is over has no bucket that would still count.
            "SELECT CASE WHEN max(oldest, last_at) >= ?2 OR ends > ?5 THEN used_msat"
            " ELSE (SELECT coalesce(sum(used_msat), 0) FROM buckets WHERE service = b.service AND grant_id = b.grant_id"
            " AND budget_id = b.budget_id AND bucket >= ?2) END + CASE WHEN before_at >= ?2 THEN before_msat ELSE 0 END"
            " FROM budgets b WHERE service = ?1 AND grant_id = ?3 AND budget_id = ?4",
            oldest,
            grant_id,
            budget_id,
            now,
        )
        return ZERO if row is None else Msat(row[0])

    async def totals(self) -> Totals:
        row = self._one(
            "SELECT t.spent_msat, t.sub_accounts_msat, t.owner_pending_msat, t.pending_msat, t.spending_stopped,"
            " t.pruned_before, a.credits_msat FROM totals t"
            f" JOIN accounts a ON a.service = t.service AND a.account_id = '{rows.SERVICE_FEES}' WHERE t.service = ?"
        )
        assert row is not None  # noqa: S101 - written when the service was
        spent, sub_accounts, owner_pending, pending, stopped, pruned_before, fees = row
        sums = (Msat(spent), Msat(sub_accounts), Msat(owner_pending), Msat(pending))
        return Totals(*sums, stopped, pruned_before, Msat(fees))

    async def stops(self) -> list[Stop]:
        found = self._all("SELECT cause, why, at FROM stops WHERE service = ? ORDER BY at, cause")
        return [Stop(StopCause(cause), why, at) for cause, why, at in found]

    async def generation(self) -> Generation:
        row = self._one(
            "SELECT s.ledger_id, t.last_event, t.last_message, (SELECT coalesce(max(payment), 0) FROM payments),"
            " (SELECT coalesce(max(transfer), 0) FROM transfers), s.since"
            " FROM services s JOIN totals t ON t.service = s.service WHERE s.service = ?"
        )
        assert row is not None  # noqa: S101 - written when the service was
        return Generation(*row)

    # ------------------------------------------------------------ transactions

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
        holding = self._all(  # one a node
            f"SELECT {rows.PAYMENT} FROM payments INDEXED BY payments_holding"
            f" WHERE service = ? AND payment_hash = ? AND holding = 1{where}",
            payment_hash,
            *values,
        )
        if holding:
            return outgoing(max(map(rows.read_payment, holding), key=lambda payment: payment.created_at))
        row = self._one(
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
