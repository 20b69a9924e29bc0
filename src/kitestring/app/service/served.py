"""Requests that were answered lately: copies of them, from other relays or sent again, are not new requests."""

from __future__ import annotations

from typing import Final

from kitestring.base.ports import Clock

#: Seconds: as long as the age window would take a copy (300 s back, and 60 s ahead). What was refused and is not
#: stored must not be carried out by a late copy after all.
SERVED_S: Final = 360
#: Ids kept (about 0.2 kB each); beyond it the one answered first is forgotten. The ledger knows those that count.
MAX_SERVED: Final = 65_536


class Served:
    """A bounded set of event ids that forgets by itself."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def add(self, event_id: str) -> None:
        now = self._clock.monotonic()
        self._until.pop(event_id, None)
        self._until[event_id] = now + SERVED_S
        while len(self._until) > MAX_SERVED or self._oldest() <= now:
            del self._until[next(iter(self._until))]

    def __contains__(self, event_id: str) -> bool:
        return self._until.get(event_id, 0.0) > self._clock.monotonic()

    def __len__(self) -> int:
        return len(self._until)

    def _oldest(self) -> float:
        return next(iter(self._until.values()))
