"""Read-back: what relays show of events that we have published there. Only that proves that they have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kitestring.nostr.event import Event
from kitestring.nostr.filter import Filter
from kitestring.transport.relays import RelayPool
from kitestring.transport.subscriptions import MAX_KEYS_PER_REQ

#: Keys of one question: one REQ, and as many events at the most are held at a time for each relay.
KEYS: Final = MAX_KEYS_PER_REQ
#: Seconds that relays get for one question. One that is slower is asked again at the next look.
ANSWER_S: Final = 2.0

#: By relay that has shown all it has: the newest event of each key.
Shown = dict[str, dict[str, Event]]


class ReadBack:
    """Asks the relays of ``pool`` for replaceable events."""

    def __init__(self, pool: RelayPool) -> None:
        self._pool: Final = pool
        self._questions = 0

    async def shown(self, kind: int, keys: Sequence[str]) -> Shown:
        """The events of ``kind`` by ``keys`` (at most :data:`KEYS`) on each relay that answers in full; signatures are
        not checked."""
        found: Shown = {}
        wanted = frozenset(keys)

        def note(event: Event, relay_url: str) -> None:
            if event.kind == kind and event.pubkey in wanted:
                _keep_newer(found.setdefault(relay_url, {}), event)

        def filters(part: Sequence[str]) -> list[Filter]:
            return [Filter(kinds=frozenset({kind}), authors=frozenset(part))]

        self._questions += 1
        asked = self._pool.subscribe(f"read-back-{self._questions}", filters, note, keys=keys)
        try:
            await asked.wait_eose(ANSWER_S)
            return {url: found.get(url, {}) for url in asked.live_on()}
        finally:
            asked.close()


def _keep_newer(events: dict[str, Event], event: Event) -> None:
    """Of two events of one second the lower id wins, as on relays (NIP-01)."""
    before = events.get(event.pubkey)
    if before is None or (event.created_at, before.id) > (before.created_at, event.id):
        events[event.pubkey] = event
