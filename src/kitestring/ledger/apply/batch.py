"""What the members of one commit share: the connection, the running sums, and how money is booked.

The sums and every account that is touched are read once when a batch first needs them and written once before it
commits.
"""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.records import Message, NodeView, Request
from kitestring.base.transactions import Finished, Running
from kitestring.ledger.apply.memory import Memory
from kitestring.ledger.rows import FEES, MESSAGE, REQUEST, WORLD, read_message

_BEGIN: Final = """
SELECT t.spent_msat, t.sub_accounts_msat, t.owner_pending_msat, t.pending_msat, t.node_balance_msat,
  t.spending_stopped, t.stopped_at, t.pruned_before
FROM totals t WHERE t.service = ?"""
_FLUSH: Final = """
UPDATE totals SET spent_msat = ?, sub_accounts_msat = ?, owner_pending_msat = ?, pending_msat = ?,
  node_balance_msat = ?, spending_stopped = ?, stopped_at = ?, pruned_before = ? WHERE service = ?"""
_ACCOUNT: Final = (
    "SELECT kind, overdrawn, credits_msat, posted_msat, pending_msat FROM accounts WHERE service = ? AND account_id = ?"
)
_SET_ACCOUNT: Final = (
    "UPDATE accounts SET credits_msat = ?, posted_msat = ?, pending_msat = ? WHERE service = ? AND account_id = ?"
)
_MARK: Final = _SET_ACCOUNT.replace("WHERE", ", overdrawn = ? WHERE")
_INSERT_REQUEST: Final = f"INSERT INTO requests (service, {REQUEST}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_NUMBER: Final = "SELECT request FROM requests WHERE service = ? AND request_id = ?"
_INSERT_MESSAGE: Final = (
    f"INSERT INTO messages (message, service, {MESSAGE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_FORGET: Final = (
    "DELETE FROM outbox WHERE service = ?1 AND message BETWEEN 2 * ?2 AND 2 * ?2 + 1",
    "DELETE FROM messages WHERE service = ?1 AND message BETWEEN 2 * ?2 AND 2 * ?2 + 1",
    "DELETE FROM requests WHERE service = ?1 AND request = ?2",
)
_SEND: Final = "INSERT INTO outbox VALUES (?, ?)"
_FINISH: Final = "UPDATE requests SET finished_at = ? WHERE request = ? AND finished_at IS NULL"
_MESSAGES: Final = f"SELECT {MESSAGE} FROM messages WHERE message BETWEEN ? AND ? ORDER BY message DESC"
_FINISHED: Final = "SELECT request, finished_at FROM requests WHERE service = ? AND request_id = ?"
_HOLD: Final = (
    "INSERT INTO transfers (service, reference, kind, account_id, held_msat, state, note, created_at)"
    " VALUES (?, '', ?, ?, ?, 'pending', '', ?)"
)
_BOOK: Final = (
    "INSERT INTO transfers (service, reference, kind, account_id, held_msat, credited, amount_msat, fee_msat, state,"
    " note, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'posted', ?, ?)"
)
_POST: Final = "UPDATE transfers SET state = 'posted', credited = ?, amount_msat = ?, fee_msat = ? WHERE transfer = ?"
_VOID: Final = "UPDATE transfers SET state = 'voided' WHERE transfer = ?"


#: The kinds of accounts that people have; the others are the house's.
USERS: Final = ("owner", "sub")


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


@dataclass(slots=True)
class Balance:
    """One row of ``accounts``, in msat."""

    kind: str
    overdrawn: int
    credits: int
    posted: int
    pending: int

    @property
    def available(self) -> int:
        return self.credits - self.posted - self.pending


