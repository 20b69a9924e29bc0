"""What the members of one commit share: the connection, the service's running sums, and how money is booked.

The sums and the two house accounts are read once when the batch begins and written once before it commits.
"""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.ledger import Finished, Message, NodeView, Request, Running
from kitestring.ledger.rows import FEES, MESSAGE, REQUEST, WORLD, read_message

_BEGIN: Final = """
SELECT t.spent_msat, t.sub_accounts_msat, t.owner_pending_msat, t.pending_msat, t.node_balance_msat,
  t.spending_stopped, t.stopped_at, t.pruned_before
FROM totals t WHERE t.service = ?"""
_FLUSH: Final = """
UPDATE totals SET spent_msat = ?, sub_accounts_msat = ?, owner_pending_msat = ?, pending_msat = ?,
  node_balance_msat = ?, spending_stopped = ?, stopped_at = ?, pruned_before = ? WHERE service = ?"""
_HOUSE: Final = """
UPDATE accounts SET credits_msat = credits_msat + ?, posted_msat = posted_msat + ?
WHERE service = ? AND account_id = ?"""
_INSERT_REQUEST: Final = f"INSERT INTO requests (service, {REQUEST}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_MESSAGE: Final = (
    f"INSERT INTO messages (service, {MESSAGE}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_FINISH: Final = "UPDATE requests SET finished_at = ? WHERE service = ? AND request_id = ? AND finished_at IS NULL"
_MESSAGES: Final = f"SELECT {MESSAGE} FROM messages WHERE service = ? AND request_id = ? ORDER BY part"
_FINISHED: Final = "SELECT finished_at FROM requests WHERE service = ? AND request_id = ?"
_FORGET: Final = (
    "DELETE FROM messages WHERE service = ? AND request_id = ?",
    "DELETE FROM requests WHERE service = ? AND request_id = ?",
)
_HOLD: Final = (
    "INSERT INTO transfers (service, reference, kind, account_id, held_msat, state, note, created_at)"
    " VALUES (?, ?, ?, ?, ?, 'pending', ?, ?)"
)
_POST: Final = "UPDATE transfers SET state = 'posted', posted_msat = ? WHERE transfer = ?"
_VOID: Final = "UPDATE transfers SET state = 'voided' WHERE transfer = ?"
_ENTRY: Final = "INSERT INTO entries (service, transfer, leg, account_id, amount_msat) VALUES (?, ?, 0, ?, ?)"
_ENTRIES: Final = {2: _ENTRY + ", (?, ?, 1, ?, ?)", 3: _ENTRY + ", (?, ?, 1, ?, ?), (?, ?, 2, ?, ?)"}
_CREDIT: Final = """
UPDATE accounts SET credits_msat = credits_msat + ?1,
  overdrawn = overdrawn AND (kind <> 'sub' OR credits_msat + ?1 - posted_msat - pending_msat < 0)
WHERE service = ?2 AND account_id = ?3"""
_COVERED: Final = "UPDATE accounts SET overdrawn = 0 WHERE service = ? AND account_id = ? AND overdrawn"
_PENDING: Final = "UPDATE accounts SET pending_msat = pending_msat + ? WHERE service = ? AND account_id = ?"


@dataclass(slots=True)
class Sums:
    """The service's row in ``totals``, in msat; plain integers because they are added up many times a batch."""

    spent: int
    sub_accounts: int
    owner_pending: int
    pending: int
    node_balance: int | None
    stopped: str
    stopped_at: int | None
    pruned_before: int
    world_credits: int = 0
    world_posted: int = 0
    fees_credits: int = 0


