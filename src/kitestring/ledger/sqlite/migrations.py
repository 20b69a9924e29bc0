"""Numbered plain ``.sql`` migrations, each applied once and remembered with its checksum."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass
from importlib import resources
from typing import Final

from kitestring.base.errors import KitestringError, Reason

#: "kitl", so that a file of another program is not taken over.
APPLICATION_ID: Final = 0x6B69746C
_OTHER_PROGRAM: Final = "the database belongs to another program: move it away, or start with another --data-dir"
_OTHER_DAY: Final = (
    "this ledger was made by an unreleased kitestring of another day: keep it, and start with another --data-dir"
)


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Every migration of this version, in order."""
    files = sorted((resources.files(__package__) / "schema").iterdir(), key=lambda file: file.name)
    return [
        Migration(int(file.name.partition("_")[0]), file.name, file.read_text("utf-8"))
        for file in files
        if file.name.endswith(".sql")
    ]


def migrate(connection: sqlite3.Connection, steps: list[Migration]) -> None:
    """Bring the database to this version. Raises KitestringError(MALFORMED) if it is another program's, newer, or was
    made otherwise."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        refuse_foreign(connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations"
            " (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL) STRICT"
        )
        for step in steps[check(connection, steps) :]:
            for statement in _statements(step.sql):
                connection.execute(statement)
            connection.execute("INSERT INTO migrations VALUES (?, ?, ?)", (step.number, step.name, step.checksum))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def refuse_foreign(connection: sqlite3.Connection) -> None:
    """Raise KitestringError(MALFORMED) if the file is another program's. Nothing is written, not even a header.

    A ledger of the days before the mark has its migrations.
    """
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if mark not in {0, APPLICATION_ID} or (not mark and tables and "migrations" not in tables):
        raise KitestringError(Reason.MALFORMED, _OTHER_PROGRAM)


def check(connection: sqlite3.Connection, steps: list[Migration]) -> int:
    """The number of ``steps`` that the database has. Raises KitestringError(MALFORMED) where it differs from them."""
    done = connection.execute("SELECT number, checksum FROM migrations ORDER BY number").fetchall()
    if any((number, sum_) != (step.number, step.checksum) for (number, sum_), step in zip(done, steps, strict=False)):
        raise KitestringError(Reason.MALFORMED, _OTHER_DAY)
    if len(done) > len(steps):
        raise KitestringError(
            Reason.MALFORMED, "the database was written by a newer kitestring: install that version, or a later one"
        )
    return len(done)


def _statements(sql: str) -> list[str]:
    """The statements one by one, because ``executescript`` would commit what came before."""
    found, rest = [], ""
    for line in sql.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            found.append(rest)
            rest = ""
    return found
