"""The SQLite store: one writer thread with group commit, one reading connection on the loop's thread."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from kitestring.base.commands import OWNER_ACCOUNT, OWNER_GRANT, OWNER_WIRE
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.transactions.answers import Tx
from kitestring.base.transactions.feed import Committed
from kitestring.ledger.rows import FEES, GRANT, SERVICE_FEES, WORLD, marks, write_grant
from kitestring.ledger.sqlite.migrations import check, migrate, migrations, refuse_foreign
from kitestring.ledger.sqlite.reader import SqliteReads
from kitestring.ledger.sqlite.writer import Writer

A = TypeVar("A")

#: How long a second writer waits for the first: longer than any batch with its checkpoint.
BUSY_TIMEOUT_S: Final = 5.0
#: Prepared statements kept per connection: more than there are.
STATEMENTS: Final = 256
#: Pages of the log before the writer checkpoints (16 MiB): rarely enough not to double the fsyncs, small on disk.
CHECKPOINT_PAGES: Final = 4_096

_HOUSE: Final = (
    (OWNER_ACCOUNT, "the node itself", "owner"),
    (WORLD, "everything outside", "world"),
    (FEES, "routing fees", "fees"),
    (SERVICE_FEES, "fees of this service", "fees"),
)
_FOUND: Final = (
    "INSERT INTO services (service_id, ledger_id) VALUES (?, lower(hex(randomblob(16)))) ON CONFLICT DO NOTHING"
)
_OWNER: Final = Grant(grant_id=OWNER_GRANT, name="owner", wire=OWNER_WIRE)


class SqliteStore(SqliteReads):
    """:class:`kitestring.base.store.Store` on one SQLite file, which may hold several services."""

    def __init__(self, connection: sqlite3.Connection, service: int, writer: Writer | None) -> None:
        super().__init__(connection, service)
        self._writer = writer

    @classmethod
    async def open(
        cls, path: str | Path, service_id: str, *, readonly: bool = False, cache_kib: int | None = None
    ) -> SqliteStore:
        """Open, create or upgrade the ledger of ``service_id``.

        ``cache_kib`` is the page cache of the writer, None for SQLite's own; it is filled as the ledger grows.

        A new service starts with the owner's account and the owner's grant. Raises KitestringError(INTERNAL) with a
        sentence when the file cannot be used, KitestringError(MALFORMED) when another version made it,
        KitestringError(UNKNOWN_TARGET) when it is read only and has no such ledger.
        """
        path = Path(path)
        try:
            if readonly:
                return cls(*_open_reader(path, service_id), None)
            connection, service = _open_writer(path, service_id, cache_kib)
            writer = Writer(connection, service)
            reads = _open_reader(path, service_id)
        except (sqlite3.Error, OSError) as error:
            raise KitestringError(Reason.INTERNAL, f"the database {path} cannot be opened: {error}") from error
        writer.start()
        return cls(*reads, writer)

    async def apply(self, tx: Tx[A]) -> A:
        if self._writer is None:
            raise KitestringError(Reason.INTERNAL, "the ledger is open for reading only: start the service first")
        return await self._writer.submit(tx)

    def subscribe(self, listener: Callable[[Committed], None]) -> None:
        if self._writer is not None:
            self._writer.listeners.append(listener)

    async def close(self) -> None:
        """Close the reads first, so that the writer finds no reader when it checkpoints."""
        self._connection.close()
        if self._writer is not None:
            await self._writer.close()


def connect_readonly(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises KitestringError if the file is not this version's ledger."""
    if not path.is_file():
        raise KitestringError(Reason.INTERNAL, f"there is no ledger at {path}: start the service first")
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        cached_statements=STATEMENTS,
        timeout=BUSY_TIMEOUT_S,
    )
    try:
        connection.execute("PRAGMA query_only = ON")
        _refuse_other_versions(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise KitestringError(Reason.INTERNAL, f"{path} is not a readable ledger ({error})") from error
    except KitestringError:
        connection.close()
        raise
    return connection


def _refuse_other_versions(connection: sqlite3.Connection, path: Path) -> None:
    steps = migrations()
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone()
    if known is None or check(connection, steps) != len(steps):
        raise KitestringError(Reason.INTERNAL, f"{path} is not a ledger of this version: start the service first")


def service_number(connection: sqlite3.Connection, service_id: str) -> int:
    """The number of a service. Raises KitestringError(UNKNOWN_TARGET) if the file holds no ledger of it."""
    row = connection.execute("SELECT service FROM services WHERE service_id = ?", (service_id,)).fetchone()
    if row is None:
        raise KitestringError(Reason.UNKNOWN_TARGET, "the database holds no ledger of this service key")
    return int(row[0])


def _open_reader(path: Path, service_id: str) -> tuple[sqlite3.Connection, int]:
    connection = connect_readonly(path)
    try:
        return connection, service_number(connection, service_id)
    except KitestringError:
        connection.close()
        raise


def _open_writer(path: Path, service_id: str, cache_kib: int | None) -> tuple[sqlite3.Connection, int]:
    # The file is made here, so that nobody else can ever read it; SQLite gives its log the same mode.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(
        path,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS,
        timeout=BUSY_TIMEOUT_S,
    )
    try:
        refuse_foreign(connection)
        _harden(connection)
        if cache_kib is not None:
            connection.execute(f"PRAGMA cache_size = -{cache_kib}").fetchall()
        migrate(connection, migrations())
        return connection, _found(connection, service_id)
    except BaseException:
        connection.close()
        raise


def _harden(connection: sqlite3.Connection) -> None:
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "fullfsync = ON",
        f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
        "temp_store = MEMORY",
        # Some builds overwrite what is deleted with zeros; what is deleted here holds no secret.
        "secure_delete = OFF",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    level = connection.execute("PRAGMA synchronous").fetchone()[0]
    if (mode, level) != ("wal", 2):
        raise KitestringError(
            Reason.INTERNAL,
            "the database does not keep its promise to write through (WAL, synchronous=FULL): use a local disk",
        )


def _found(connection: sqlite3.Connection, service_id: str) -> int:
    """The number of this service; its house accounts and the owner's grant are there afterwards."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_FOUND, (service_id,))
        service = service_number(connection, service_id)
        connection.execute("INSERT INTO totals (service) VALUES (?) ON CONFLICT DO NOTHING", (service,))
        connection.executemany(
            "INSERT INTO accounts (service, account_id, name, kind, created_at)"
            " VALUES (?, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
            [(service, *row) for row in _HOUSE],
        )
        connection.execute(
            f"INSERT INTO grants (service, {GRANT}) VALUES ({marks(GRANT)}) ON CONFLICT DO NOTHING",
            (service, *write_grant(_OWNER)),
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return service
