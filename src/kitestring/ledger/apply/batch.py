"""The state that the members of one commit share: the connection, the running sums, the news, and bookings of money.

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
from kitestring.base.events import EventKind, FeedEvent
from kitestring.base.records import CONTROL_WIRE, REPLY, Message, NodeView, Outgoing, Request
from kitestring.base.transactions.answers import Finished, Running
from kitestring.ledger.apply.counts import Counts
from kitestring.ledger.apply.memory import Memory
from kitestring.ledger.rows import FEES, MESSAGE, REQUEST, WORLD

#: Without the name of the index SQLite walks through all grants.
_OF_CALLER: Final = (
    "SELECT grant_id FROM grants INDEXED BY grants_by_caller WHERE service = ? AND wire = ? AND caller = ?"
)
_BEGIN: Final = """
SELECT t.spent_msat, t.sub_accounts_msat, t.owner_pending_msat, t.pending_msat, t.node_balance_msat,
  t.spending_stopped, t.pruned_before, t.refused_before, t.last_message, t.last_event
FROM totals t WHERE t.service = ?"""
_FLUSH: Final = """
UPDATE totals SET spent_msat = ?, sub_accounts_msat = ?, owner_pending_msat = ?, pending_msat = ?,
  node_balance_msat = ?, spending_stopped = ?, pruned_before = ?, refused_before = ?, last_message = ?, last_event = ?
