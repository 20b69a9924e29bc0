"""The choice of events to work on: addressed to us, from a known author, fresh, genuine and not already in hand.

Pure: time and knowledge come in from outside. The checks run from cheap to dear; the signature comes last and nothing
is remembered before it. Lasting knowledge of finished requests is the ledger's, not this window's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, TypeVar

import msgspec

from kitestring.nostr.event import Event, first_tag, verify_event

#: A caller that may speak to us; its type is up to the owner of the inbox.
Speaker = TypeVar("Speaker")

HOUR_S: Final = 3600
DAY_S: Final = 86_400
#: Older events are not even looked up: replies are kept for seven days.
MAX_AGE_S: Final = 7 * DAY_S
#: Ids in hand at once (about 0.2 kB each). Beyond it the one taken first is forgotten; the ledger still claims each id.
MAX_WORKING: Final = 16_384
#: Digits of a Unix time for the next 30,000 years.
MAX_TIME_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Window:
    """Seconds an event may be behind and ahead of our clock, and how far off it may be to be told so in a reply."""

    back_s: int
    ahead_s: int
    answer_s: int

    @property
    def width_s(self) -> int:
        """Seconds from end to end. So long after an event, by the later of its clock and ours, it is outside for good,
        although either may be wrong."""
        return self.back_s + self.ahead_s


class Why(Enum):
    """The reason why an event is dropped, always without an answer."""

    KIND = "kind"
    NOT_OURS = "not_ours"
    UNKNOWN_AUTHOR = "unknown_author"
    ANCIENT = "ancient"
    IN_HAND = "in_hand"
    FORGED = "forged"


class Accept(msgspec.Struct, Generic[Speaker], frozen=True, gc=False):
    """Work on it; ``speaker`` may speak to us. Call :meth:`Inbox.done` when finished."""

    event: Event
    speaker: Speaker


class Lookup(msgspec.Struct, Generic[Speaker], frozen=True, gc=False):
    """Outside the window, or expired: only a stored reply may be sent again. Call :meth:`Inbox.done` when finished.

    Without one, the wire may say so if ``answerable``: the clocks differ by ``actual_delta_s``, ``max_delta_s`` is
    allowed in that direction.
    """

    event: Event
    speaker: Speaker
    max_delta_s: int
    actual_delta_s: int
    answerable: bool


@dataclass(frozen=True, slots=True)
class Drop:
    """Nothing is done, answered or remembered."""

    why: Why


Admission = Accept[Speaker] | Lookup[Speaker] | Drop
_DROP: Final = {why: Drop(why) for why in Why}


class Inbox(Generic[Speaker]):
    """The window of events in hand, for any number of our keys.

    ``is_ours(key)`` says whether a key of ours is addressed; ``who(kind, recipient, author)`` is the caller as which
    that author may speak to it, None = not at all. ``windows`` are per kind; no others are taken.
    """

    __slots__ = ("_is_ours", "_who", "_windows", "_working")

    def __init__(
        self,
        is_ours: Callable[[str], bool],
        who: Callable[[int, str, str], Speaker | None],
        windows: Mapping[int, Window],
    ) -> None:
        self._is_ours = is_ours
        self._who = who
        self._windows = windows
        self._working: dict[str, None] = {}

    def check(self, event: Event, now: int) -> Admission[Speaker]:
        """The verdict on an event of the right shape; ``now`` in Unix seconds."""
        window = self._windows.get(event.kind)
        if window is None:
            return _DROP[Why.KIND]
        recipient = first_tag(event, "p")
        if recipient is None or not self._is_ours(recipient):
            return _DROP[Why.NOT_OURS]
        speaker = self._who(event.kind, recipient, event.pubkey)
        if speaker is None:
            return _DROP[Why.UNKNOWN_AUTHOR]
        if event.created_at < now - MAX_AGE_S:
            return _DROP[Why.ANCIENT]
        if event.id in self._working:
            return _DROP[Why.IN_HAND]
        if not verify_event(event):
            return _DROP[Why.FORGED]
        self._take(event.id)
        return _place(event, speaker, window, now)

    def done(self, event_id: str) -> None:
        """The event is finished, answered or given up: the same id is looked at again from now on."""
        self._working.pop(event_id, None)

    def __len__(self) -> int:
        """The number of ids in hand."""
        return len(self._working)

    def _take(self, event_id: str) -> None:
        if len(self._working) >= MAX_WORKING:
            del self._working[next(iter(self._working))]
        self._working[event_id] = None


def expires_at(event: Event) -> int | None:
    """The NIP-40 ``expiration`` in Unix seconds, None without one; 0 where nobody can read it."""
    expiration = first_tag(event, "expiration")
    if expiration is None:
        return None
    readable = expiration.isascii() and expiration.isdigit() and len(expiration) <= MAX_TIME_DIGITS
    return int(expiration) if readable else 0


def has_expired(event: Event, now: int) -> bool:
    """Whether the NIP-40 ``expiration`` has passed. An unreadable one counts as passed: nothing is paid for it."""
    end = expires_at(event)
    return end is not None and end < now


def _place(event: Event, speaker: Speaker, window: Window, now: int) -> Accept[Speaker] | Lookup[Speaker]:
    """Completed comes before expired: a finished request keeps its answer, an expired one gets no other."""
    behind, expired = now - event.created_at, has_expired(event, now)
    allowed = window.back_s if behind >= 0 else window.ahead_s
    if abs(behind) <= allowed and not expired:
        return Accept(event, speaker)
    answerable = abs(behind) <= window.answer_s and not expired
    return Lookup(event, speaker, allowed, abs(behind), answerable=answerable)
