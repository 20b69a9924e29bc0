"""Ephemeral events of one kind of authors: kept for a while, and never too many."""

from __future__ import annotations

from collections import deque
from typing import Final

from kitestring.relay.entry import Entry
from kitestring.relay.limits import RelayLimits


class Ring:
    """The oldest go where there is no room for one more: ``add`` and ``expire`` return what went."""

    __slots__ = ("_bytes", "_entries", "_limits")

    def __init__(self, limits: RelayLimits) -> None:
        self._limits: Final = limits
        self._entries: Final[deque[Entry]] = deque()
        self._bytes = 0

    def add(self, entry: Entry, now: int) -> list[Entry]:
        self._entries.append(entry)
        self._bytes += entry.size_bytes
        return self.expire(now)

    def expire(self, now: int) -> list[Entry]:
        gone, entries = [], self._entries
        while entries and (self._is_full() or entries[0].ends_at <= now):
            gone.append(entries.popleft())
            self._bytes -= gone[-1].size_bytes
        return gone

    def _is_full(self) -> bool:
        limits = self._limits
        return len(self._entries) > limits.max_ephemeral_events or self._bytes > limits.max_ephemeral_bytes
