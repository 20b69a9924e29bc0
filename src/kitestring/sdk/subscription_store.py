"""The memory of subscriptions: which periods were charged, and with which invoice each is.

SQLite, because what protects the money is a constraint here, and several programs may come at once: a period has one
invoice that may still be paid, whoever asks for it. Every change is on disk (fsync of file and directory) before
anybody is told. A subscription is carried out by whoever holds its lock, which ends with its process.
"""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.ports import Entropy
from kitestring.wire.ask.debits import PERIODS_S, RepeatUnit

#: The folder in the data directory: the database, and a lock for each subscription.
FOLDER: Final = "subscriptions"
FILE_NAME: Final = "subscriptions.db"
ID_BYTES: Final = 4
_VERSION: Final = 2
_BUSY_S: Final = 10.0
_SCHEMA: Final = """
CREATE TABLE subscriptions (
  subscription_id TEXT PRIMARY KEY,
  ndebit TEXT NOT NULL,            -- as it was last given: its relays may change
  service TEXT NOT NULL,
  pointer TEXT NOT NULL,           -- '' = none
  amount_sats INTEGER NOT NULL CHECK (amount_sats > 0),
  every TEXT NOT NULL,
  name TEXT NOT NULL,
  made_at INTEGER NOT NULL,
  begun_at INTEGER,                -- when its budget was first granted: the beginning of period 0
  has_budget INTEGER NOT NULL DEFAULT 0,
  cancelled_at INTEGER
) STRICT;
CREATE UNIQUE INDEX one_of_its_terms ON subscriptions (service, pointer, amount_sats, every, name)
  WHERE cancelled_at IS NULL;
CREATE TABLE charges (
  payment_hash TEXT PRIMARY KEY,
  subscription_id TEXT NOT NULL REFERENCES subscriptions,
  period INTEGER NOT NULL CHECK (period >= 0),
  bolt11 TEXT NOT NULL,
  made_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'paid', 'void')),
  settled_at INTEGER,
  told INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX one_invoice_of_a_period ON charges (subscription_id, period) WHERE state <> 'void';
"""
#: When this file was put back from a copy, which does not know of the charges between the two.
_RESTORES: Final = "CREATE TABLE restores (at INTEGER NOT NULL) STRICT"


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """One subscription. Times are Unix seconds; ``begun_at`` None = its budget is not granted yet."""

    subscription_id: str
    ndebit: str
    service: str
    pointer: str
    amount_sats: int
    every: RepeatUnit
    name: str
    made_at: int
    begun_at: int | None
    has_budget: bool
    cancelled_at: int | None

    @property
    def length_s(self) -> int:
        """Seconds of one period."""
        return PERIODS_S[self.every]

    def begins_at(self, period: int) -> int:
        """The beginning of a period, which is the end of the one before. Only for one that has begun."""
        return (self.begun_at or 0) + period * self.length_s


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """The invoice of one period. ``open`` = it may be paid, or may have been; ``void`` = it never was and never
    will."""

    payment_hash: str
    subscription_id: str
    period: int
    bolt11: str
    made_at: int
    expires_at: int
    state: Literal["open", "paid", "void"]
    settled_at: int | None
    told: bool


