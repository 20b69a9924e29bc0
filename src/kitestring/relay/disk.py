"""Durable events on disk: one small SQLite file, written by one thread of its own."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.nostr.event import Event, decode_event, encode_event
from kitestring.relay.entry import ENTRY_OVERHEAD_BYTES, KeptEvent
from kitestring.relay.limits import RelayLimits

#: "kite", so that a file of another program is not taken over.
APPLICATION_ID: Final = 0x6B697465
SCHEMA_VERSION: Final = 2
#: ``number`` grows with every event: the order in which they came. ``is_vouched``: for its author there is always room.
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS event (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, json BLOB NOT NULL, is_vouched INTEGER NOT NULL
) STRICT;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""
#: Seconds to wait for another process that holds the file (a backup).
BUSY_TIMEOUT_S: Final = 5.0
PRIVATE_MODE: Final = 0o600
#: Below this the disk counts as full: SQLite writes its log in pieces, and needs more than the last few pages.
LEAST_FREE_BYTES: Final = 16 * 1_048_576
_NO_SPACE_CODES: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
#: SQLite's extended error codes keep the primary one in the lowest byte.
_PRIMARY_CODE: Final = 0xFF


class Disk:
    """Open with :meth:`open`. Losing the last moment in a power cut is harmless: what is kept here is published again
    by its author at every start, so commits are not synced one by one.
    """

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._thread: Final = ThreadPoolExecutor(1, thread_name_prefix="relay-disk")
        self._db: sqlite3.Connection | None = None
        self._closed = False

    async def open(self, limits: RelayLimits) -> list[KeptEvent]:
        """The stored events, the oldest first. Of strangers' only the newest that the limits allow; what is beyond
        them, because they were others before, is gone then. Raises KitestringError when the file cannot be used."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._open, limits)
        except (sqlite3.Error, OSError) as error:
            await self.close()
            raise KitestringError(Reason.INTERNAL, f"the relay cannot use its file: {self.explain(error)}") from error

    def explain(self, error: sqlite3.Error | OSError) -> str:
        """Say what is wrong with the file, and what to do where that is known."""
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
        if code in _NO_SPACE_CODES or getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}:
            free = shutil.disk_usage(self._path.parent).free
            if free < LEAST_FREE_BYTES:
                return (
                    f"the disk of {self._path} is full ({free // 1024} KiB free): make room, then it goes on by itself"
                )
            return f"{self._path}: {error}; check the disk, and whether a quota is used up"
        return f"{self._path}: {getattr(error, 'strerror', None) or error}"

    def _open(self, limits: RelayLimits) -> list[KeptEvent]:
        _make_private(self._path)
        self._db = db = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        is_foreign = application != APPLICATION_ID and (application or tables)
        if is_foreign or version > SCHEMA_VERSION:
            raise sqlite3.DatabaseError("it belongs to another program or a newer version")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        if 0 < version < SCHEMA_VERSION:  # what is in it is published again by its authors
            db.executescript("DROP TABLE IF EXISTS event; VACUUM;")
        db.executescript(_SCHEMA)
        return self._load(db, limits)

    def _load(self, db: sqlite3.Connection, limits: RelayLimits) -> list[KeptEvent]:
        kept: list[KeptEvent] = []
        left, left_bytes, beyond = limits.max_durable_events, limits.max_durable_bytes, list[tuple[int]]()
        for number, raw, is_vouched in db.execute("SELECT number, json, is_vouched FROM event ORDER BY number DESC"):
            if not is_vouched:
                left, left_bytes = left - 1, left_bytes - len(raw) - ENTRY_OVERHEAD_BYTES
            has_room = is_vouched or (left >= 0 and left_bytes >= 0)
            event = _read(raw) if has_room else None
            if event is None:
                beyond.append((number,))
            else:
                kept.append(KeptEvent(event, bool(is_vouched)))
        db.execute("BEGIN")
        db.executemany("DELETE FROM event WHERE number = ?", beyond)
        db.execute("COMMIT")
        return kept[::-1]

    async def write(self, added: KeptEvent | None, removed: Sequence[str]) -> None:
        """Commit one change. Raises sqlite3.Error (a full disk, for one)."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write, added, removed)

    def _write(self, added: KeptEvent | None, removed: Sequence[str]) -> None:
        if self._db is None:
            raise sqlite3.ProgrammingError("the relay's database is closed")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("DELETE FROM event WHERE id = ?", [(each,) for each in removed])
            if added is not None:
                row = (added.event.id, encode_event(added.event), int(added.is_vouched))
                self._db.execute("INSERT OR IGNORE INTO event (id, json, is_vouched) VALUES (?, ?, ?)", row)
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    async def close(self) -> None:
        """May be called again, and without :meth:`open`."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


def _make_private(path: Path) -> None:
    """0600 from its first byte on: SQLite gives -wal and -shm the mode of the file itself."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_MODE))
    for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if each.exists():
            each.chmod(PRIVATE_MODE)


def _read(raw: bytes) -> Event | None:
    try:
        return decode_event(raw)
    except CodecError:  # a damaged row is a lost event, not a lost relay
        return None
