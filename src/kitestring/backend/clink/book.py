"""The book of a CLINK wallet, on disk: the events by which it is asked, and its answers, for it has no list to show.

An order is written here before it is sent, and an invoice before anybody is shown it, with the signed request that can
be sent again after a restart. The sums of what came in and went out stay when rows are forgotten. SQLite; every change
is on disk before the method returns, in some milliseconds.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.payments import Failed, FailureReason, Settled

FILE_NAME: Final = "clink-wallet.db"
#: Rows that have ended are forgotten after so many seconds; the ledger has what became of them.
KEEP_S: Final = 90 * 86_400
#: Invoices that nobody has paid, sooner: strangers ask for any number of them, and each row has some 3 kB.
KEEP_UNPAID_S: Final = 7 * 86_400
#: Rows of each sort that one change forgets at most: the service waits for it, some milliseconds.
FORGET_LIMIT: Final = 50
#: Open invoices of one wallet. The service bounds those of strangers far below this.
MAX_OPEN_INVOICES: Final = 20_000
#: Characters kept of what the wallet said.
MAX_SAID: Final = 500
_VERSION: Final = 1
_BUSY_S: Final = 10.0
_SCHEMA: Final = """
CREATE TABLE wallets (
  wallet_id TEXT PRIMARY KEY,
  network TEXT NOT NULL,                -- '' = not told yet
  received_msat INTEGER NOT NULL DEFAULT 0,
  paid_msat INTEGER NOT NULL DEFAULT 0, -- with the fees that were allowed
  told INTEGER NOT NULL DEFAULT 0,      -- invoices that were told as settled: the place of the last one
  refusal TEXT NOT NULL DEFAULT ''      -- its last words about an order, '' after one that it has paid
) STRICT;
CREATE TABLE orders (
  wallet_id TEXT NOT NULL,
  payment_hash TEXT NOT NULL,
  bolt11 TEXT NOT NULL,
  amount_msat INTEGER NOT NULL CHECK (amount_msat > 0),
  fee_cap_msat INTEGER NOT NULL CHECK (fee_cap_msat >= 0),
  expires_at INTEGER NOT NULL,
  event BLOB NOT NULL,
  sent_at INTEGER NOT NULL,
  is_repeated INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL CHECK (state IN ('open', 'settled', 'failed')),
  said TEXT NOT NULL DEFAULT '',        -- open and failed: the wallet's last words; settled: the preimage
  reason TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (wallet_id, payment_hash)
) STRICT;
CREATE TABLE invoices (
  wallet_id TEXT NOT NULL,
  payment_hash TEXT NOT NULL,
  bolt11 TEXT NOT NULL,
  amount_msat INTEGER NOT NULL CHECK (amount_msat > 0),
  expires_at INTEGER NOT NULL,
  event BLOB NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'settled', 'over')),
  preimage TEXT NOT NULL DEFAULT '',
  settled_at INTEGER NOT NULL DEFAULT 0,
  place INTEGER,                        -- the order of settlements
  has_false_receipt INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (wallet_id, payment_hash)
) STRICT;
CREATE UNIQUE INDEX invoices_settled ON invoices (wallet_id, place) WHERE place IS NOT NULL;
CREATE INDEX invoices_open ON invoices (wallet_id, expires_at) WHERE state = 'open';
CREATE INDEX orders_open ON orders (wallet_id) WHERE state = 'open';
"""
#: Of what is forgotten, also in a file that was made without them: no change walks through all that was kept.
_OF_THE_PAST: Final = """
CREATE INDEX IF NOT EXISTS orders_ended ON orders (wallet_id, sent_at) WHERE state <> 'open';
CREATE INDEX IF NOT EXISTS invoices_ended ON invoices (wallet_id, state, expires_at) WHERE state <> 'open';
"""
_FORGET_ORDERS: Final = """
DELETE FROM orders WHERE rowid IN (
  SELECT rowid FROM orders INDEXED BY orders_ended
  WHERE wallet_id = ? AND state <> 'open' AND sent_at < ? ORDER BY sent_at LIMIT ?)"""
_FORGET_INVOICES: Final = """
DELETE FROM invoices WHERE rowid IN (
  SELECT rowid FROM invoices INDEXED BY invoices_ended
  WHERE wallet_id = ? AND state <> 'open' AND state = ? AND expires_at < ? ORDER BY expires_at LIMIT ?)"""


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One order. Times are Unix seconds. ``end`` is None while nobody knows it, with ``said``, the wallet's last words;
    ``event`` is the signed request as JSON, ``is_repeated`` whether it was sent again."""

    payment_hash: str
    bolt11: str
    amount_msat: Msat
    fee_cap_msat: Msat
    expires_at: int
    event: bytes
    sent_at: int
    is_repeated: bool = False
    said: str = ""
    end: Settled | Failed | None = None


