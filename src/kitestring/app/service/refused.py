"""Strangers whose requests were refused: nothing of them is stored, and they must not be served after all.

Kept are their ids, in memory. What is not in there, because the service was started since or because they were too
many, is covered by a time: a request that is dated before it is never begun.
"""

from __future__ import annotations

import math
from typing import Final

from kitestring.app.service.served import beginning
from kitestring.base.ports import Clock

#: Ids kept (about 120 bytes each): more than the rates allow to be told within the widest window of a wire.
MAX_REFUSED: Final = 65_536


class RefusedStrangers:
    """A bounded memory, for one run of the service."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._dates: dict[int, int] = {}
        self._begun_at = clock.monotonic()
        self._forgotten_before = 0

    @property
    def since(self) -> int:
        """The date (Unix seconds) before which a request may have been refused already, and is not begun: the start of
        this run by the clock as it is now, wherever it has stepped since, or what is forgotten already."""
        lasted_s = math.ceil(self._clock.monotonic() - self._begun_at)
        return max(self._clock.now() - lasted_s, self._forgotten_before)

    def add(self, event_id: str, created_at: int) -> None:
        if len(self._dates) >= MAX_REFUSED:
            self._forget()
        self._dates[beginning(event_id)] = created_at

    def __contains__(self, event_id: str) -> bool:
        return bool(self._dates) and beginning(event_id) in self._dates  # hardly ever is anybody in there

    def __len__(self) -> int:
        return len(self._dates)

    def _forget(self) -> None:
        """Forget those that a later ``since`` covers; of what is dated ahead of our clock, what came first."""
        now = self._clock.now()
        gone = [1 + date for date in self._dates.values() if date < now]
        self._forgotten_before = max([self._forgotten_before, *gone])
        ahead = [(name, date) for name, date in self._dates.items() if date >= now]
        self._dates = dict(ahead[-(MAX_REFUSED // 2) :])
