"""The clock of a service, as far as its replies show it: when it differs much, what expires there is told with that."""

from __future__ import annotations

from typing import Final

#: Clocks that differ by no more than this, in seconds, are the same.
CLOCKS_S: Final = 60
#: A request is given at most this much more time, in seconds, for a service whose clock is ahead.
MAX_AHEAD_S: Final = 3_600


def clock_words(ahead_s: int) -> str:
    """A part of a sentence about a clock that is ``ahead_s`` seconds ahead (negative: behind); "" for the same."""
    if abs(ahead_s) <= CLOCKS_S:
        return ""
    minutes = round(abs(ahead_s) / 60)
    span = f"{minutes:,} minutes" if minutes < 120 else f"{round(minutes / 60):,} hours"
    where = "ahead of" if ahead_s > 0 else "behind"
    return f"its clock is {span} {where} the one here, by which something may have expired for it"