@dataclass(frozen=True, slots=True)
class InvoiceRow:
    """One invoice that the wallet has made. ``place`` is 0 until it has settled; ``is_over``: it was not paid, as far
    as the wallet says, and is not followed any more."""

    payment_hash: str
    bolt11: str
    amount_msat: Msat
    expires_at: int
    event: bytes
    is_over: bool = False
    preimage: str = ""
    settled_at: int = 0
    place: int = 0


class WalletBook:
    """The file in one data directory, of one wallet. Raises KitestringError where it cannot be read."""

    def __init__(self, data_dir: Path, wallet_id: str) -> None:
        path = data_dir / FILE_NAME
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._wallet: Final = wallet_id
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
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                (version,) = self._db.execute("PRAGMA user_version").fetchone()
                if version == 0:
                    for statement in _SCHEMA.split(";\n"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version = {_VERSION}")
                if version <= _VERSION:
                    for statement in _OF_THE_PAST.split(";\n"):
                        self._db.execute(statement)
                self._db.execute("INSERT OR IGNORE INTO wallets (wallet_id, network) VALUES (?, '')", (self._wallet,))
        except sqlite3.OperationalError:
            raise  # full, locked, read-only: the file is well
        except sqlite3.DatabaseError as error:
            raise KitestringError(
                Reason.MALFORMED,
                f"{path} cannot be read ({error}): put it back from a copy; by it the CLINK wallet is asked what "
                "has become of payments and invoices",
            ) from error
        if version > _VERSION:
            raise KitestringError(Reason.UNSUPPORTED, f"{path} was written by a newer kitestring")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _change(self, statement: str, *values: object) -> int:
        with self._db:
            return self._db.execute(statement, values).rowcount

    def _of_wallet(self, column: str) -> object:
        statement = f"SELECT {column} FROM wallets WHERE wallet_id = ?"  # noqa: S608 - our own words
        return self._db.execute(statement, (self._wallet,)).fetchone()[0]

    # ------------------------------------------------------------ the wallet

    @property
    def network(self) -> str:
        """The network of its invoices, "" before the first one."""
        return str(self._of_wallet("network"))

    def learn_network(self, network: str) -> None:
        """Keep the network of its first invoice."""
        self._change("UPDATE wallets SET network = ? WHERE wallet_id = ?", network, self._wallet)

    @property
    def refusal(self) -> str:
        """Its last words about an order, "" after one that it has paid."""
        return str(self._of_wallet("refusal"))

    def change_msat(self) -> int:
        """Reckon what came in by it less what went out, or may have, with the fees that were allowed."""
        statement = """
        SELECT received_msat - paid_msat - (
          SELECT coalesce(sum(amount_msat + fee_cap_msat), 0) FROM orders WHERE wallet_id = ?1 AND state = 'open')
        FROM wallets WHERE wallet_id = ?1"""
        return int(self._db.execute(statement, (self._wallet,)).fetchone()[0])

    # ------------------------------------------------------------ orders

    def order(self, payment_hash: str) -> OrderRow | None:
        found = self._orders("payment_hash = ?", payment_hash)
        return found[0] if found else None

    def open_orders(self) -> list[OrderRow]:
        """List those of which nobody knows the end."""
        return self._orders("state = 'open'")

    def _orders(self, condition: str, *values: object) -> list[OrderRow]:
        statement = f"SELECT * FROM orders WHERE wallet_id = ? AND {condition}"  # noqa: S608 - our own words
        return [_order(row) for row in self._db.execute(statement, (self._wallet, *values))]

    def begin(self, row: OrderRow) -> bool:
        """Write an order down before it is sent; whether it may be: there is none of its hash, or that one has failed.
        Forgets what ended long before it."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(_FORGET_ORDERS, (self._wallet, row.sent_at - KEEP_S, FORGET_LIMIT))
            return self._db.execute(
                """INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 'open', '', '')
                ON CONFLICT DO UPDATE SET bolt11 = excluded.bolt11, amount_msat = excluded.amount_msat,
                  fee_cap_msat = excluded.fee_cap_msat, expires_at = excluded.expires_at, event = excluded.event,
                  sent_at = excluded.sent_at, is_repeated = 0, state = 'open', said = '', reason = ''
                WHERE state = 'failed'""",
                (
                    self._wallet, row.payment_hash, row.bolt11, int(row.amount_msat), int(row.fee_cap_msat),
                    row.expires_at, row.event, row.sent_at,
                ),
            ).rowcount > 0  # fmt: skip

    def repeat(self, payment_hash: str) -> None:
        """The same event is about to be sent again: what is answered from now on may be about that one."""
        self._change(
            "UPDATE orders SET is_repeated = 1 WHERE wallet_id = ? AND payment_hash = ? AND NOT is_repeated",
            self._wallet, payment_hash,
        )  # fmt: skip

    def note(self, payment_hash: str, said: str) -> None:
        """Keep the wallet's last words about an order whose end they do not tell."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "UPDATE orders SET said = ? WHERE wallet_id = ? AND payment_hash = ? AND state = 'open'",
                (said[:MAX_SAID], self._wallet, payment_hash),
            )
            self._remember_refusal(said)

    def end_order(self, payment_hash: str, end: Settled | Failed) -> None:
        """Keep the end of an open order; a settled one is counted once."""
        is_settled = isinstance(end, Settled)
        said, reason = (end.preimage, "") if isinstance(end, Settled) else (end.evidence[:MAX_SAID], end.reason.value)
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            row = self._db.execute(
                """UPDATE orders SET state = ?, said = ?, reason = ?
                WHERE wallet_id = ? AND payment_hash = ? AND state = 'open' RETURNING amount_msat + fee_cap_msat""",
                ("settled" if is_settled else "failed", said, reason, self._wallet, payment_hash),
            ).fetchone()
            if row is not None and is_settled:
                self._db.execute(
                    "UPDATE wallets SET paid_msat = paid_msat + ? WHERE wallet_id = ?", (row[0], self._wallet)
                )
            if row is not None:
                self._remember_refusal("" if is_settled else said)

    def _remember_refusal(self, said: str) -> None:
        self._db.execute("UPDATE wallets SET refusal = ? WHERE wallet_id = ?", (said[:MAX_SAID], self._wallet))

    # ------------------------------------------------------------ invoices

    def invoice(self, payment_hash: str) -> InvoiceRow | None:
        found = self._invoices("payment_hash = ?", payment_hash)
        return found[0] if found else None

    def open_invoices(self) -> list[InvoiceRow]:
        """List those that may still be paid, or may have been; the first to expire first."""
        return self._invoices("state = 'open' ORDER BY expires_at")

    def settled_after(self, place: int, limit: int) -> list[InvoiceRow]:
        """The next ones in the order in which they settled."""
        return self._invoices("place > ? ORDER BY place LIMIT ?", place, limit)

    def false_receipts(self) -> int:
        """Count the open invoices that were called paid with a preimage that is not theirs."""
        statement = "SELECT count(*) FROM invoices WHERE wallet_id = ? AND state = 'open' AND has_false_receipt"
        return int(self._db.execute(statement, (self._wallet,)).fetchone()[0])

    def _invoices(self, condition: str, *values: object) -> list[InvoiceRow]:
        statement = f"SELECT * FROM invoices WHERE wallet_id = ? AND {condition}"  # noqa: S608 - our own words
        return [_invoice(row) for row in self._db.execute(statement, (self._wallet, *values))]

    def add_invoice(self, row: InvoiceRow, now: int) -> bool:
        """Keep an invoice before anybody is shown it; whether it may be shown: it is new, and there are not too many.
        Forgets what ended long before."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for state, keep_s in (("settled", KEEP_S), ("over", KEEP_UNPAID_S)):
                self._db.execute(_FORGET_INVOICES, (self._wallet, state, now - keep_s, FORGET_LIMIT))
            return self._db.execute(
                """INSERT OR IGNORE INTO invoices
                SELECT ?1, ?2, ?3, ?4, ?5, ?6, 'open', '', 0, NULL, 0
                WHERE (SELECT count(*) FROM invoices WHERE wallet_id = ?1 AND state = 'open') < ?7""",
                (
                    self._wallet, row.payment_hash, row.bolt11, int(row.amount_msat), row.expires_at, row.event,
                    MAX_OPEN_INVOICES,
                ),
            ).rowcount > 0  # fmt: skip

    def settle(self, payment_hash: str, preimage: str, settled_at: int) -> bool:
        """Keep that an invoice was paid, once, also one that was taken for over; whether that is news."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            row = self._db.execute(
                """UPDATE invoices SET state = 'settled', preimage = ?, settled_at = ?,
                  place = (SELECT told + 1 FROM wallets WHERE wallet_id = ?3)
                WHERE wallet_id = ?3 AND payment_hash = ? AND state <> 'settled' RETURNING amount_msat""",
                (preimage, settled_at, self._wallet, payment_hash),
            ).fetchone()
            if row is not None:
                self._db.execute(
                    "UPDATE wallets SET told = told + 1, received_msat = received_msat + ? WHERE wallet_id = ?",
                    (row[0], self._wallet),
                )
        return row is not None

    def doubt(self, payment_hash: str) -> None:
        """Keep that it was called paid with a preimage that is not its own."""
        self._change(
            "UPDATE invoices SET has_false_receipt = 1 WHERE wallet_id = ? AND payment_hash = ?",
            self._wallet, payment_hash,
        )  # fmt: skip

    def give_up(self, payment_hash: str) -> None:
        """It has expired long ago, and nobody has said that it was paid."""
        self._change(
            "UPDATE invoices SET state = 'over' WHERE wallet_id = ? AND payment_hash = ? AND state = 'open'",
            self._wallet, payment_hash,
        )  # fmt: skip

    def reopen(self, expired_after: int) -> list[InvoiceRow]:
        """Take back those that were given up although they have not expired by then (Unix seconds); tell them."""
        with self._db:
            rows = self._db.execute(
                """UPDATE invoices INDEXED BY invoices_ended SET state = 'open'
                WHERE wallet_id = ? AND state <> 'open' AND state = 'over' AND expires_at >= ? RETURNING *""",
                (self._wallet, expired_after),
            ).fetchall()
        return [_invoice(row) for row in rows]


