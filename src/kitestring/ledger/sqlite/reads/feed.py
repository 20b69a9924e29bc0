"""The feed of events, and how far its consumers have come."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from kitestring.base.events import FeedEvent, Missed
from kitestring.ledger import rows
from kitestring.ledger.apply.feed import OUTBOX
from kitestring.ledger.sqlite.reads.statements import Statements


class FeedReads(Statements):
    """The feed of events, and how far its consumers have come."""

    async def sent_position(self) -> int:
        return await self.position(OUTBOX) or 0

    async def events(self, after: int, limit: int) -> list[FeedEvent | Missed]:
        found: list[FeedEvent | Missed] = [
            rows.read_event(row)
            for row in self._all(
                f"SELECT {rows.EVENT} FROM events WHERE service = ? AND event > ? ORDER BY event LIMIT ?", after, limit
            )
        ]
        oldest = found[0].number if found else 1 + await self.last_event()
        missed = oldest - after - 1
        return [Missed(oldest - 1, missed), *found] if missed > 0 else found

    async def alarms(self, since: int, limit: int) -> list[FeedEvent]:
        found = self._all(
            f"SELECT {rows.EVENT} FROM {rows.ALARMS} AND at >= ? ORDER BY event DESC LIMIT ?",
            since,
            limit,
        )
        return [rows.read_event(row) for row in reversed(found)]

    async def last_event(self) -> int:
        row = self._one("SELECT last_event FROM totals WHERE service = ?")
        return 0 if row is None else int(row[0])

    async def position(self, consumer: str) -> int | None:
        row = self._one("SELECT position FROM consumers WHERE service = ? AND name = ?", consumer)
        return None if row is None else int(row[0])
