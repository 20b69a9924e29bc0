"""Relays about a connection: whether they carry it, and if not, why, in their own words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from kitestring.app.service.announcer import Announcer
from kitestring.app.service.relay_word import RelayWord, auth_words
from kitestring.base.grants import Grant
from kitestring.base.ports import Clock
from kitestring.nostr.event import Event, verify_event
from kitestring.nostr.filter import Filter
from kitestring.transport.guard import normalise
from kitestring.transport.link import RelayStatus
from kitestring.transport.publications import UNANSWERED, RelayAnswer, Verdict
from kitestring.transport.relays import RelayPool
from kitestring.transport.subscriptions import Subscription
from kitestring.wire.registry import ANNOUNCED

#: Seconds that relays get to answer. A good one needs a fraction of it; who waits for the link of a connection does not
#: wait for a bad one, because the announcer goes on trying.
ANSWER_S: Final = 2.0
#: Seconds between two looks.
ROUND_S: Final = 0.05

#: What is said where the relay itself has said nothing.
_SILENT: Final[Mapping[RelayAnswer, str]] = {
    RelayAnswer.NONE: "has not answered yet",
    RelayAnswer.SENT: "has not answered yet",
    RelayAnswer.ACCEPTED: "says that it has it, and does not show it",
}


class Reach:
    """Asks the relays of ``pool`` for what ``announcer`` has told them."""

    def __init__(self, pool: RelayPool, announcer: Announcer, clock: Clock) -> None:
        self._pool: Final = pool
        self._announcer: Final = announcer
        self._clock: Final = clock
        self._questions = 0

    async def words(self, grant: Grant) -> tuple[RelayWord, ...]:
        """One row per relay in the link, as soon as each has shown the announcement of ``grant`` or said no, at most
        after :data:`ANSWER_S`. Nothing is asked about what is not announced."""
        if grant.wire not in ANNOUNCED or grant.revoked_at is not None:
            return ()
        seen: set[str] = set()
        kind = ANNOUNCED[grant.wire].kind

        def note(event: Event, relay_url: str) -> None:
            if event.kind == kind and event.pubkey == grant.service_pubkey and verify_event(event):
                seen.add(relay_url)

        self._questions += 1
        name, keys = f"reach-{self._questions}", (grant.service_pubkey,)
        asked = self._pool.subscribe(name, partial(_filters, kind), note, keys=keys)
        try:
            await self._until_all_have_said(grant, seen, asked)
            return self._rows(grant, seen, asked)
        finally:
            asked.close()

    async def _until_all_have_said(self, grant: Grant, seen: set[str], asked: Subscription) -> None:
        until = self._clock.monotonic() + ANSWER_S
        while self._clock.monotonic() < until and not all(row.carries or row.words for row in self._said(grant, seen)):
            await self._clock.sleep(ROUND_S)

    def _rows(self, grant: Grant, seen: set[str], asked: Subscription) -> tuple[RelayWord, ...]:
        """The state by now, with words for those that have said nothing."""
        verdicts, closed = self._announcer.said(grant), asked.refusals
        silent = {status.url: _silence(status, verdicts, closed) for status in self._named(grant)}
        return tuple(
            row if row.carries or row.words else RelayWord(row.relay, False, silent[row.relay])
            for row in self._said(grant, seen)
        )

    def _named(self, grant: Grant) -> list[RelayStatus]:
        named = {normalise(url) for url in grant.relays}
        return [status for status in self._pool.status() if normalise(status.url) in named]

    def _said(self, grant: Grant, seen: set[str]) -> Iterable[RelayWord]:
        """The answers of relays: by showing it, by a refusal, or by not letting us in."""
        verdicts = self._announcer.said(grant)
        for status in self._named(grant):
            carries = status.url in seen
            yield RelayWord(status.url, carries, "" if carries else _refusal(status, verdicts))


def why_deaf(relays: Iterable[RelayStatus]) -> str:
    """Say why no request comes from ``relays``, each with its own words."""
    return "; ".join(f"{status.url}: {_silence(status, {}, {status.url: status.refused})}" for status in relays)


def _refusal(status: RelayStatus, verdicts: Mapping[str, Verdict]) -> str:
    if not status.connected:
        return status.last_error
    verdict = verdicts.get(status.url, UNANSWERED)
    return "" if verdict.answer is RelayAnswer.ACCEPTED else verdict.message


def _silence(status: RelayStatus, verdicts: Mapping[str, Verdict], closed: Mapping[str, str]) -> str:
    """The best that can be said of a relay that neither shows nor refuses anything."""
    if not status.connected:
        return status.last_error or "is not connected yet"
    answer = verdicts.get(status.url, UNANSWERED).answer
    return closed.get(status.url) or status.auth_error or auth_words(status.auth_s) or _SILENT.get(answer, answer.value)


def _filters(kind: int, keys: Sequence[str]) -> list[Filter]:
    return [Filter(kinds=frozenset({kind}), authors=frozenset(keys))]
