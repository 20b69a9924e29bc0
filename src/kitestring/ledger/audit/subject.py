"""The subject of every check of an audit, and its finding."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """``invariant`` is ``I1`` … ``I16``; the sentence names the row."""

    invariant: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Subject:
    """One service on one connection, to be audited. ``stuck_before``: an open payment older than this is stuck."""

    connection: sqlite3.Connection
    service: int
    stuck_before: int | None

    def rows(self, sql: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Rows of a statement whose first parameter is the service, numbered ``?1``."""
        return iter(self.connection.execute(sql, (self.service, *values)))


def listed(sql: str, sentence: str) -> Callable[[Subject], Iterator[str]]:
    """A check that is one statement: each of its rows is a violation."""

    def check(subject: Subject) -> Iterator[str]:
        return (sentence.format(*row) for row in subject.rows(sql))

    return check
