"""The amount of work that one connection may ask for."""

from __future__ import annotations

from typing import Final

from kitestring.base.ports import Clock


class Bucket:
    """A token bucket: ``rate`` tokens come back per second, at most ``burst`` are kept. It may be overdrawn."""

    __slots__ = ("_burst", "_clock", "_filled_at", "_rate", "_tokens")

    def __init__(self, rate: int, burst: int, clock: Clock) -> None:
        self._rate: Final = rate
        self._burst: Final = burst
        self._clock: Final = clock
        self._tokens = float(burst)
        self._filled_at = clock.monotonic()

    def charge(self, tokens: float) -> None:
        self._tokens -= tokens

    def wait_s(self) -> float:
        """Seconds until there is a whole token again; 0 when there is one."""
        if self._tokens < 1:  # the time is asked for only when it matters
            now = self._clock.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
            self._filled_at = now
        return max(0.0, (1 - self._tokens) / self._rate)