class Batch:
    """One open transaction of one service. Every ``apply_*`` function works on one of these and on nothing else."""

    __slots__ = ("_before", "connection", "execute", "service", "sums")

    def __init__(self, connection: sqlite3.Connection, service: int) -> None:
        self.connection, self.service, self.execute = connection, service, connection.execute
        self.sums = Sums(*connection.execute(_BEGIN, (service,)).fetchone())
        self._before = replace(self.sums)

    def flush(self) -> None:
        """Write the shared sums; called once, right before the commit."""
        now, service = self.sums, self.service
        if now == self._before:
            return
        figures = (now.spent, now.sub_accounts, now.owner_pending, now.pending, now.node_balance)
        self.execute(_FLUSH, (*figures, now.stopped, now.stopped_at, now.pruned_before, service))
        if now.world_credits or now.world_posted:
            self.execute(_HOUSE, (now.world_credits, now.world_posted, service, WORLD))
        if now.fees_credits:
            self.execute(_HOUSE, (now.fees_credits, 0, service, FEES))

    # ------------------------------------------------------------ requests and replies

    def known(self, request_id: str) -> Finished | Running | None:
        """What to answer if this request was claimed before."""
        row = self.execute(_FINISHED, (self.service, request_id)).fetchone()
        if row is None:
            return None
        return Running() if row[0] is None else self.finished(request_id)

    def finished(self, request_id: str) -> Finished:
        rows = self.execute(_MESSAGES, (self.service, request_id)).fetchall()
        return Finished(tuple(read_message(row) for row in rows))

    def insert_request(self, r: Request, payment_id: str) -> None:
        self.execute(
            _INSERT_REQUEST,
            (
                *(self.service, r.request_id, r.wire, r.grant_id, r.command, r.reply_to, r.sent_at, r.received_at),
                payment_id,
            ),
        )

    def store(self, messages: Iterable[Message], now: int) -> None:
        """Store answers; a reply finishes its request. What was stored before under the same key stays."""
        for m in messages:
            self.execute(
                _INSERT_MESSAGE,
                (self.service, m.request_id, m.part, m.plaintext, m.event, m.signed_at, m.reply_to),
            )
            if m.part == "reply":
                self.execute(_FINISH, (now, self.service, m.request_id))

    def forget(self, request_ids: Iterable[str]) -> None:
        """Delete requests with their answers; whoever calls sees to it that none can come again."""
        keys = [(self.service, request_id) for request_id in request_ids]
        for statement in _FORGET:
            self.connection.executemany(statement, keys)

    # ------------------------------------------------------------ money

    def hold(self, kind: str, account_id: str, held: int, now: int, *, reference: str = "", note: str = "") -> int:
        """Open a transfer and tell its number. If money is held, the account's pending sum goes up with it."""
        values = (self.service, reference, kind, account_id, held, note, now)
        number = self.execute(_HOLD, values).lastrowid
        assert number is not None  # noqa: S101 - an insert has a row id
        return number

    def reserve(self, account_id: str, held: int) -> None:
        self.execute(_PENDING, (held, self.service, account_id))
        self.count_pending(account_id, held)

    def count_pending(self, account_id: str, held: int) -> None:
        self.sums.pending += held
        if account_id == OWNER_ACCOUNT:
            self.sums.owner_pending += held

    def post(self, transfer: int, posted: int, legs: list[tuple[str, int]]) -> None:
        """Write the entries of a pending transfer and post it. ``legs``: (account, amount), two or three, sum zero."""
        head = (self.service, transfer)
        self.execute(_ENTRIES[len(legs)], [value for leg in legs for value in (*head, *leg)])
        self.execute(_POST, (posted, transfer))

    def void(self, transfer: int, account_id: str, held: int) -> None:
        self.execute(_VOID, (transfer,))
        self.reserve(account_id, -held)

    def credit(self, account_id: str, amount: int) -> None:
        """Add to an account's credits (its entry is written by :meth:`post`). An overdrawn account that is covered by
        it may spend again; that it was overdrawn stays noted."""
        self.execute(_CREDIT, (amount, self.service, account_id))
        if account_id != OWNER_ACCOUNT:
            self.sums.sub_accounts += amount

    def owner_spendable(self, view: NodeView) -> int:
        """What the owner may still reserve: never counts money twice, may count what is already gone as not there."""
        sums = self.sums
        spent_since = sums.spent - int(view.spent_mark_msat)
        return int(view.spendable_msat) - spent_since - sums.sub_accounts - sums.owner_pending

    def is_fresh(self, view: NodeView) -> bool:
        """Whether the node was asked after everything that is spent, so also after what cost more than was held."""
        return int(view.spent_mark_msat) >= self.sums.spent

    def remember_view(self, view: NodeView, *, covers: bool = False) -> None:
        """An upper bound of what the node holds, right after a reservation was granted on ``view``. ``covers``: the
        owner was overdrawn, and this view shows that there is enough again."""
        if covers:
            self.execute(_COVERED, (self.service, OWNER_ACCOUNT))
        self.sums.node_balance = int(view.spendable_msat) + self.sums.pending
