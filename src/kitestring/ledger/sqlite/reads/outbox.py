"""Messages that are to be delivered."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from typing import Any

from kitestring.base.records import Message, Outgoing
from kitestring.base.store import LONGEST_RETRY_S
from kitestring.ledger import rows
from kitestring.ledger.apply.batch import message_id, message_number
from kitestring.ledger.sqlite.reads.statements import Statements


class OutboxReads(Statements):
    """Messages that are to be delivered."""

    async def outbox(self, after: int, limit: int) -> list[Outgoing]:
        bounds = (message_id(self._service, after), message_id(self._service + 1, 0), limit)
        return self._outgoing(
            "m.message > ? AND m.message < ? AND m.next_at IS NULL ORDER BY m.message LIMIT ?", bounds
        )

    async def due(self, now: int, limit: int) -> list[Outgoing]:
        when = "(m.next_at <= ? OR m.next_at > ?)"
        which = f"m.service = ? AND m.next_at IS NOT NULL AND {when} ORDER BY m.next_at, m.message LIMIT ?"
        return self._outgoing(which, (self._service, now, now + LONGEST_RETRY_S, limit))

    async def has_due(self) -> bool:
        return self._one("SELECT 1 FROM outbox WHERE service = ? AND next_at IS NOT NULL") is not None

    def _outgoing(self, which: str, values: tuple[Any, ...]) -> list[Outgoing]:
        columns = ", ".join(f"m.{name}" for name in rows.MESSAGE.split(", "))
        found = self._run(
            f"SELECT m.message, m.attempts, coalesce(r.request_id, ''), {columns} FROM outbox m"
            f" LEFT JOIN requests r ON r.request = m.request WHERE {which}",
            values,
        )
        return [
            Outgoing(message_number(message), Message(request_id, *row), attempts)
            for message, attempts, request_id, *row in found
        ]
