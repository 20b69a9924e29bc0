"""Events on their way to the relays: sent to all, sent again with back-off, done when one says true."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

import msgspec

from kitestring.nostr.relay import reason_prefix

_log: Final = logging.getLogger(__name__)

#: Seconds to wait for an OK before sending again (then doubled each time).
OK_TIMEOUT_S: Final = 5.0
MAX_RETRY_PAUSE_S: Final = 60.0
#: Seconds after which an undelivered event is handed back to its caller's own durable outbox.
PUBLISH_DEADLINE_S: Final = 30.0
#: Events on their way at once, and their bytes: a burst beyond this is refused, and the caller's outbox tries later.
MAX_PUBLICATIONS: Final = 8192
MAX_PUBLICATION_BYTES: Final = 32 * 1_048_576


class RelayAnswer(Enum):
    """The word of one relay about an event so far."""

    NONE = "not connected"
    SENT = "no answer"
    ACCEPTED = "accepted"
    UNHEARD = "nobody is listening"
    LATER = "asked to try later"
    AUTH = "wants authentication"
    REFUSED = "refused"


class Verdict(msgspec.Struct, frozen=True, gc=False):
    answer: RelayAnswer
    message: str = ""


class PublishResult(msgspec.Struct, frozen=True):
    """``accepted``: one relay (with ``every``: every relay) has the event. ``relays`` maps URL to its verdict."""

    accepted: bool
    relays: Mapping[str, Verdict]


UNANSWERED: Final = Verdict(RelayAnswer.NONE)
_SENT: Final = Verdict(RelayAnswer.SENT)
ACCEPTED: Final = Verdict(RelayAnswer.ACCEPTED)

OnPublished = Callable[[PublishResult], None]
#: Answers of relays that should (still) be sent the event.
_WANTING: Final = frozenset({RelayAnswer.NONE, RelayAnswer.SENT, RelayAnswer.LATER})
#: Answers that sending again does not change.
_FINAL: Final = frozenset({RelayAnswer.REFUSED, RelayAnswer.UNHEARD})
_BY_PREFIX: Final = {
    "duplicate": RelayAnswer.ACCEPTED,
    "mute": RelayAnswer.UNHEARD,
    "rate-limited": RelayAnswer.LATER,
    "error": RelayAnswer.LATER,
    "": RelayAnswer.LATER,
    "auth-required": RelayAnswer.AUTH,
}


def read_ok(accepted: bool, message: str) -> Verdict:
    """The verdict in an OK. ``duplicate:`` counts as accepted; ``mute:``, ``restricted:``, ``blocked:`` and the
    like are final."""
    if accepted:
        return Verdict(RelayAnswer.ACCEPTED, message) if message else ACCEPTED
    return Verdict(_BY_PREFIX.get(reason_prefix(message), RelayAnswer.REFUSED), message)


class Publication(msgspec.Struct):
    """One event on its way, to the relays that ``verdicts`` names. Times are seconds of the monotonic clock."""

    event_id: str
    pubkey: str
    frame: bytes
    verdicts: dict[str, Verdict]
    every: bool
    due: float
    deadline: float
    done: list[OnPublished]
    pause_s: float = OK_TIMEOUT_S

    def wants(self, url: str) -> bool:
        """Whether it should (still) be sent to that relay."""
        verdict = self.verdicts.get(url)
        return verdict is not None and verdict.answer in _WANTING

    def note_sent(self, url: str) -> None:
        """It is on a live connection now."""
        if self.verdicts[url].answer is RelayAnswer.NONE:
            self.verdicts[url] = _SENT

    def is_unanswered(self, url: str) -> bool:
        """Whether it went out to that relay on a live connection, which has said nothing about it."""
        return self.verdicts.get(url) is _SENT

    def note_lost(self, url: str) -> None:
        """The connection to that relay broke: whether it has read the event is not known."""
        if self.verdicts.get(url) is _SENT:
            self.verdicts[url] = UNANSWERED

    def outcome(self) -> bool | None:
        """True or False once that is certain, else None."""
        answers = [verdict.answer for verdict in self.verdicts.values()]
        if RelayAnswer.ACCEPTED in answers and not self.every:
            return True
        ended = sum(answer in _FINAL for answer in answers)
        if self.every:
            return ended == 0 if ended + answers.count(RelayAnswer.ACCEPTED) == len(answers) else None
        return False if ended == len(answers) else None

    def postpone(self, now: float) -> None:
        """Plan the next sending; a relay whose authentication came to nothing gets another chance then."""
        self.pause_s = min(2 * self.pause_s, MAX_RETRY_PAUSE_S)
        self.due = now + self.pause_s
        for url, verdict in self.verdicts.items():
            if verdict.answer is RelayAnswer.AUTH:
                self.verdicts[url] = Verdict(RelayAnswer.LATER, verdict.message)

    def finish(self, accepted: bool) -> None:
        """Tell all who wait for it. One whose callback raises is logged, and the others are told."""
        result = PublishResult(accepted, dict(self.verdicts))
        for done in self.done:
            try:
                done(result)
            except Exception:  # noqa: BLE001 - one caller's fault must not keep the others waiting
                _log.exception("a callback of publication %s failed", self.event_id)
