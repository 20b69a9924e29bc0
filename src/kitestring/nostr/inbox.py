"""Which events are worked on: addressed to us, from a known author, fresh, genuine and not already in hand.

Pure: time and knowledge come in from outside. The checks run from cheap to dear; the signature comes last and nothing
is remembered before it. Lasting knowledge of finished requests is the ledger's, not this window's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag, verify_event

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


#: Per kind; an inbox takes no others.
WINDOWS: Final[Mapping[int, Window]] = {
    kinds.OFFER: Window(300, 60, HOUR_S),
    kinds.DEBIT: Window(30, 30, HOUR_S),
    kinds.MANAGE: Window(30, 30, HOUR_S),
    kinds.ENROLL: Window(120, 30, HOUR_S),  # mining takes time
    kinds.NWC_REQUEST: Window(300, 60, DAY_S),
}


class Why(Enum):
    """Why an event is dropped, all without an answer."""

    KIND = "kind"
    NOT_OURS = "not_ours"
    UNKNOWN_AUTHOR = "unknown_author"
    ANCIENT = "ancient"
    IN_HAND = "in_hand"
    FORGED = "forged"


@dataclass(frozen=True, slots=True)
class Accept:
    """Work on it; ``recipient`` is our key in the first ``p`` tag. Call :meth:`Inbox.done` when finished."""

    event: Event
    recipient: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """Outside the window, or expired: only a stored reply may be sent again. Call :meth:`Inbox.done` when finished.

    Without one, the wire may say so if ``answerable``: the clocks differ by ``actual_delta_s``, ``max_delta_s`` is
    allowed in that direction.
    """

    event: Event
    recipient: str
    max_delta_s: int
    actual_delta_s: int
    answerable: bool


@dataclass(frozen=True, slots=True)
class Drop:
    """Nothing is done, answered or remembered."""

    why: Why


Verdict = Accept | Lookup | Drop
_DROP: Final = {why: Drop(why) for why in Why}


class Inbox:
    """The window of events in hand, for any number of our keys.

    ``is_ours(key)`` says whether a key of ours is addressed; ``is_known(kind, recipient, author)`` whether that author
    may speak to it at all (True where the wire serves strangers, False for blocked ones).
    """

    __slots__ = ("_is_known", "_is_ours", "_windows", "_working")

    def __init__(
        self,
        is_ours: Callable[[str], bool],
        is_known: Callable[[int, str, str], bool],
        windows: Mapping[int, Window] = WINDOWS,
    ) -> None:
        self._is_ours = is_ours
        self._is_known = is_known
        self._windows = windows
        self._working: dict[str, None] = {}

    def check(self, event: Event, now: int) -> Verdict:
        """The verdict on an event of the right shape; ``now`` in Unix seconds."""
        window = self._windows.get(event.kind)
        if window is None:
            return _DROP[Why.KIND]
        recipient = first_tag(event, "p")
        if recipient is None or not self._is_ours(recipient):
            return _DROP[Why.NOT_OURS]
        if not self._is_known(event.kind, recipient, event.pubkey):
            return _DROP[Why.UNKNOWN_AUTHOR]
        if event.created_at < now - MAX_AGE_S:
            return _DROP[Why.ANCIENT]
        if event.id in self._working:
            return _DROP[Why.IN_HAND]
        if not verify_event(event):
            return _DROP[Why.FORGED]
        self._take(event.id)
        return _place(event, recipient, window, now)

    def done(self, event_id: str) -> None:
        """The event is finished, answered or given up: the same id is looked at again from now on."""
        self._working.pop(event_id, None)

    def __len__(self) -> int:
        """How many ids are in hand."""
        return len(self._working)

    def _take(self, event_id: str) -> None:
        if len(self._working) >= MAX_WORKING:
            del self._working[next(iter(self._working))]
        self._working[event_id] = None


def has_expired(event: Event, now: int) -> bool:
    """Whether the NIP-40 ``expiration`` has passed. An unreadable one counts as passed: nothing is paid for it."""
    expiration = first_tag(event, "expiration")
    if expiration is None:
        return False
    readable = expiration.isascii() and expiration.isdigit() and len(expiration) <= MAX_TIME_DIGITS
    return not readable or int(expiration) < now


def _place(event: Event, recipient: str, window: Window, now: int) -> Accept | Lookup:
    """Completed comes before expired: a finished request keeps its answer, an expired one gets no other."""
    behind, expired = now - event.created_at, has_expired(event, now)
    allowed = window.back_s if behind >= 0 else window.ahead_s
    if abs(behind) <= allowed and not expired:
        return Accept(event, recipient)
    answerable = abs(behind) <= window.answer_s and not expired
    return Lookup(event, recipient, allowed, abs(behind), answerable=answerable)