WHERE service = ?"""
_ACCOUNT: Final = (
    "SELECT kind, overdrawn, credits_msat, posted_msat, pending_msat, closed_at FROM accounts"
    " WHERE service = ? AND account_id = ?"
)
_SET_ACCOUNT: Final = (
    "UPDATE accounts SET credits_msat = ?, posted_msat = ?, pending_msat = ? WHERE service = ? AND account_id = ?"
)
_MARK: Final = _SET_ACCOUNT.replace("WHERE", ", overdrawn = ? WHERE")
_INSERT_REQUEST: Final = f"INSERT INTO requests (service, {REQUEST}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_ANSWERED: Final = (
    f"INSERT INTO requests (service, {REQUEST}, invoice, finished_at, reply) VALUES (?{', ?' * 11})"
)
_INSERT_REFUSED: Final = (
    f"INSERT INTO requests (service, {REQUEST}, finished_at, reply, until)"
    f" VALUES (?{', ?' * 11}) ON CONFLICT DO NOTHING"
)
_NUMBER: Final = "SELECT request FROM requests WHERE service = ? AND request_id = ?"
_FORGET: Final = (
    "DELETE FROM outbox WHERE message = (SELECT reply FROM requests WHERE request = ?1)",
    "DELETE FROM outbox WHERE request = ?1 AND kind <> 'reply'",
    "DELETE FROM requests WHERE request = ?1",
)
_PUT: Final = f"INSERT INTO outbox (message, service, request, {MESSAGE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
#: What was asked is kept of the owner's commands alone, whose keys have no age: told again, each must ask for the same.
_FINISH: Final = (
    f"UPDATE requests SET finished_at = ?, reply = ?, command = iif(wire = '{CONTROL_WIRE}', command, x'')"
    " WHERE request = ? AND finished_at IS NULL"
)
_HAS: Final = "SELECT 1 FROM outbox WHERE request = ? AND kind = ? AND kind <> 'reply'"
#: The answers of a request: its reply by number, the others by an index that no reply is in.
_REPLY: Final = f"SELECT {MESSAGE} FROM outbox WHERE message = (SELECT reply FROM requests WHERE request = ?)"
_OTHERS: Final = f"SELECT {MESSAGE} FROM outbox WHERE request = ? AND kind <> 'reply' ORDER BY message"
_FINISHED: Final = "SELECT request, finished_at FROM requests WHERE service = ? AND request_id = ?"
_TELL: Final = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_BOOK: Final = (
    "INSERT INTO transfers (service, reference, kind, debited, credited, amount_msat, note, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)

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
    pruned_before: int
    refused_before: int
    last_message: int
    last_event: int


@dataclass(slots=True)
class AccountBalance:
    """One row of ``accounts``, in msat."""

    kind: str
    overdrawn: int
    credits: int
    posted: int
    pending: int
    closed_at: int | None

    @property
    def is_closed(self) -> bool:
        return self.closed_at is not None

    @property
    def available(self) -> int:
        return self.credits - self.posted - self.pending


class Batch:
    """One open transaction of one service. Every function of this room works on one of these and on nothing else."""

    __slots__ = (
        "_before",
        "accounts",
        "connection",
        "counts",
        "events",
        "execute",
        "memory",
        "outgoing",
        "service",
        "sums",
        "webhooks",
    )

    def __init__(self, connection: sqlite3.Connection, service: int, memory: Memory) -> None:
        self.connection, self.service, self.execute, self.memory = connection, service, connection.execute, memory
        self.sums = Sums(*connection.execute(_BEGIN, (service,)).fetchone())
        self._before = replace(self.sums)
        self.accounts: dict[str, AccountBalance] = {}
        self.counts = Counts(connection, service)
        #: The news of this commit, for whoever listens; nobody is told before it.
        self.outgoing: list[Outgoing] = []
        self.events: list[FeedEvent] = []
        self.webhooks: dict[str, None] = {}  # offers, in their order

    def flush(self) -> None:
        """Write the shared sums; called once, right before the commit, and around what may be taken back."""
        now, service = self.sums, self.service
        if now != self._before:
            figures = (now.spent, now.sub_accounts, now.owner_pending, now.pending, now.node_balance)
            numbers = (now.pruned_before, now.refused_before, now.last_message, now.last_event)
            self.execute(_FLUSH, (*figures, now.stopped, *numbers, service))
            self._before = replace(now)
        self.connection.executemany(
            _SET_ACCOUNT,
            [(a.credits, a.posted, a.pending, service, name) for name, a in self.accounts.items()],
        )
        self.accounts = {}
        self.counts.flush()

    def balance(self, account_id: str) -> AccountBalance | None:
        """The account as this batch has left it so far; what is changed in it is written by :meth:`flush`."""
        known = self.accounts.get(account_id)
        if known is None:
            row = self.execute(_ACCOUNT, (self.service, account_id)).fetchone()
            if row is None:
                return None
            known = self.accounts[account_id] = AccountBalance(*row)
        return known

    # ------------------------------------------------------------ requests and messages

    def known(self, request_id: str) -> Finished | Running | None:
        """The answer to a request that was claimed before, None for a new one."""
        row = self.execute(_FINISHED, (self.service, request_id)).fetchone()
        if row is None:
            return None
        return Running() if row[1] is None else self.finished(row[0], request_id)

    def finished(self, number: int, request_id: str) -> Finished:
        """The stored answers of a request by its number."""
        rows = self.execute(_REPLY, (number,)).fetchall() + self.execute(_OTHERS, (number,)).fetchall()
        return Finished(tuple(Message(request_id, *row) for row in rows))

    def insert_request(self, r: Request, payment_id: str) -> int:
        """Claim a request and tell its number."""
        return self.insert(_INSERT_REQUEST, (*self._values(r, r.command), payment_id))

    def insert_answered(self, r: Request, messages: tuple[Message, ...], now: int, invoice: int | None = None) -> None:
        """Claim a request with its answer, of which ``messages[0]`` is the reply. ``invoice`` is the number of
        the one it asked for."""
        reply = message_id(self.service, self.sums.last_message + 1)
        asked = r.command if r.wire == CONTROL_WIRE else b""
        number = self.insert(_INSERT_ANSWERED, (*self._values(r, asked), r.payment_id, invoice, now, reply))
        for message in messages:
            self._put(message, number)

    def insert_refused(self, r: Request, reply: Message | None, now: int, until: int) -> bool:
        """Note that a request was refused, and in which words; None = no words are kept. False, and nothing is noted,
        if it is known."""
        kept = None if reply is None else message_id(self.service, self.sums.last_message + 1)
        what = (r.request_id, r.wire, r.grant_id, b"", b"", r.sent_at, r.received_at, "")
        done = self.execute(_INSERT_REFUSED, (self.service, *what, now, kept, until))
        if done.rowcount and reply is not None:
            self._put(reply, done.lastrowid)
        return done.rowcount == 1

    def is_too_old(
        self, r: Request, looked_up: int | None = None, caller: str = "", *, of_caller: int | None = None
    ) -> bool:
        """Whether a request may be one that was answered and forgotten. Only peers' are forgotten as refused ones.
        ``looked_up`` is what the row of its grant's refusals says, if somebody has read that in this transaction.
        Of a ``caller`` who may have several grants the refusals are kept with one of them: ``of_caller`` is what their
        rows say."""
        sent_at, sums = r.sent_at, self.sums
        if r.wire == CONTROL_WIRE:
            return sent_at < sums.pruned_before
        if sent_at < sums.pruned_before or sent_at < sums.refused_before:
            return True
        if sent_at < self.counts.refused_before(r.grant_id, looked_up):
            return True
        return bool(caller) and sent_at < self._refused_before_of(r.wire, caller, of_caller)

    def _refused_before_of(self, wire: str, caller: str, looked_up: int | None) -> int:
        """The latest time before which everything of one of a caller's grants is refused."""
        if looked_up is not None and not self.counts.has_refused:
            return looked_up
        grants = self.execute(_OF_CALLER, (self.service, wire, caller)).fetchall()
        return max((self.counts.refused_before(grant_id, None) for (grant_id,) in grants), default=0)

    def _values(self, r: Request, command: bytes) -> tuple[object, ...]:
        return (self.service, r.request_id, r.wire, r.grant_id, command, r.reply_to, r.sent_at, r.received_at)

    def store(self, messages: Iterable[Message], now: int, number: int | None = None) -> None:
        """Put messages into the outbox; a reply finishes its request. What a request was told before stays: it gets
        one message of each kind.

        ``number`` is the number of the requests answered, where it is known. A request that was forgotten meanwhile
        has nobody who waits for its answer.
        """
        for m in messages:
            if not m.request_id:
                self._put(m, None)
                continue
            request = number or self._number(m.request_id)
            if request is not None and self._is_first(m, request, now):
                self._put(m, request)

    def _is_first(self, m: Message, request: int, now: int) -> bool:
        if m.kind == REPLY:
            reply = message_id(self.service, self.sums.last_message + 1)
            return self.execute(_FINISH, (now, reply, request)).rowcount == 1
        return self.execute(_HAS, (request, m.kind)).fetchone() is None

    def _put(self, m: Message, request: int | None) -> None:
        self.sums.last_message += 1
        number = self.sums.last_message
        values = (m.kind, m.plaintext, m.event, m.signed_at, m.address, m.is_no)
        self.execute(_PUT, (message_id(self.service, number), self.service, request, *values))
        self.outgoing.append(Outgoing(number, m))

    def _number(self, request_id: str) -> int | None:
        row = self.execute(_NUMBER, (self.service, request_id)).fetchone()
        return None if row is None else int(row[0])

    def forget(self, request_ids: Iterable[str]) -> None:
        """Delete requests with their answers; the caller sees to it that none can come again."""
        keys = [(self._number(request_id),) for request_id in request_ids]
        for statement in _FORGET:
            self.connection.executemany(statement, keys)

    # ------------------------------------------------------------ the feed

    def tell(
        self, kind: EventKind, subject: str, now: int, *, grant_id: str = "", account_id: str = "", detail: str = ""
    ) -> None:
        """Write what has become true, in the transaction that made it true."""
        self.sums.last_event += 1
        number = self.sums.last_event
        self.execute(_TELL, (self.service, number, now, kind.value, subject, grant_id, account_id, detail))
        self.events.append(FeedEvent(number, now, kind, subject, grant_id, account_id, detail))

    # ------------------------------------------------------------ money

    def pend(self, account_id: str, held: int) -> None:
        """Add ``held`` to the reservations of an account; less than zero releases."""
        self.of(account_id).pending += held
        self.sums.pending += held
        if account_id == OWNER_ACCOUNT:
            self.sums.owner_pending += held

    def book(
        self, kind: str, debited: str, credited: str, amount: int, now: int, *, reference: str = "", note: str = ""
    ) -> int:
        """Write a transfer apart from any payment and move the balances; tells its number."""
        number = self.insert(_BOOK, (self.service, reference, kind, debited, credited, amount, note, now))
        self.move(debited, credited, amount, 0)
        return number

    def move(self, debited: str, credited: str, amount: int, fee: int) -> None:
        """Move the balances of a double entry; its row is the caller's to write."""
        source, target = self.of(debited), self.of(credited)
        source.posted += amount + fee
        self._credit(credited, target, amount)
        if fee:
            self.of(FEES).credits += fee
        if source.kind == "sub":
            self.sums.sub_accounts -= amount + fee
        if target.kind == "sub":
            self.sums.sub_accounts += amount
        if credited == WORLD:
            self.sums.spent += amount + fee
        if self.sums.node_balance is not None:
            self.sums.node_balance -= amount + fee if credited == WORLD else -amount if debited == WORLD else 0

    def _credit(self, account_id: str, account: AccountBalance, amount: int) -> None:
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
        account = self.of(account_id)
        if not overdrawn:
            self._write(account_id, account)
        self._mark(account_id, account, int(overdrawn))

    def _write(self, account_id: str, a: AccountBalance) -> None:
        self.execute(_SET_ACCOUNT, (a.credits, a.posted, a.pending, self.service, account_id))

    def _mark(self, account_id: str, a: AccountBalance, overdrawn: int) -> None:
        a.overdrawn = overdrawn
        self.execute(_MARK, (a.credits, a.posted, a.pending, overdrawn, self.service, account_id))

    def of(self, account_id: str) -> AccountBalance:
        """As :meth:`balance`, for an account that must exist. Raises KitestringError(INTERNAL)."""
        found = self.accounts.get(account_id) or self.balance(account_id)
        if found is None:
            raise KitestringError(Reason.INTERNAL, f"the ledger has no account {account_id}: nothing was booked")
        return found

    def insert(self, statement: str, values: tuple[object, ...]) -> int:
        number = self.execute(statement, values).lastrowid
        assert number is not None  # noqa: S101 - an insert has a row id
        return number

    def owner_spendable(self, view: NodeView) -> int:
        """The msat that the owner may still reserve. Money is never counted twice; money that was just spent may be
        subtracted twice."""
        sums = self.sums
        spent_since = sums.spent - int(view.spent_mark_msat)
        return int(view.spendable_msat) - spent_since - sums.sub_accounts - sums.owner_pending

    def is_fresh(self, view: NodeView) -> bool:
        """Whether the node was asked after everything that is spent, payments that cost more than was held among it."""
        return int(view.spent_mark_msat) >= self.sums.spent

    def remember_view(self, view: NodeView) -> None:
        """Note an upper bound of what the node holds, right after a reservation of the owner's was granted on ``view``:
        if the owner was overdrawn, there is enough again."""
        if self.of(OWNER_ACCOUNT).overdrawn:
            self.mark(OWNER_ACCOUNT, overdrawn=False)
        self.sums.node_balance = int(view.spendable_msat) + self.sums.pending


def message_id(service: int, number: int) -> int:
    """The row of the outbox that holds message ``number`` of a service. Rows of one service stand together, and no
    number comes twice, whatever is deleted."""
    return service << 48 | number


def message_number(message: int) -> int:
    """The number of a message by its row; see :func:`message_id`."""
    return message & (1 << 48) - 1
