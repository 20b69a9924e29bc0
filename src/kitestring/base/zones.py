"""Time zones as values: at which moments the offset from UTC changes, and to what."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone. From ``changes[i]`` (Unix seconds, rising) on, local time is UTC and ``offsets_s[i + 1]`` seconds;
    before the first change it is UTC and ``offsets_s[0]``."""

    name: str
    changes: tuple[int, ...]
    offsets_s: tuple[int, ...]

    def offset_s(self, moment: int) -> int:
        """The difference of local time from UTC in seconds, positive in the east."""
        return self.offsets_s[bisect_right(self.changes, moment)]

    def first_moment(self, local_s: int) -> int:
        """The first moment at which local clocks show ``local_s`` (seconds since their 1970-01-01 00:00) or more: of a
        time that they show twice the first, of one that they skip the end of the gap."""
        changes, offsets_s = self.changes, self.offsets_s
        # Between two changes local time only rises. The reading a day and a half early lies before the one we look for:
        # no offset is that large.
        place = bisect_right(changes, local_s - 129_600)
        begin = changes[place - 1] if place else None
        for number in range(place, len(offsets_s)):
            moment = local_s - offsets_s[number]
            if begin is not None and moment < begin:
                moment = begin
            begin = changes[number] if number < len(changes) else None
            if begin is None or moment < begin:
                return moment
        raise AssertionError("the last offset holds forever")


#: The zone of a service that names none. Its periods are computed without a look-up.
UTC: Final = Zone("UTC", (), (0,))
