"""A relay that keeps everything and shows it again, and a pool that speaks to it alone. No socket, no time."""

from __future__ import annotations

import contextvars
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kitestring.base.clocks import ClockReading, reading
from kitestring.base.ports import Clock
from kitestring.nostr.event import Event, decode_event, encode_event, verify_event
from kitestring.nostr.filter import Filter
from kitestring.relay.index import matches, tag_sets
from kitestring.transport.dates import machine_of
from kitestring.transport.link import RelayStatus
from kitestring.transport.publications import PublishResult, RelayAnswer, Verdict
from kitestring.transport.subscriptions import FilterSource, Handler

URL = "ws://127.0.0.1:1"


class KeepingRelay:
    """Takes what ``takes`` says, keeps it forever and shows it to whoever subscribes, newest first (NIP-01).

    Ephemeral events are kept too, as many relays do. A replaceable event does not replace the one before: whoever reads
    gets both, the newest first. ``clocks`` are those of other relays, by their URLs, for who asks what time it is.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.takes: Callable[[Event], bool] = lambda _: True
        self.clocks: dict[str, Clock] = {}
        self._subscriptions: dict[int, _Subscription] = {}
        self._numbers = itertools.count()

    def publish(self, event: Event) -> bool:
        """Whether it is taken; whoever has asked for it gets it at once."""
        assert verify_event(event)
        if not self.takes(event):
            return False
        self.events.append(event)
        for subscription in tuple(self._subscriptions.values()):
            subscription.hear(event)
        return True

    def show_again(self) -> None:
        """Show everybody everything it has once more, as after a reconnect."""
        for subscription in tuple(self._subscriptions.values()):
            self._show(subscription)

    def subscribe(self, name: str, source: FilterSource, handler: Handler, keys: Iterable[str]) -> _Subscription:
        number = next(self._numbers)
        subscription = _Subscription(name, source, handler, list(keys), contextvars.copy_context(), self, number)
        self._subscriptions[number] = subscription
        self._show(subscription)
        return subscription

    def _show(self, subscription: _Subscription) -> None:
        newest_first = sorted(self.events, key=lambda event: event.created_at)[::-1]
        for wanted in subscription.filters():
            found = [event for event in newest_first if matches(wanted, event, tag_sets(event))]
            for event in found[: wanted.limit]:
                subscription.tell(event)

    def forget(self, number: int) -> None:
        self._subscriptions.pop(number, None)

    def state(self) -> list[Event]:
        """What it keeps now; :meth:`restore` puts it back."""
        return list(self.events)

    def restore(self, state: list[Event]) -> None:
        self.events = list(state)


@dataclass(eq=False)
class _Subscription:
    """One reader. What it hears is carried out in the context in which it subscribed, so that it dies with it."""

    name: str
    source: FilterSource
    handler: Handler
    keys: list[str]
    context: contextvars.Context
    relay: KeepingRelay
    number: int

    def filters(self) -> Sequence[Filter]:
        return self.source(self.keys)

    def hear(self, event: Event) -> None:
        if any(matches(wanted, event, tag_sets(event)) for wanted in self.filters()):
            self.tell(event)

    def tell(self, event: Event) -> None:
        self.context.copy().run(self.handler, event, URL)

    # as kitestring.transport.subscriptions.Subscription

    def add_keys(self, keys: Iterable[str]) -> None:
        new = [key for key in keys if key not in self.keys]
        if new:
            old, self.keys = self.keys, new
            self.relay._show(self)
            self.keys = old + new

    def remove_keys(self, keys: Iterable[str]) -> None:
        gone = set(keys)
        self.keys = [key for key in self.keys if key not in gone]

    def close(self) -> None:
        self.relay.forget(self.number)

    def live_on(self) -> list[str]:
        return [URL]

    def settled(self) -> bool:
        return True

    async def wait_eose(self, timeout_s: float = 0.0) -> bool:
        return True

    @property
    def chunks(self) -> dict[str, _Chunk]:
        return {f"{self.name}:0": _Chunk(dict.fromkeys(self.keys))}

    @property
    def refusals(self) -> dict[str, str]:
        return {}


@dataclass(frozen=True)
class _Chunk:
    keys: dict[str, None]


_STATUS = RelayStatus(URL, True, 1, "", 0, "", "", "")


class RelayDouble:
    """In the place of :class:`kitestring.transport.relays.RelayPool`: one relay, always connected."""

    def __init__(self, relay: KeepingRelay, clock: Clock | None = None) -> None:
        self._relay = relay
        self._clock = clock
        self._open: list[_Subscription] = []
        self.dead = False

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.end()

    def end(self) -> None:
        """Nothing is heard or said any more."""
        self.dead = True
        for subscription in self._open:
            subscription.close()

    def status(self) -> list[RelayStatus]:
        return [_STATUS]

    def connected_urls(self) -> list[str]:
        return [URL]

    async def read_clocks(self, urls: Iterable[str]) -> list[ClockReading]:
        if self._clock is None:
            return []
        now, clocks = self._clock.now(), self._relay.clocks
        return [reading(url, machine_of(url), clocks[url].now(), now, now) for url in urls if url in clocks]

    async def connected(self, count: int = 1, timeout_s: float = 0.0) -> bool:
        return count <= 1

    async def until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        return holds()

    def subscribe(
        self, name: str, source: FilterSource, handler: Handler, *, keys: Iterable[str] = ()
    ) -> _Subscription:
        subscription = self._relay.subscribe(name, source, handler, keys)
        self._open.append(subscription)
        return subscription

    def verdicts(self, _event_id: str) -> dict[str, Verdict]:
        return {}

    async def publish(self, event: Event, relays: Any = None, **_: Any) -> PublishResult:
        return self._published(event)

    def send(self, event_id: str, pubkey: str, event_json: bytes, done: Any, relays: Any = None, **_: Any) -> None:
        event = decode_event(event_json)
        assert (event.id, event.pubkey) == (event_id, pubkey)
        assert encode_event(event)
        done(self._published(event))

    def _published(self, event: Event) -> PublishResult:
        taken = not self.dead and self._relay.publish(event)
        return PublishResult(taken, {URL: Verdict(RelayAnswer.ACCEPTED if taken else RelayAnswer.LATER)})