class Batch:
    """One open transaction of one service. Every ``apply_*`` function works on one of these and on nothing else."""

    __slots__ = ("_before", "accounts", "connection", "execute", "memory", "service", "sums")

    def __init__(self, connection: sqlite3.Connection, service: int, memory: Memory) -> None:
        self.connection, self.service, self.execute, self.memory = connection, service, connection.execute, memory
        self.sums = Sums(*connection.execute(_BEGIN, (service,)).fetchone())
        self._before = replace(self.sums)
        self.accounts: dict[str, Balance] = {}

    def flush(self) -> None:
        """Write the shared sums; called once, right before the commit, and around what may be taken back."""
        now, service = self.sums, self.service
        if now != self._before:
            figures = (now.spent, now.sub_accounts, now.owner_pending, now.pending, now.node_balance)
            self.execute(_FLUSH, (*figures, now.stopped, now.stopped_at, now.pruned_before, service))
            self._before = replace(now)
        self.connection.executemany(
            _SET_ACCOUNT,
            [(a.credits, a.posted, a.pending, service, name) for name, a in self.accounts.items()],
        )
        self.accounts = {}

    def balance(self, account_id: str) -> Balance | None:
        """The account as this batch has left it so far; what is changed in it is written by :meth:`flush`."""
        known = self.accounts.get(account_id)
        if known is None:
            row = self.execute(_ACCOUNT, (self.service, account_id)).fetchone()
            if row is None:
                return None
            known = self.accounts[account_id] = Balance(*row)
        return known

    # ------------------------------------------------------------ requests and replies

    def known(self, request_id: str) -> Finished | Running | None:
        """What to answer if this request was claimed before."""
        row = self.execute(_FINISHED, (self.service, request_id)).fetchone()
        if row is None:
            return None
        return Running() if row[1] is None else self.finished(row[0])

    def finished(self, number: int) -> Finished:
        """The stored answers of a request by its number."""
        rows = self.execute(_MESSAGES, (2 * number, 2 * number + 1)).fetchall()
        return Finished(tuple(read_message(row) for row in rows))

    def insert_request(self, r: Request, payment_id: str) -> int:
        """Claim a request and tell its number."""
        values = (self.service, r.request_id, r.wire, r.grant_id, r.command, r.reply_to, r.sent_at, r.received_at)
        return self._insert(_INSERT_REQUEST, (*values, payment_id))

    def store(self, messages: Iterable[Message], now: int, number: int | None = None) -> None:
        """Store answers; a reply finishes its request. What was stored before under the same key stays.

        ``number`` is the number of the requests answered, where it is known. A request that was forgotten meanwhile
        has nobody who waits for its answer.
        """
        for m in messages:
            request = number or self._number(m.request_id)
            if request is not None:
                self._store(m, request, now)

    def _store(self, m: Message, request: int, now: int) -> None:
        is_reply = m.part == "reply"
        key = 2 * request if is_reply else 2 * request + 1
        values = (key, self.service, m.request_id, m.part, m.plaintext, m.event, m.signed_at, m.reply_to)
        is_new = self.execute(_INSERT_MESSAGE, values).rowcount
        if is_new and m.event:
            self.execute(_SEND, (self.service, key))
        if is_reply:
            self.execute(_FINISH, (now, request))

    def _number(self, request_id: str) -> int | None:
        row = self.execute(_NUMBER, (self.service, request_id)).fetchone()
        return None if row is None else int(row[0])

    def forget(self, request_ids: Iterable[str]) -> None:
        """Delete requests with their answers; whoever calls sees to it that none can come again."""
        keys = [(self.service, self._number(request_id)) for request_id in request_ids]
        for statement in _FORGET:
            self.connection.executemany(statement, keys)

    # ------------------------------------------------------------ money

    def hold(self, kind: str, account_id: str, held: int, now: int) -> int:
        """Open a transfer and tell its number; the account's pending sum goes up with it."""
        number = self._insert(_HOLD, (self.service, kind, account_id, held, now))
        self.pend(account_id, held)
        return number

    def pend(self, account_id: str, held: int) -> None:
        """Add to what is held of an account; less than zero releases."""
        self._of(account_id).pending += held
        self.sums.pending += held
        if account_id == OWNER_ACCOUNT:
            self.sums.owner_pending += held

    def post(self, transfer: int, debited: str, credited: str, amount: int, fee: int) -> None:
        """Post a pending transfer. What it held is released by :meth:`pend`."""
        self.execute(_POST, (credited, amount, fee, transfer))
        self._move(debited, credited, amount, fee)

    def book(
        self, kind: str, debited: str, credited: str, amount: int, now: int, *,
        fee: int = 0, held: int = 0, reference: str = "", note: str = "",
    ) -> int:  # fmt: skip
        """A transfer that is posted as it is written; tells its number."""
        values = (self.service, reference, kind, debited, held, credited, amount, fee, note, now)
        number = self._insert(_BOOK, values)
        self._move(debited, credited, amount, fee)
        return number

    def void(self, transfer: int, account_id: str, held: int) -> None:
        self.execute(_VOID, (transfer,))
        self.pend(account_id, -held)

    def _move(self, debited: str, credited: str, amount: int, fee: int) -> None:
        source, target = self._of(debited), self._of(credited)
        source.posted += amount + fee
        self._credit(credited, target, amount)
        if fee:
            self._of(FEES).credits += fee
        if source.kind == "sub":
            self.sums.sub_accounts -= amount + fee
        if target.kind == "sub":
            self.sums.sub_accounts += amount
        if credited == WORLD:
            self.sums.spent += amount + fee
        if self.sums.node_balance is not None:
            self.sums.node_balance -= amount + fee if credited == WORLD else -amount if debited == WORLD else 0

    def _credit(self, account_id: str, account: Balance, amount: int) -> None:
        """An overdrawn account that is covered by it may spend again; that it was overdrawn stays noted."""
        covers = account.overdrawn and account.kind == "sub" and account.available + amount >= 0
        if covers:
            self._write(account_id, account)
        account.credits += amount
        if covers:
            self._mark(account_id, account, 0)

    def mark(self, account_id: str, *, overdrawn: bool) -> None:
        """Set or take an account's mark. It is written at once, apart from what else the batch brings, because the
        database notes every change of it with its reason."""
        account = self._of(account_id)
        if not overdrawn:
            self._write(account_id, account)
        self._mark(account_id, account, int(overdrawn))

    def _write(self, account_id: str, a: Balance) -> None:
        self.execute(_SET_ACCOUNT, (a.credits, a.posted, a.pending, self.service, account_id))

    def _mark(self, account_id: str, a: Balance, overdrawn: int) -> None:
        a.overdrawn = overdrawn
        self.execute(_MARK, (a.credits, a.posted, a.pending, overdrawn, self.service, account_id))

    def _of(self, account_id: str) -> Balance:
        found = self.balance(account_id)
        if found is None:
            raise KitestringError(Reason.INTERNAL, f"the ledger has no account {account_id}: nothing was booked")
        return found

    def _insert(self, statement: str, values: tuple[object, ...]) -> int:
        number = self.execute(statement, values).lastrowid
        assert number is not None  # noqa: S101 - an insert has a row id
        return number

    def owner_spendable(self, view: NodeView) -> int:
        """What the owner may still reserve: never counts money twice, may count what is already gone as not there."""
        sums = self.sums
        spent_since = sums.spent - int(view.spent_mark_msat)
        return int(view.spendable_msat) - spent_since - sums.sub_accounts - sums.owner_pending

    def is_fresh(self, view: NodeView) -> bool:
        """Whether the node was asked after everything that is spent, so also after what cost more than was held."""
        return int(view.spent_mark_msat) >= self.sums.spent

    def remember_view(self, view: NodeView) -> None:
        """An upper bound of what the node holds, right after a reservation of the owner's was granted on ``view``: if
        the owner was overdrawn, there is enough again."""
        if self._of(OWNER_ACCOUNT).overdrawn:
            self.mark(OWNER_ACCOUNT, overdrawn=False)
        self.sums.node_balance = int(view.spendable_msat) + self.sums.pending