def copy_book(source: Path, target: Path) -> None:
    """Copy the file of one data directory to another that has none, if there is one, also while it is in use."""
    if not (source / FILE_NAME).exists():
        return
    draft = target / f"{FILE_NAME}.new"
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    with closing(sqlite3.connect(source / FILE_NAME)) as known, closing(sqlite3.connect(draft)) as copy:
        known.backup(copy)
    draft.replace(target / FILE_NAME)


def _order(row: sqlite3.Row) -> OrderRow:
    end: Settled | Failed | None = None
    if row["state"] == "settled":
        end = Settled(row["said"], Msat(row["fee_cap_msat"]))
    elif row["state"] == "failed":
        end = Failed(row["said"], FailureReason(row["reason"]), row["sent_at"])
    return OrderRow(
        row["payment_hash"], row["bolt11"], Msat(row["amount_msat"]), Msat(row["fee_cap_msat"]), row["expires_at"],
        row["event"], row["sent_at"], bool(row["is_repeated"]), row["said"] if end is None else "", end,
    )  # fmt: skip


def _invoice(row: sqlite3.Row) -> InvoiceRow:
    return InvoiceRow(
        row["payment_hash"], row["bolt11"], Msat(row["amount_msat"]), row["expires_at"], row["event"],
        row["state"] == "over", row["preimage"], row["settled_at"], row["place"] or 0,
    )  # fmt: skip
