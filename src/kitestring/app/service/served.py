"""Requests that were answered lately: copies of them, from other relays or sent again, are not new requests."""

from __future__ import annotations

from typing import Final

from kitestring.base.ports import Clock

#: Seconds: as long as the age window would take a copy (300 s back, and 60 s ahead). It only saves work: what must not
#: be carried out is in the ledger, or among the refused strangers. An id is kept for once to twice this time.
SERVED_S: Final = 360
#: Ids kept (about 90 bytes each); beyond it the older half is forgotten. The ledger knows those that count.
MAX_SERVED: Final = 65_536
#: Of an id so many hex digits are kept. Whoever finds two of one beginning (2**32 tries) keeps his own request from
#: being served; nobody finds one for the request of another (2**64).
DIGITS: Final = 16


class Served:
    """A bounded set of event ids that forgets by itself: two generations, the older one is dropped whole."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._new: set[int] = set()
        self._old: set[int] = set()
        self._whole_at = clock.monotonic()
        self._turn_at = clock.monotonic() + SERVED_S

    def add(self, event_id: str) -> None:
        self._turn()
        if len(self._new) >= MAX_SERVED // 2:
            if self._old:
                self._whole_at = self._clock.monotonic() + SERVED_S
            self._old, self._new = self._new, set()
        self._new.add(beginning(event_id))

    @property
    def is_whole(self) -> bool:
        """Whether every id of the last :data:`SERVED_S` seconds is kept: none was forgotten for want of room."""
        return self._clock.monotonic() >= self._whole_at

    def __contains__(self, event_id: str) -> bool:
        self._turn()
        name = beginning(event_id)
        return name in self._new or name in self._old

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def _turn(self) -> None:
        """Begin a new generation when the last one is as old as its ids must be kept."""
        late_s = self._clock.monotonic() - self._turn_at
        if late_s < 0:
            return
        self._old = self._new if late_s < SERVED_S else set()
        self._new = set()
        self._turn_at = self._clock.monotonic() + SERVED_S


def beginning(event_id: str) -> int:
    """The part of an event id that is kept, see :data:`DIGITS`."""
    return int(event_id[:DIGITS], 16)
