"""The file of a sandbox world: who lives in it, who owes whom, and what time it has seen.

Several processes open it at once (the service, and the command line as the outside world), so every write is one
short ``BEGIN IMMEDIATE`` transaction. Amounts are integer millisatoshi, ``*_ms`` are Unix milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.base.ports import Entropy
from kitestring.crypto import secp

NETWORK: Final = "regtest"
OPENING_BALANCE_MSAT: Final = sat(1_000_000)
#: Room in the channels of a new node for what the outside world sends it: one bitcoin.
INBOUND_MSAT: Final = sat(100_000_000)
#: A transaction here takes a millisecond or two; who waits longer than this meets a process that hangs.
BUSY_LIMIT_S: Final = 10.0
SCHEMA_VERSION: Final = 5
#: The chain of this world grows by the clock: a block in ten minutes.
BLOCK_MS: Final = 600_000
#: "kits", so that a file of another program is not taken for one.
APPLICATION_ID: Final = 0x6B697473

_SCHEMA: Final = """
CREATE TABLE node (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  node_secret BLOB NOT NULL,
  outside_secret BLOB NOT NULL,
  opening_msat INTEGER NOT NULL,
  capacity_msat INTEGER NOT NULL,
  balance_msat INTEGER NOT NULL CHECK (balance_msat BETWEEN 0 AND capacity_msat),
  settle_index INTEGER NOT NULL DEFAULT 0,
  seen_ms INTEGER NOT NULL DEFAULT 0,
  ahead_ms INTEGER NOT NULL DEFAULT 0 CHECK (ahead_ms >= 0),
  offline INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE invoices (
  seq INTEGER PRIMARY KEY,
  payment_hash TEXT NOT NULL UNIQUE,
  bolt11 TEXT NOT NULL,
  preimage TEXT NOT NULL,
  amount_msat INTEGER,
  expires_at INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'settled', 'canceled')),
  received_msat INTEGER NOT NULL DEFAULT 0,
  settled_at INTEGER NOT NULL DEFAULT 0,
  settle_index INTEGER UNIQUE,
  cltv_delta INTEGER,
  settle_deadline INTEGER NOT NULL DEFAULT 0,
  CHECK ((state = 'settled') = (settle_index IS NOT NULL)),
  CHECK (state <> 'accepted' OR cltv_delta IS NOT NULL AND settle_deadline > 0)
) STRICT;
CREATE TABLE outside_invoices (
  seq INTEGER PRIMARY KEY,
  payment_hash TEXT NOT NULL UNIQUE,
  bolt11 TEXT NOT NULL,
  preimage TEXT NOT NULL,
  amount_msat INTEGER,
  expires_at INTEGER NOT NULL,
  behaviour TEXT NOT NULL,
  delay_ms INTEGER,
  reason TEXT NOT NULL
) STRICT;
CREATE TABLE outside_nodes (
  node_key TEXT PRIMARY KEY,
  behaviour TEXT NOT NULL,
  delay_ms INTEGER,
  reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE payments (
  seq INTEGER PRIMARY KEY,
  payment_hash TEXT NOT NULL UNIQUE,
  amount_msat INTEGER NOT NULL,
  fee_msat INTEGER NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('settled', 'failed')),
  answer TEXT NOT NULL,
  reason TEXT NOT NULL,
  preimage TEXT NOT NULL,
  node_key TEXT NOT NULL,
  records TEXT NOT NULL,
  sent_at_ms INTEGER NOT NULL,
  resolve_at_ms INTEGER,
  refunded INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX payments_to_refund ON payments (resolve_at_ms) WHERE outcome = 'failed' AND refunded = 0;
"""


def open_file(
    path: Path, *, entropy: Entropy = os.urandom, opening_msat: Msat | None = None, shared: bool = False
) -> sqlite3.Connection:
    """A connection to the world at ``path``. With ``opening_msat``, which the node's URL gives, it is made with fresh
    keys when it is not there yet.

    ``shared`` allows use from a thread other than the caller's. Raises KitestringError when the file is missing,
    something else or of another version.
    """
    try:
        if not path.exists():
            if opening_msat is None:
                raise KitestringError(Reason.UNAVAILABLE, f"there is no sandbox at {path}: start its node first")
            _make(path, entropy, opening_msat)
        connection = _connect(path, shared=shared)
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except (sqlite3.Error, OSError) as error:
        raise KitestringError(
            Reason.UNAVAILABLE, f"the sandbox file {path} cannot be opened: {error}; choose another data directory"
        ) from error
    if (mark, version) != (APPLICATION_ID, SCHEMA_VERSION):
        connection.close()
        raise KitestringError(
            Reason.UNAVAILABLE, f"{path} is no sandbox of this version; move it away to begin with a new one"
        )
    return connection


def _connect(path: Path, *, shared: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_LIMIT_S, isolation_level=None, check_same_thread=not shared)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _make(path: Path, entropy: Entropy, opening_msat: Msat) -> None:
    """Build the world beside its place and link it there: of two processes that do it at once one wins, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{entropy(4).hex()}.new")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with contextlib.closing(_connect(draft)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
            connection.executescript(f"BEGIN; {_SCHEMA} {marks} COMMIT")
            connection.execute(
                "INSERT INTO node (id, node_secret, outside_secret, opening_msat, capacity_msat, balance_msat)"
                " VALUES (1, ?, ?, ?, ?, ?)",
                (_key(entropy), _key(entropy), int(opening_msat), int(opening_msat + INBOUND_MSAT), int(opening_msat)),
            )
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _key(entropy: Entropy) -> bytes:
    while not secp.is_valid_secret(secret := entropy(32)):
        pass
    return secret


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing, durable when it ends."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def moment_ms(connection: sqlite3.Connection, now_ms: Callable[[], int]) -> int:
    """The time in this world: the clock's, and what the world was put ahead of it. It never goes back, so that what has
    settled stays settled when a clock is set back."""
    seen, ahead = connection.execute("SELECT seen_ms, ahead_ms FROM node").fetchone()
    return max(int(seen), now_ms() + int(ahead))


def advance(connection: sqlite3.Connection, now_ms: Callable[[], int]) -> int:
    """Inside a transaction: remember the time and give back what failed payments held. Returns the time."""
    now = moment_ms(connection, now_ms)
    connection.execute(
        "UPDATE node SET seen_ms = ?, balance_msat = balance_msat + ?", (now, due_refunds(connection, now))
    )
    connection.execute(
        "UPDATE payments SET refunded = 1 WHERE outcome = 'failed' AND refunded = 0 AND resolve_at_ms <= ?", (now,)
    )
    return now


def due_refunds(connection: sqlite3.Connection, now: int) -> int:
    """The millisatoshi that payments still hold although they have failed by now."""
    total: int = connection.execute(
        "SELECT coalesce(sum(amount_msat + fee_msat), 0) FROM payments"
        " WHERE outcome = 'failed' AND refunded = 0 AND resolve_at_ms <= ?",
        (now,),
    ).fetchone()[0]
    return total
