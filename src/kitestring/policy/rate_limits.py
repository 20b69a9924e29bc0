"""Rate limits: pure token buckets in integers, one number per key. The caller gives the time in milliseconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_MINUTE_MS: Final = 60_000
#: Buckets per limiter, about 0.2 kB each; only those that are not full again are kept. Beyond it the one used longest
#: ago is forgotten first; forgetting means a full bucket, which is why strangers also meet a limit with a single key.
MAX_BUCKETS: Final = 100_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """``per_minute`` sustained, ``burst`` at once. Both ≥ 1."""

    per_minute: int
    burst: int


class Limiter:
    """One rate limit for many keys, at most ``max_buckets`` of them. ``now_ms`` must come from a monotonic clock.

    Kept per key is the time, in 1/per_minute milliseconds, at which its bucket will be full again.
    """

    __slots__ = ("_full_at", "_max_buckets", "_rate", "_room")

    def __init__(self, rate: RateLimit, max_buckets: int = MAX_BUCKETS) -> None:
        if rate.per_minute < 1 or rate.burst < 1 or max_buckets < 1:
            raise ValueError("limits, bursts and numbers of buckets are at least 1")
        self._rate = rate
        self._room = (rate.burst - 1) * _MINUTE_MS
        self._max_buckets = max_buckets
        self._full_at: dict[str, int] = {}

    def times(self, number: int) -> Limiter:
        """A limiter of its own with so many times the rate."""
        return Limiter(RateLimit(self._rate.per_minute * number, self._rate.burst * number), self._max_buckets)

    def wait_ms(self, key: str, now_ms: int) -> int:
        """0 when a request would pass now, else the milliseconds until one will. Takes nothing."""
        missing = self._full_at.get(key, 0) - now_ms * self._rate.per_minute - self._room
        return -(-missing // self._rate.per_minute) if missing > 0 else 0

    def take(self, key: str, now_ms: int) -> int:
        """Take one token: 0 when there was one, else the milliseconds until there will be, and nothing is taken."""
        wait = self.wait_ms(key, now_ms)
        if not wait:
            now = now_ms * self._rate.per_minute
            full_at = max(self._full_at.pop(key, 0), now)
            self._full_at[key] = full_at + _MINUTE_MS  # at the end: the first key is the one used longest ago
            self._forget(now)
        return wait

    def _forget(self, now: int) -> None:
        """Forget those used longest ago: two that are full again, for each that comes, and what is too many."""
        for _ in range(2):
            oldest = next(iter(self._full_at))
            if len(self._full_at) <= self._max_buckets and self._full_at[oldest] > now:
                return
            del self._full_at[oldest]

    def __len__(self) -> int:
        return len(self._full_at)


def take_all(limits: Iterable[tuple[Limiter, str]], now_ms: int) -> int:
    """Take one token of every limit or of none: 0, else the milliseconds until all of them will have one."""
    pairs = tuple(limits)
    wait = max((limiter.wait_ms(key, now_ms) for limiter, key in pairs), default=0)
    if not wait:
        for limiter, key in pairs:
            limiter.take(key, now_ms)
    return wait
