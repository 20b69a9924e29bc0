"""Another service with this key: noticed over the relays, because nothing else knows of both.

Each start draws an instance id and publishes it in one addressable event under the service key. Who reads a newer one
of another instance says its own once more. A service that has ended does not answer; one that is alive does, and so
both know it within a minute: each has then heard two new events of the other. Both stop spending. The one that began
later also stops listening, so that no request gets two answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from kitestring.app.service.news import News
from kitestring.base.clocks import AHEAD_S
from kitestring.base.errors import KitestringError
from kitestring.base.ports import Clock, Entropy
from kitestring.base.records import StopCause
from kitestring.base.store import Store
from kitestring.base.transactions.service import SetSpending
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag, sign_event, verify_event
from kitestring.nostr.filter import Filter
from kitestring.transport.changes import Changes
from kitestring.transport.relays import RelayPool
from kitestring.transport.subscriptions import Subscription

log = logging.getLogger("kitestring")

#: The ``d`` tag of the event, which belongs to the service key alone.
D_TAG: Final = "kitestring-instance"
#: How often it is looked whether the newest event is still one's own.
LOOK_S: Final = 60.0
#: New events of others after which they are alive: one may be a late copy of what a service said that has ended since.
ALIVE: Final = 2
#: Answers at once between two looks; two services that are alive must not talk to each other all day.
AT_ONCE: Final = 3


class Twins:
    """Watches for other instances. ``second`` is called when another one is alive that was there before."""

    def __init__(
        self, pool: RelayPool, store: Store, key: SecretKey, clock: Clock, entropy: Entropy,
        second: Callable[[], None],
    ) -> None:  # fmt: skip
        self.instance: Final = entropy(16).hex()
        self._pool = pool
        self._store = store
        self._key = key
        self._clock = clock
        self._entropy = entropy
        self._second = second
        self._changes = Changes(clock)
        self._subscription: Subscription | None = None
        self._news: Final = News()
        self._own: Event | None = None
        self._is_taken = False
        self._newest_at = 0
        self._before: set[str] = set()  # instances that had said something before this one said anything
        self._heard: dict[str, set[str]] = {}  # instance → ids of its events that are newer than our own
        self._answers = 0

    # ------------------------------------------------------------ life

    def listen(self) -> None:
        """Read what is there, and what comes."""
        self._subscription = self._pool.subscribe("instance", self._filters, self._hear)

    def stop(self) -> None:
        if self._subscription is not None:
            self._subscription.close()

    async def watch(self) -> None:
        """Forever: say who one is, and look who else is there."""
        if self._own is None and self._subscription is not None:
            await self._pool.connected()
            await self._subscription.wait_eose()
        while True:
            await self.look()
            if not await self._changes.until(lambda: bool(self._news), LOOK_S):
                self._answers = 0

    async def look(self) -> None:
        """Take in what was heard, and answer it."""
        await self._news.take(self._take)
        is_newest = self._own is not None and self._own.created_at >= self._newest_at
        if not (is_newest and self._is_taken) and self._answers < AT_ONCE:
            self._answers += 1
            await self._say()

    # ------------------------------------------------------------ the others

    def _filters(self, _keys: Sequence[str]) -> list[Filter]:
        tags = {"d": frozenset({D_TAG})}
        return [Filter(kinds=frozenset({kinds.BEACON}), authors=frozenset({self._key.public_hex}), tags=tags)]

    def _hear(self, event: Event, relay_url: str) -> None:
        is_ours = event.kind == kinds.BEACON and event.pubkey == self._key.public_hex and first_tag(event, "d") == D_TAG
        is_new = is_ours and event.content != self.instance and self._news.has_room(relay_url)
        if is_new and verify_event(event):
            self._news.add(event, relay_url)
            self._changes.notify()

    async def _take(self, event: Event) -> None:
        self._newest_at = max(self._newest_at, event.created_at)
        if self._own is None:
            self._before.add(event.content)
        elif event.created_at > self._own.created_at:
            heard = self._heard.setdefault(event.content, set())
            heard.add(event.id)
            if len(heard) >= ALIVE:
                await self._stop(event.content)
                heard.clear()

    async def _stop(self, instance: str) -> None:
        if instance in self._before:
            self._second()
        if any(stop.cause is StopCause.TWIN for stop in await self._store.stops()):
            return
        why = f"another service with this key is running (instance {instance[:8]}; this one is {self.instance[:8]})"
        await self._store.apply(SetSpending(True, why, self._clock.now(), StopCause.TWIN))

    async def _say(self) -> None:
        """Publish who one is, newer than all that was heard."""
        at = max(self._clock.now(), self._newest_at + 1)
        # One that no relay takes may be dated by a clock that was ahead: nobody takes it ever.
        is_ahead = self._own is not None and not self._is_taken and self._own.created_at > at + AHEAD_S
        if self._own is None or self._own.created_at < self._newest_at or is_ahead:
            self._own = sign_event(
                self._key, kind=kinds.BEACON, tags=[["d", D_TAG]], content=self.instance, created_at=at,
                aux=self._entropy(32),
            )  # fmt: skip
        try:
            self._is_taken = (await self._pool.publish(self._own)).accepted
        except KitestringError as failure:
            log.warning("no relay knows this instance yet: %s", failure.message)
