"""The durable events of strangers: bounded in number and bytes, and who has to go when there is no room.

To refuse the one that comes last would let anybody fill the relay forever. So somebody goes: first the oldest event of
an author who is not here and for whom nobody asks. Where all are here or asked for, whoever holds most of the places:
an event is safe that came over a connection which brought few, or whose author is listened for by a reader who listens
for few, because nobody has enough connections to hold all places in such small numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from itertools import islice
from typing import Final

from kitestring.relay.entry import Entry
from kitestring.relay.limits import EVICTION_LOOKS, RelayLimits

#: The number of keys for which the smallest reader who listens for this key listens; 0 where nobody does.
Listeners = Callable[[str], int]


class Shelf:
    """``vouched`` are authors who take no place here; whoever becomes one leaves it when it is looked at."""

    __slots__ = ("_bytes", "_entries", "_limits", "_listeners", "_vouched")

    def __init__(self, limits: RelayLimits, vouched: Container[str], listeners: Listeners) -> None:
        self._limits: Final = limits
        self._vouched: Final = vouched
        self._listeners: Final = listeners
        #: The oldest first; who was spared stands at the end again.
        self._entries: Final[dict[Entry, None]] = {}
        self._bytes = 0

    def __contains__(self, entry: object) -> bool:
        return entry in self._entries

    def add(self, entry: Entry) -> None:
        if entry.event.pubkey in self._vouched:
            return
        self._entries[entry] = None
        self._bytes += entry.size_bytes
        if entry.bringer is not None:
            entry.bringer.kept += 1

    def remove(self, entry: Entry) -> None:
        """May be called for what is not here."""
        if entry not in self._entries:
            return
        del self._entries[entry]
        self._bytes -= entry.size_bytes
        if entry.bringer is not None:
            entry.bringer.kept -= 1

    def room_for(self, size_bytes: int, going: Iterable[Entry] = ()) -> list[Entry] | None:
        """Choose who has to go for one more of this size, beside those that are ``going`` already; None where even
        that would not be enough."""
        gone = [entry for entry in going if entry in self._entries]
        known = len(gone)
        while not self._has_room(size_bytes, gone):
            victim = self._victim(gone)
            if victim is None:
                return None
            gone.append(victim)
        return gone[known:]

    def _has_room(self, size_bytes: int, gone: list[Entry]) -> bool:
        left_bytes = self._bytes - sum(entry.size_bytes for entry in gone)
        limits = self._limits
        is_few = len(self._entries) - len(gone) < limits.max_durable_events
        return is_few and left_bytes + size_bytes <= limits.max_durable_bytes

    def _victim(self, gone: list[Entry]) -> Entry | None:
        spared: dict[Entry, int] = {}
        victim = None
        for entry in list(islice(self._entries, EVICTION_LOOKS + len(gone))):
            if entry.event.pubkey in self._vouched:
                self.remove(entry)
            elif entry not in gone:
                crowd = self._crowd(entry)
                if not crowd:
                    victim = entry
                    break
                spared[entry] = crowd
        if victim is None and spared:
            victim = max(spared, key=spared.__getitem__)
        for entry in spared:
            if entry is not victim:
                del self._entries[entry]
                self._entries[entry] = None
        return victim

    def _crowd(self, entry: Entry) -> int:
        """Count the events that keep their places by the same right as this one; 0 where it has none."""
        bringer, listeners = entry.bringer, self._listeners(entry.event.pubkey)
        brought = bringer.kept if bringer is not None and bringer.is_here else 0
        return min((count for count in (brought, listeners) if count), default=0)
