"""The clocks of others beside ours: what was read of them, and which one is wrong.

A clock that agrees with ours proves something only where it is another clock. A node, the embedded relay and whatever
is on a private address may be on this very machine, in a container of it or behind a tunnel: such a one counts for
itself only where it differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

#: Clients, relays and this service take nothing that is dated further ahead of their own clock, in seconds. What is,
#: was made at a time that nobody knows.
AHEAD_S: Final = 60
#: Clocks that differ by no more seconds than this agree: whole seconds, answers on their way, and NTP at work.
NEAR_S: Final = 5
#: Clocks that must agree before another one is called wrong, ours included.
MAJORITY: Final = 2


class ClockReading(msgspec.Struct, frozen=True):
    """A clock as it was read once: ours is ahead of it by ``least_s`` to ``most_s`` seconds, less than 0 where behind.

    ``whose`` is how it is named to people. ``machine`` is the host it runs on, "" where that may be this machine.
    """

    whose: str
    machine: str
    least_s: int
    most_s: int

    @property
    def ahead_s(self) -> int:
        """Seconds by which ours is ahead, as likely as not: the middle of the two."""
        return (self.least_s + self.most_s) // 2

    def apart_s(self, other: ClockReading) -> int:
        """Seconds by which the two clocks differ for certain."""
        return max(0, self.least_s - other.most_s, other.least_s - self.most_s)

    def is_near(self, other: ClockReading) -> bool:
        """Whether the two may well be the same."""
        return self.apart_s(other) <= NEAR_S


#: Our own clock.
OURS: Final = ClockReading("this clock", "", 0, 0)
#: In the place of the machine of a clock that is beside ours, and differs from it. All of these count once.
_BESIDE: Final = "beside this machine"


def reading(whose: str, machine: str, theirs: int, before: int, after: int) -> ClockReading:
    """Of a clock that said ``theirs`` between ``before`` and ``after`` of ours; all are whole seconds, rounded down.

    Our clock may be set meanwhile: the reading is as wide as that.
    """
    first, last = sorted((before, after))
    return ClockReading(whose, machine, first - theirs - 1, last - theirs + 1)


class Wrong(StrEnum):
    """The side whose clock is wrong: where two or more agree, whoever does not agree with them."""

    NOBODY = ""
    OURS = "ours"
    THEIRS = "theirs"
    BOTH = "both"
    UNKNOWN = "unknown"  # they differ, and nobody else tells


class Comparison(NamedTuple):
    """``right`` are the readings that agree with each other, ours perhaps among them; () where that is not known."""

    right: tuple[ClockReading, ...]
    sides: tuple[tuple[ClockReading, Wrong], ...]

    @property
    def ours_is_wrong(self) -> bool:
        """Whether others agree with each other, and not with ours."""
        return bool(self.right) and OURS not in self.right


def compare(readings: Sequence[ClockReading]) -> Comparison:
    """Compare ours with all of theirs, and say of each pair who is wrong."""
    right = _right((OURS, *readings))
    return Comparison(right, tuple((one, _wrong(one, right)) for one in readings))


def _right(clocks: tuple[ClockReading, ...]) -> tuple[ClockReading, ...]:
    """The readings near the clock that most machines agree with, if it is one clock and they are enough."""
    company = {one: [other for other in clocks if one.is_near(other)] for one in clocks}
    machines = {one: len({_machine(other) for other in near}) for one, near in company.items()}
    most = max(machines.values())
    central = [one for one in clocks if machines[one] == most]
    if most < MAJORITY or any(not central[0].is_near(one) for one in central):
        return ()
    return tuple(company[central[0]])


def _machine(one: ClockReading) -> str:
    return one.machine or ("" if one.is_near(OURS) else _BESIDE)


def _wrong(theirs: ClockReading, right: tuple[ClockReading, ...]) -> Wrong:
    if not right:
        return Wrong.NOBODY if theirs.is_near(OURS) else Wrong.UNKNOWN
    return _SIDES[OURS in right, theirs in right]


#: (ours is right, theirs is right) -> who is wrong.
_SIDES: Final = {
    (True, True): Wrong.NOBODY,
    (True, False): Wrong.THEIRS,
    (False, True): Wrong.OURS,
    (False, False): Wrong.BOTH,
}
