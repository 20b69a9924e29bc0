"""Grants."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from kitestring.base.grants import Grant
from kitestring.ledger import rows
from kitestring.ledger.sqlite.reads.statements import Statements


class GrantReads(Statements):
    """Grants."""

    async def grants(self) -> list[Grant]:
        found = self._all(f"SELECT {rows.GRANT} FROM grants WHERE service = ? ORDER BY grant_id")
        return [rows.read_grant(row) for row in found]

    async def last_uses(self) -> dict[str, int]:
        return dict(self._all("SELECT grant_id, used_at FROM uses WHERE service = ?"))

    async def grant(self, grant_id: str) -> Grant | None:
        row = self._one(f"SELECT {rows.GRANT} FROM grants WHERE service = ? AND grant_id = ?", grant_id)
        return None if row is None else rows.read_grant(row)

    async def grant_named(self, wire: str, name: str) -> Grant | None:
        # Left to itself SQLite takes the key, and walks through all grants of the service.
        row = self._one(
            f"SELECT {rows.GRANT} FROM grants INDEXED BY grants_by_name"
            " WHERE service = ? AND revoked_at IS NULL AND wire = ? AND name = ?",
            wire,
            name,
        ) or self._one(
            f"SELECT {rows.GRANT} FROM grants WHERE service = ? AND revoked_at IS NULL AND wire = ? AND grant_id = ?",
            wire,
            name,
        )
        return None if row is None else rows.read_grant(row)

    async def grants_shown(self, account_id: str, limit: int) -> list[Grant]:
        found = self._all(
            f"SELECT {rows.GRANT} FROM grants INDEXED BY grants_by_history"
            " WHERE service = ? AND revoked_at IS NULL AND shown_history = 'account' AND account_id = ?"
            " ORDER BY created_at, grant_id LIMIT ?",
            account_id,
            limit,
        )
        return [rows.read_grant(row) for row in found]

    async def grants_of(self, wire: str, caller: str) -> list[Grant]:
        found = self._all(
            f"SELECT {rows.GRANT} FROM grants INDEXED BY grants_by_caller"
            " WHERE service = ? AND revoked_at IS NULL AND wire = ? AND caller = ? ORDER BY created_at, grant_id",
            wire,
            caller,
        )
        return [rows.read_grant(row) for row in found]
