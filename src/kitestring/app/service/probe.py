"""Requests to ourselves: the proof that each relay carries what is addressed to each of our keys.

One is published on one relay, by the key that it is addressed to, in the kind of a true request. When that relay gives
it back through the subscription that hears true requests, all between them works: the relay takes the kind, the
subscription stands, authentication holds.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from kitestring.app.service.relay_word import Carried
from kitestring.base.ports import Clock, Entropy
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, encode_event, sign_event
from kitestring.transport.changes import Changes
from kitestring.transport.publications import UNANSWERED, PublishResult, RelayAnswer
from kitestring.transport.relays import RelayPool
from kitestring.transport.subscriptions import Subscription
from kitestring.wire.grammar import Speakers
from kitestring.wire.registry import KINDS_OF

#: Keys that are all tried on every relay; of more, one of each REQ and the newest.
MAX_KEYS: Final = 200
#: Requests a second to one relay: relays slow down who sends more.
PER_S: Final = 50
#: Seconds for the last of them to come back.
BACK_S: Final = 5.0


class Probe:
    """Asks itself, at the owner's word. ``signers`` are the keys that the service may sign with."""

    def __init__(self, pool: RelayPool, signers: Mapping[str, SecretKey], clock: Clock, entropy: Entropy) -> None:
        self._pool: Final = pool
        self._signers: Final = signers
        self._clock: Final = clock
        self._entropy: Final = entropy
        self._changes: Final = Changes(clock)
        self._waiting: Final[dict[tuple[str, str], Carried]] = {}
        #: Requests to one key over one relay that did not come back (yet): it is heard when all kinds of them are.
        self._owed: Final[Counter[tuple[str, str]]] = Counter()
        self._one_at_a_time: Final = asyncio.Lock()

    def heard(self, event: Event, url: str) -> bool:
        """Take an event of the subscription; whether it is one of these, which nobody else has to look at."""
        carried = self._waiting.pop((event.id, url), None)
        if carried is None:
            return False
        self._owed[url, event.pubkey] -= 1
        if not self._owed[url, event.pubkey]:
            carried.unheard.discard(event.pubkey)
        self._changes.notify()
        return True

    async def ask(self, service: str, connections: Sequence[str]) -> list[Carried]:
        """Ask the key ``service`` in every kind that strangers use, and those of ``connections`` in theirs, on every
        relay; returns one row for each. Takes up to ten seconds."""
        drafts = [(service, kind) for kind in sorted(KINDS_OF[Speakers.STRANGERS])]
        drafts += [(key, kind) for key in connections[:MAX_KEYS] for kind in sorted(KINDS_OF[Speakers.CONNECTIONS])]
        status = self._pool.status()
        relays = [Carried(row.url, row.connected, words="" if row.connected else row.last_error) for row in status]
        async with self._one_at_a_time:
            try:
                await asyncio.gather(*(self._ask_over(relay, drafts) for relay in relays if relay.connected))
                await self._changes.until(lambda: not self._waiting, BACK_S)
            finally:
                self._waiting.clear()
                self._owed.clear()
        return relays

    async def _ask_over(self, relay: Carried, drafts: Sequence[tuple[str, int]]) -> None:
        for pubkey, kind in drafts:
            event = self._sign(pubkey, kind)
            relay.asked += 1
            relay.unheard.add(pubkey)
            self._owed[relay.url, pubkey] += 1
            self._waiting[event.id, relay.url] = relay
            done = partial(self._published, event.id, relay)
            self._pool.send(event.id, pubkey, encode_event(event), done, (relay.url,), deadline_s=BACK_S)
            await self._clock.sleep(1 / PER_S)

    def _sign(self, pubkey: str, kind: int) -> Event:
        return sign_event(
            self._signers[pubkey], kind=kind, tags=[["p", pubkey]], content="probe", created_at=self._clock.now(),
            aux=self._entropy(32),
        )  # fmt: skip

    def _published(self, event_id: str, relay: Carried, result: PublishResult) -> None:
        """A relay that refuses an event will not give it back; one that has nobody to give it to says so."""
        verdict = result.relays.get(relay.url, UNANSWERED)
        if verdict.answer in {RelayAnswer.REFUSED, RelayAnswer.UNHEARD}:
            relay.words = verdict.message
            self._waiting.pop((event_id, relay.url), None)
            self._changes.notify()


def chosen(requests: Subscription | None, service: str) -> list[str]:
    """The keys of connections to be asked: all up to :data:`MAX_KEYS`, of more one of each REQ and the newest."""
    chunks = [] if requests is None else [list(chunk.keys) for chunk in requests.chunks.values()]
    keys = [key for chunk in chunks for key in chunk if key != service]
    if len(keys) <= MAX_KEYS:
        return keys
    first = [others[0] for chunk in chunks if (others := [key for key in chunk if key != service])]
    return [*first[: MAX_KEYS - 1], keys[-1]]
