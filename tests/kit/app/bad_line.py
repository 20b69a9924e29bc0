"""The line of an app to its relay, that loses what is said on it: in the place of the pool of our own client."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

from kitestring.base.ports import Clock
from kitestring.client import net
from kitestring.nostr.event import Event, decode_event
from kitestring.transport.publications import PublishResult, RelayAnswer, Verdict
from kitestring.transport.subscriptions import FilterSource, Handler
from tests.kit.app.relay import URL, KeepingRelay, RelayDouble, _Subscription

#: Of a hundred: events that are not heard, requests that never come to the relay, those that do while nobody says so,
#: and attempts to reach a relay that fail.
UNHEARD, UNSENT, UNSAID, AWAY = 25, 15, 15, 10
#: Seconds until a request that nobody has taken is given up, at most.
GIVEN_UP_S: Final = 30.0


class BadLine(RelayDouble):
    """``is_bad`` says whether it loses anything now."""

    def __init__(self, relay: KeepingRelay, clock: Clock, chance: random.Random, is_bad: Callable[[], bool]) -> None:
        super().__init__(relay, clock)
        self._chance, self._is_bad = chance, is_bad

    def _happens(self, of_hundred: int) -> bool:
        return self._is_bad() and self._chance.randrange(100) < of_hundred

    async def __aenter__(self) -> BadLine:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.end()

    async def connected(self, count: int = 1, timeout_s: float = 0.0) -> bool:
        if not self._happens(AWAY):
            return True
        await asyncio.sleep(timeout_s)
        return not self._happens(AWAY)

    async def until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        if not holds():
            await asyncio.sleep(timeout_s)
        return holds()

    def subscribe(
        self, name: str, source: FilterSource, handler: Handler, *, keys: Iterable[str] = ()
    ) -> _Subscription:
        def hear(event: Event, url: str) -> None:
            if not self.dead and not self._happens(UNHEARD):
                handler(event, url)

        return super().subscribe(name, source, hear, keys=keys)

    def send(self, event_id: str, pubkey: str, event_json: bytes, done: Any, relays: Any = None, **how: Any) -> None:
        is_unsent, is_unsaid = self._happens(UNSENT), self._happens(UNSAID)
        if not (is_unsent or is_unsaid):
            super().send(event_id, pubkey, event_json, done, relays, **how)
            return
        if not is_unsent:
            self._published(decode_event(event_json))
        given_up = PublishResult(False, {URL: Verdict(RelayAnswer.LATER)})
        asyncio.get_running_loop().call_later(self._chance.uniform(0, GIVEN_UP_S), done, given_up)


@contextmanager
def bad_line(relay: KeepingRelay, clock: Clock, chance: random.Random, is_bad: Callable[[], bool]) -> Iterator[None]:
    """Give every client that is made meanwhile such a line."""

    def pool(*_: Any, **__: Any) -> BadLine:
        return BadLine(relay, clock, chance, is_bad)

    with patch.object(net, "RelayPool", pool):
        yield
