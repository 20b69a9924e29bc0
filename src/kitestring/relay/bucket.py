"""The amount of work that somebody may ask for: one connection, one author, all strangers together."""

from __future__ import annotations

from functools import partial
from typing import Final

from kitestring.base.ports import Clock
from kitestring.relay.limits import MAX_PACED_AUTHORS


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


class Paces:
    """A bucket for each author. Only what was proved to be his may be charged, or others would use it up for him."""

    def __init__(self, rate: int, burst: int, clock: Clock) -> None:
        self._new: Final = partial(Bucket, rate, burst, clock)
        self._buckets: Final[dict[str, Bucket]] = {}

    def is_used_up(self, author: str) -> bool:
        bucket = self._buckets.get(author)
        return bucket is not None and bucket.wait_s() > 0

    def charge(self, author: str, tokens: float) -> None:
        """Take tokens. Of too many authors the one charged longest ago is forgotten: his bucket is full again."""
        bucket = self._buckets.pop(author, None) or self._new()
        if len(self._buckets) >= MAX_PACED_AUTHORS:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[author] = bucket
        bucket.charge(tokens)
