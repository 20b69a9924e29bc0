"""The meaning of a comparison of clocks for the owner: lines of ``kitestring doctor``, and of the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from kitestring.base.clocks import OURS, ClockReading, Comparison, Wrong
from kitestring.base.node import Finding, FindingState
from kitestring.wire.registry import WINDOWS

#: How the node's clock is named; those of relays are named by their URLs.
NODE: Final = "the node"
#: Seconds beyond which requests are refused because of their date alone: the narrowest window of any kind. A difference
#: that is smaller, and more than :data:`~kitestring.base.clocks.NEAR_S`, is a warning.
REFUSED_S: Final = min(min(window.back_s, window.ahead_s) for window in WINDOWS.values())
#: A span is told in the first of these units of which it has fewer than so many; longer ones in days.
_UNITS: Final = ((1, "s", 120), (60, "min", 120), (3_600, "h", 48))
_DAY_S: Final = 86_400

_AGREED: Final = "which agree with each other"
_SET: Final = "`timedatectl set-ntp true` sets it and keeps it right"
_LOOK: Final = "see with `timedatectl` whether NTP keeps this one right, or name another relay, whose clock tells"


class Doubt(NamedTuple):
    """Clocks that differ. ``about`` names the one that is wrong, or that differs from ours and nobody knows which is.
    As long as it and the state are the same it is the same doubt, whatever the seconds."""

    about: str
    state: FindingState
    sentence: str


def doubts(found: Comparison) -> Iterator[Doubt]:
    """One for each clock that is wrong, ours first; where nobody knows, one for each that differs from ours."""
    if found.ours_is_wrong:
        yield _wrong(OURS, found.right, f"this clock is wrong; {_SET}")
    for theirs, wrong in found.sides:
        if wrong is Wrong.UNKNOWN:
            gap = f"this clock is {_gap(OURS, theirs)} {_of(theirs)}, and nothing tells which of the two is wrong"
            yield _doubt(theirs.whose, theirs.apart_s(OURS), f"{gap}: {_LOOK}")
        elif wrong is Wrong.THEIRS or (wrong is Wrong.BOTH and not theirs.is_near(OURS)):
            yield _wrong(theirs, found.right, f"it is wrong there; {_mend(theirs)}")


def _wrong(one: ClockReading, right: Sequence[ClockReading], so: str) -> Doubt:
    gap = f"{_named(one)} is {_gap(one, right[0])} {_list([each.whose for each in right])}, {_AGREED}"
    return _doubt(one.whose, one.apart_s(right[0]), f"{gap}: {so}")


def _doubt(about: str, apart_s: int, sentence: str) -> Doubt:
    if apart_s > REFUSED_S:
        return Doubt(about, FindingState.FAIL, f"{sentence}. Requests are refused from {REFUSED_S} s on")
    return Doubt(about, FindingState.WARN, sentence)


def findings(found: Comparison) -> list[Finding]:
    """The doubts; without any, whose clocks ours agrees with."""
    differ = [Finding("clock", doubt.state, doubt.sentence) for doubt in doubts(found)]
    return differ or [_agreement([theirs for theirs, _ in found.sides])]


def _agreement(near: Sequence[ClockReading]) -> Finding:
    nobody = "nobody outside of this machine tells the time: see with `timedatectl` whether NTP keeps this clock right"
    if not near:
        return Finding("clock", FindingState.INFO, nobody)
    off_s = max(max(-one.least_s, one.most_s) for one in near)
    agrees = f"agrees with {_list([one.whose for one in near])} to {_span(off_s)}"
    if any(one.machine for one in near):
        return Finding("clock", FindingState.OK, agrees)
    return Finding("clock", FindingState.INFO, f"{agrees}; {nobody}")


def _mend(theirs: ClockReading) -> str:
    if theirs.whose == NODE:
        return f"on its machine, {_SET}"
    return "tell whoever runs that relay, or use another one"


def _named(one: ClockReading) -> str:
    return one.whose if one is OURS else f"the clock of {one.whose}"


def _of(theirs: ClockReading) -> str:
    return f"that of {theirs.whose}"


def _gap(one: ClockReading, other: ClockReading) -> str:
    """``2 h ahead of``, ``90 s behind``."""
    ahead_s = other.ahead_s - one.ahead_s
    return f"{_span(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'}"


def _span(seconds: int) -> str:
    for unit_s, unit, below in _UNITS:
        if seconds < below * unit_s:
            return f"{round(seconds / unit_s)} {unit}"
    return f"{round(seconds / _DAY_S)} d"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