class SubscriptionStore:
    """The database in one data directory. Use it as a context manager. Raises KitestringError where it cannot be
    read."""

    def __init__(self, data_dir: Path) -> None:
        self._folder: Final = data_dir / FOLDER
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / FILE_NAME
        path.touch(mode=0o600)
        self._db: Final = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        try:
            self._prepare(path)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, path: Path) -> None:
        try:
            self._db.execute("PRAGMA synchronous = EXTRA")
            self._db.execute("PRAGMA foreign_keys = ON")
            with self._transaction():
                (version,) = self._db.execute("PRAGMA user_version").fetchone()
                if version == 0:
                    for statement in _statements(_SCHEMA):
                        self._db.execute(statement)
                if version < _VERSION:
                    self._db.execute(_RESTORES)
                    self._db.execute(f"PRAGMA user_version = {_VERSION}")
        except sqlite3.OperationalError:
            raise  # full, locked, read-only: the file is well
        except sqlite3.DatabaseError as error:
            raise KitestringError(
                Reason.MALFORMED, f"{path} cannot be read ({error}): put it back from a copy; without it nobody knows "
                "what was charged",
            ) from error  # fmt: skip
        if version > _VERSION:
            raise KitestringError(Reason.UNSUPPORTED, f"{path} was written by a newer kitestring")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def restored_at(self) -> int | None:
        """Tell when the file was last put back from a copy (Unix seconds); None = never. What had begun by then may
        have been charged, in its running period, with an invoice that is not known here."""
        found: int | None = self._db.execute("SELECT max(at) FROM restores").fetchone()[0]
        return found

    def copy_to(self, path: Path, restored_at: int | None) -> None:
        """Copy it durably to ``path``, which must not exist, for its owner alone; ``restored_at`` is when that copy
        takes the place of a file that went on after it (None = it does not yet).

        One whose budget was not granted then has its period 0 by that time: it may have begun since.
        """
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with closing(sqlite3.connect(path, isolation_level=None)) as copy:
            self._db.backup(copy)
            if restored_at is not None:
                copy.execute("BEGIN IMMEDIATE")
                copy.execute("INSERT INTO restores VALUES (?)", (restored_at,))
                copy.execute("UPDATE subscriptions SET begun_at = ? WHERE begun_at IS NULL", (restored_at,))
                copy.execute("COMMIT")
        with path.open("rb") as file:
            os.fsync(file.fileno())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _change(self, statement: str, *values: object) -> int:
        with self._transaction():
            return self._db.execute(statement, values).rowcount

    # ------------------------------------------------------------ subscriptions

    def open_one(
        self, *, ndebit: str, service: str, pointer: str, amount_sats: int, every: RepeatUnit, name: str, now: int,
        entropy: Entropy,
    ) -> SubscriptionRow:  # fmt: skip
        """The subscription with these terms that is not cancelled, made where there is none."""
        terms = (service, pointer, amount_sats, every, name)
        with self._transaction():
            found = self._db.execute(
                "SELECT subscription_id FROM subscriptions WHERE service = ? AND pointer = ? AND amount_sats = ? "
                "AND every = ? AND name = ? AND cancelled_at IS NULL", terms,
            ).fetchone()  # fmt: skip
            if found is None:
                subscription_id = entropy(ID_BYTES).hex()
                self._db.execute(
                    "INSERT INTO subscriptions VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, 0, NULL)",
                    (subscription_id, ndebit, *terms, now),
                )
            else:
                (subscription_id,) = found
                self._db.execute(
                    "UPDATE subscriptions SET ndebit = ? WHERE subscription_id = ?", (ndebit, subscription_id)
                )
        return self.subscription(subscription_id)

    def subscription(self, subscription_id: str) -> SubscriptionRow:
        """Raises KitestringError(UNKNOWN_TARGET) when there is none."""
        rows = self._db.execute("SELECT * FROM subscriptions WHERE subscription_id = ?", (subscription_id,)).fetchall()
        if not rows:
            raise KitestringError(Reason.UNKNOWN_TARGET, f"there is no subscription {subscription_id}")
        return _subscription(rows[0])

    def subscriptions(self) -> list[SubscriptionRow]:
        """All of them, the oldest first."""
        rows = self._db.execute("SELECT * FROM subscriptions ORDER BY made_at, rowid").fetchall()
        return [_subscription(row) for row in rows]

    def begin(self, subscription_id: str, now: int) -> None:
        """Its budget was granted. Period 0 begins, unless it has begun before."""
        self._change(
            "UPDATE subscriptions SET has_budget = 1, begun_at = coalesce(begun_at, ?) WHERE subscription_id = ?",
            now, subscription_id,
        )  # fmt: skip

    def lose_budget(self, subscription_id: str) -> None:
        """Its budget is over: the next charge asks for one first."""
        self._change("UPDATE subscriptions SET has_budget = 0 WHERE subscription_id = ?", subscription_id)

    def cancel(self, subscription_id: str, now: int) -> SubscriptionRow:
        """Charge nothing any more. Raises KitestringError(UNKNOWN_TARGET)."""
        self._change(
            "UPDATE subscriptions SET cancelled_at = ? WHERE subscription_id = ? AND cancelled_at IS NULL",
            now, subscription_id,
        )  # fmt: skip
        return self.subscription(subscription_id)

    def forget(self, subscription_id: str) -> None:
        """Delete one that has not begun, because its budget was refused."""
        self._change("DELETE FROM subscriptions WHERE subscription_id = ? AND begun_at IS NULL", subscription_id)

    # ------------------------------------------------------------ charges

    def add_charge(
        self, subscription_id: str, period: int, *, bolt11: str, payment_hash: str, expires_at: int, now: int
    ) -> ChargeRow:
        """Store the invoice of a period before anybody is shown it. Raises KitestringError(BUSY) when the period has
        one already that may be paid."""
        try:
            self._change(
                "INSERT INTO charges VALUES (?, ?, ?, ?, ?, ?, 'open', NULL, 0)",
                payment_hash, subscription_id, period, bolt11, now, expires_at,
            )  # fmt: skip
        except sqlite3.IntegrityError as error:
            raise KitestringError(Reason.BUSY, f"period {period} has an invoice already: look again") from error
        return self.charge(payment_hash)

    def charge(self, payment_hash: str) -> ChargeRow:
        """Raises KitestringError(UNKNOWN_TARGET) when there is none."""
        found = self._charges("payment_hash = ?", payment_hash)
        if not found:
            raise KitestringError(Reason.UNKNOWN_TARGET, "there is no charge with this hash")
        return found[0]

    def charge_of(self, subscription_id: str, period: int) -> ChargeRow | None:
        """The one invoice of a period that is not void."""
        found = self._charges("subscription_id = ? AND period = ? AND state <> 'void'", subscription_id, period)
        return found[0] if found else None

    def open_charges(self, subscription_id: str) -> list[ChargeRow]:
        """The charges of which nobody knows yet whether they are paid."""
        return self._charges("subscription_id = ? AND state = 'open'", subscription_id)

    def paid_charges(self, subscription_id: str) -> list[ChargeRow]:
        """The paid ones, in the order of their periods."""
        return self._charges("subscription_id = ? AND state = 'paid'", subscription_id)

    def untold_charges(self, subscription_id: str) -> list[ChargeRow]:
        """The paid ones that the program has not been given, or may have lost."""
        return self._charges("subscription_id = ? AND state = 'paid' AND NOT told", subscription_id)

    def _charges(self, condition: str, *values: object) -> list[ChargeRow]:
        statement = f"SELECT * FROM charges WHERE {condition} ORDER BY period, made_at"  # noqa: S608 - our own words
        return [_charge(row) for row in self._db.execute(statement, values).fetchall()]

    def settle(self, payment_hash: str, settled_at: int) -> None:
        """It is paid. That is never undone."""
        self._change(
            "UPDATE charges SET state = 'paid', settled_at = ? WHERE payment_hash = ? AND state <> 'paid'",
            settled_at, payment_hash,
        )  # fmt: skip

    def void(self, payment_hash: str) -> None:
        """It has expired, and the wallet says that it was not paid: another invoice may take its place."""
        self._change("UPDATE charges SET state = 'void' WHERE payment_hash = ? AND state = 'open'", payment_hash)

    def mark_told(self, payment_hash: str) -> None:
        """The program has dealt with it."""
        self._change("UPDATE charges SET told = 1 WHERE payment_hash = ?", payment_hash)

    # ------------------------------------------------------------ one at a time

    @contextmanager
    def held(self, subscription_id: str) -> Iterator[None]:
        """Hold a subscription. Raises KitestringError(BUSY) naming the process that has it."""
        if re.fullmatch("[0-9a-f]+", subscription_id) is None:
            raise KitestringError(Reason.UNKNOWN_TARGET, f"there is no subscription {subscription_id}")
        path = self._folder / f"{subscription_id}.lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                pid = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
                raise KitestringError(
                    Reason.BUSY, f"the subscription {subscription_id} is carried out by another process (pid {pid})",
                    pid=pid,
                ) from error  # fmt: skip
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(handle)  # which lets the lock go; the file stays, or two could hold two files


def _statements(script: str) -> Iterator[str]:
    return filter(None, (part.strip() for part in re.sub("--[^\n]*", "", script).split(";")))


def _subscription(row: sqlite3.Row) -> SubscriptionRow:
    return SubscriptionRow(**{**dict(row), "has_budget": bool(row["has_budget"])})


def _charge(row: sqlite3.Row) -> ChargeRow:
    return ChargeRow(**{**dict(row), "told": bool(row["told"])})
