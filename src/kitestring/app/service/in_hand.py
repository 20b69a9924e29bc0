"""Requests in hand are places that all callers share: those of one caller cannot shut others out.

A request is in hand until it is carried out, or refused; a node that is slow to answer keeps it there for a minute. The
owner's commands have a door of their own and need no place here.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from kitestring.app.service.callers import Caller
from kitestring.base.enrolments import ALL_ENROLLED
from kitestring.base.shares import UNBOUNDED, Share, have_room

#: Requests being carried out at once (a task and a few kB each); beyond it new ones are dropped unread: relays and
#: clients send again, and a claimed one is never dropped.
MAX_IN_HAND: Final = 4_096
#: Below this part of all places no share can be full, whoever has them.
CROWD: Final = 4
#: The name under which strangers count together.
STRANGERS: Final = ""


class InHand:
    """Counts the requests in hand: a known caller has no more than it leaves free, strangers together count as one of
    them, so do the keys that have enrolled, and of what is left to these each has a part."""

    def __init__(self, most: int = MAX_IN_HAND) -> None:
        self._widest: Final = Share(most, most)
        self._within: Final = Share(UNBOUNDED, UNBOUNDED)
        self._crowd: Final = most // CROWD
        self._number = 0
        self._of: Counter[str] = Counter()

    def has_any_room(self) -> bool:
        """Whether anybody may have one more: looked at before a request is."""
        return self._number < self._widest.places

    def take(self, caller: Caller) -> bool:
        """Take a place for one request of ``caller``; False where there is none for it."""
        names = _names(caller)
        if self._number >= self._crowd and not self._has_room(names):
            return False
        self._number += 1
        for name in names:
            self._of[name] += 1
        return True

    def _has_room(self, names: tuple[str, ...]) -> bool:
        shares = (self._within, self._widest)[-len(names) :]
        return have_room(shares, [*map(self._of.__getitem__, names), self._number])

    def give_back(self, caller: Caller) -> None:
        self._number -= 1
        for name in _names(caller):
            self._of[name] -= 1
            if not self._of[name]:
                del self._of[name]

    def __len__(self) -> int:
        return self._number


def _names(caller: Caller) -> tuple[str, ...]:
    if caller.is_enrolled:
        return caller.name, ALL_ENROLLED
    return (caller.name,) if caller.known else (caller.name, STRANGERS)
