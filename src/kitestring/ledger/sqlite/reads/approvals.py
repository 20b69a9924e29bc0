"""Questions to the owner, blocked keys, and sessions."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from kitestring.base.approvals import Approval, Block, DebitSession
from kitestring.ledger import rows
from kitestring.ledger.sqlite.reads.statements import Statements


class ApprovalReads(Statements):
    """Questions to the owner, blocked keys, and sessions."""

    async def approval(self, approval_id: str) -> Approval | None:
        row = self._one(f"SELECT {rows.APPROVAL} FROM approvals WHERE service = ? AND approval_id = ?", approval_id)
        return None if row is None else rows.read_approval(row)

    async def approvals(self, *, limit: int, ended: bool = False) -> list[Approval]:
        # Few are open among many that have ended; of these the newest are looked at, as far as the limit.
        which = "INDEXED BY approvals_open WHERE service = ? AND state = 'open' ORDER BY approval"
        if ended:
            which = "NOT INDEXED WHERE service = ? AND state <> 'open' ORDER BY approval DESC"
        found = self._all(f"SELECT {rows.APPROVAL} FROM approvals {which} LIMIT ?", limit)
        return [rows.read_approval(row) for row in found]

    async def open_approval(self, wire: str, target: str, caller: str) -> Approval | None:
        row = self._one(
            f"SELECT {rows.APPROVAL} FROM approvals"
            " WHERE service = ? AND wire = ? AND target = ? AND caller = ? AND state = 'open'",
            wire,
            target,
            caller,
        )
        return None if row is None else rows.read_approval(row)

    async def blocks(self) -> list[Block]:
        return [Block(*row) for row in self._all("SELECT caller, at, note FROM blocks WHERE service = ? ORDER BY at")]

    async def is_blocked(self, caller: str) -> bool:
        return self._one("SELECT 1 FROM blocks WHERE service = ? AND caller = ?", caller) is not None

    async def session(self, scope: str, value: str) -> DebitSession | None:
        row = self._one(
            f"SELECT {rows.SESSION} FROM tokens"
            " WHERE service = ? AND scope = ? AND value = ? AND minted_at IS NOT NULL",
            scope,
            value,
        )
        return None if row is None else rows.read_session(row)

    async def sessions(self, scope: str, limit: int) -> list[DebitSession]:
        found = self._all(
            f"SELECT {rows.SESSION} FROM tokens"
            " WHERE service = ? AND scope = ? AND minted_at IS NOT NULL ORDER BY minted_at DESC LIMIT ?",
            scope,
            limit,
        )
        return [rows.read_session(row) for row in found]
