"""Statements on a connection that cannot write."""

from __future__ import annotations

import sqlite3
from typing import Any

from kitestring.base.errors import KitestringError, Reason
from kitestring.ledger import rows


class Statements:
    """The statements of one service on one connection: each value is bound, and the service is the first."""

    def __init__(self, connection: sqlite3.Connection, service: int) -> None:
        self._connection, self._service = connection, service

    def _run(self, sql: str, values: tuple[Any, ...]) -> list[rows.Row]:
        return self._fetched(sql, values)

    def _run_named(self, sql: str, values: dict[str, Any]) -> list[rows.Row]:
        """Bind values by their names, of which a statement may leave some out."""
        return self._fetched(sql, values)

    def _fetched(self, sql: str, values: Any) -> list[rows.Row]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            sentence = f"the database cannot be read ({error}): see `kitestring doctor`"
            raise KitestringError(Reason.INTERNAL, sentence) from error

    def _one(self, sql: str, *values: object) -> rows.Row | None:
        found = self._run(f"{sql} LIMIT 1", (self._service, *values))
        return found[0] if found else None

    def _all(self, sql: str, *values: object) -> list[rows.Row]:
        return self._run(sql, (self._service, *values))
