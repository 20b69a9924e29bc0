"""The relay pool: several relays, one socket each, carrying all subscriptions and publications of its owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, Self

from kitestring.base.clocks import ClockReading
from kitestring.base.ports import Clock, Entropy
from kitestring.base.text import one_line
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, encode_event
from kitestring.nostr.relay import MAX_FRAME_BYTES, OkMessage, event_frame
from kitestring.transport.changes import Changes
from kitestring.transport.dates import read_relay_clock
from kitestring.transport.dial import Dialer
from kitestring.transport.guard import foreign_relays, normalise
from kitestring.transport.link import Link, RelayStatus
from kitestring.transport.proxies import Proxies
from kitestring.transport.publications import (
    MAX_PUBLICATION_BYTES,
    MAX_PUBLICATIONS,
    OK_TIMEOUT_S,
    PUBLISH_DEADLINE_S,
    UNANSWERED,
    OnPublished,
    Publication,
    PublishResult,
    RelayAnswer,
    Verdict,
    read_ok,
)
from kitestring.transport.subscriptions import Chunk, FilterSource, Handler, Subscription

#: Relays of one pool: each costs a socket and a copy of every frame.
MAX_RELAYS: Final = 32
#: How often, in seconds, unanswered events and closed REQs are looked at. OK time-outs are late by at most this.
TICK_S: Final = 1.0
#: Seconds that :meth:`RelayPool.connected` waits unless told otherwise.
CONNECTED_TIMEOUT_S: Final = 20.0


_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """``allow_private`` lifts the address check from relays of foreign codes. Frames of a relay above
    ``max_frame_bytes`` are skipped. ``headers`` go to a relay with each connection, by its URL as it was given."""

    proxies: Proxies = field(default_factory=Proxies)
    allow_private: bool = False
    max_frame_bytes: int = MAX_FRAME_BYTES
    headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class RelayPool:
    """Use it as an async context, or :meth:`start` and :meth:`stop` it.

    ``relays`` are the caller's own (exempt from the address check), ``foreign`` come out of somebody's code: at most 4
    are used, each ``wss`` on a public address. ``signers`` maps public keys to the keys that may answer NIP-42; it is
    read at the time of need, so the owner may change it. Raises KitestringError for an unusable relay URL.
    """

    def __init__(
        self, relays: Iterable[str], *, clock: Clock, entropy: Entropy, foreign: Iterable[str] = (),
        signers: Mapping[str, SecretKey] | None = None, options: PoolOptions | None = None,
    ) -> None:  # fmt: skip
        options = options or PoolOptions()
        self._clock: Final = clock
        self._dialer: Final = Dialer(options.proxies, options.headers, allow_private=options.allow_private)
        self._changes: Final = Changes(clock)
        self._publications: Final[dict[str, Publication]] = {}
        self._publication_bytes = 0
        self._later: Final[dict[tuple[str, str], tuple[float, Chunk]]] = {}
        self._subscriptions: Final[dict[str, Subscription]] = {}
        self._busy: Final = asyncio.Event()
        self._tasks: Final[list[asyncio.Task[None]]] = []
        own = {normalise(url): url for url in relays}
        dialled = foreign_relays(foreign, own, allow_private=options.allow_private)
        strangers = [url for url in dialled if normalise(url) not in own]
        if len(own) + len(strangers) > MAX_RELAYS:
            raise ValueError(f"a pool has at most {MAX_RELAYS} relays")
        self._links: Final = {
            url: Link(
                url, foreign=url in strangers, hub=self, dialer=self._dialer, clock=clock, entropy=entropy,
                signers=signers if signers is not None else {}, max_frame_bytes=options.max_frame_bytes,
            )
            for url in (*own.values(), *strangers)
        }  # fmt: skip

    # ------------------------------------------------------------ life

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        self._tasks.extend(asyncio.create_task(link.run(), name=f"relay {link.url}") for link in self._links.values())
        self._tasks.append(asyncio.create_task(self._tick(), name="relay pool"))

    async def stop(self) -> None:
        """Close every socket. Publications under way end with what is known."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._dialer.close()
        for publication in list(self._publications.values()):
            self._finish(publication, publication.outcome() or False)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def status(self) -> list[RelayStatus]:
        """One row per relay, for ``doctor``."""
        return [replace(link.status(), refused=self._refused(url)) for url, link in self._links.items()]

    def _refused(self, url: str) -> str:
        """The words of a relay about a subscription that it does not serve now, "" without one."""
        return next((one.refusals[url] for one in self._subscriptions.values() if url in one.refusals), "")

    def connected_urls(self) -> list[str]:
        return [url for url, link in self._links.items() if link.connected]

    async def connected(self, count: int = 1, timeout_s: float = CONNECTED_TIMEOUT_S) -> bool:
        """Wait until ``count`` relays are connected; whether they are."""
        return await self.until(lambda: len(self.connected_urls()) >= count, timeout_s)

    async def until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until something holds that links and subscriptions tell; whether it does, after ``timeout_s`` seconds
        at the latest."""
        return await self._changes.until(holds, timeout_s)

    async def read_clocks(self, urls: Iterable[str]) -> list[ClockReading]:
        """Compare our clock with those of these relays; those that do not tell the time are left out."""
        found = await asyncio.gather(*(read_relay_clock(self._dialer, url, self._clock) for url in urls))
        return [reading for reading in found if reading is not None]

    # ------------------------------------------------------------ subscribing

    def subscribe(self, name: str, source: FilterSource, handler: Handler, *, keys: Iterable[str] = ()) -> Subscription:
        """Listen on every relay, now and after each reconnect. See ``FilterSource`` and ``Handler``.

        ``name`` (at most 60 characters) is unique in the pool and goes over the wire. Raises ValueError otherwise.
        """
        if name in self._subscriptions:
            raise ValueError(f"there is a subscription {name!r} already")
        subscription = Subscription(name, source, handler, self, self._changes)
        self._subscriptions[name] = subscription
        subscription.begin(keys)
        return subscription

    def open_chunk(self, chunk: Chunk) -> None:
        for link in self._links.values():
            link.subscribe(chunk)

    def close_chunk(self, chunk: Chunk) -> None:
        for link in self._links.values():
            link.unsubscribe(chunk)
            self._later.pop((link.url, chunk.subscription_id), None)

    def forget(self, subscription: Subscription) -> None:
        if self._subscriptions.get(subscription.name) is subscription:
            del self._subscriptions[subscription.name]

    # ------------------------------------------------------------ publishing

    async def publish(
        self, event: Event, relays: Iterable[str] | None = None, *, deadline_s: float = PUBLISH_DEADLINE_S,
        every: bool = False,
    ) -> PublishResult:  # fmt: skip
        """Send to all relays (or the named ones of the pool) until one says OK true (with ``every``: all of them).

        Ends at the latest after ``deadline_s`` seconds with ``accepted=False``: then the caller's outbox tries again.
        Raises CodecError when the event exceeds the frame limit, KeyError for a relay that is not in the pool.
        """
        result: asyncio.Future[PublishResult] = asyncio.get_running_loop().create_future()

        def done(outcome: PublishResult) -> None:
            if not result.done():
                result.set_result(outcome)

        self.send(event.id, event.pubkey, encode_event(event), done, relays, deadline_s=deadline_s, every=every)
        return await result

    def send(
        self, event_id: str, pubkey: str, event_json: bytes, done: OnPublished, relays: Iterable[str] | None = None, *,
        deadline_s: float = PUBLISH_DEADLINE_S, every: bool = False,
    ) -> None:  # fmt: skip
        """As :meth:`publish`, for encoded events: ``done`` is called once, from the reader, and must not block.

        An event that is on its way already goes to further relays as well, and has one result for all of them.
        """
        urls = list(self._links) if relays is None else [self._links[url].url for url in relays]
        known = self._publications.get(event_id)
        if known is not None:
            known.done.append(done)
            self._carry(known, [url for url in urls if url not in known.verdicts])
            return
        frame = event_frame(event_json)
        full = len(self._publications) >= MAX_PUBLICATIONS or self._publication_bytes > MAX_PUBLICATION_BYTES
        if full or not urls:
            done(PublishResult(False, {}))
            return
        now = self._clock.monotonic()
        publication = Publication(event_id, pubkey, frame, {}, every, now + OK_TIMEOUT_S, now + deadline_s, [done])
        self._publications[event_id] = publication
        self._publication_bytes += len(frame)
        self._busy.set()
        self._carry(publication, urls)

    def _carry(self, publication: Publication, urls: Iterable[str]) -> None:
        for url in urls:
            publication.verdicts[url] = UNANSWERED
            self._put(publication, url)

    def _put(self, publication: Publication, url: str) -> None:
        if self._links[url].send(publication.frame):
            publication.note_sent(url)

    def verdicts(self, event_id: str) -> dict[str, Verdict]:
        """The words of each relay so far about an event that is on its way; empty when it is not."""
        publication = self._publications.get(event_id)
        return {} if publication is None else dict(publication.verdicts)

    def _finish(self, publication: Publication, accepted: bool) -> None:
        del self._publications[publication.event_id]
        self._publication_bytes -= len(publication.frame)
        for url in publication.verdicts:
            self._links[url].let_go(publication.event_id)
        publication.finish(accepted)

    # ------------------------------------------------------------ what links tell

    def link_up(self, link: Link) -> None:
        for subscription in self._subscriptions.values():
            for chunk in subscription.chunks.values():
                link.subscribe(chunk)
        for publication in self._publications.values():
            if publication.wants(link.url):
                self._put(publication, link.url)
        self._changes.notify()

    def link_down(self, link: Link) -> None:
        for key in [key for key in self._later if key[0] == link.url]:
            del self._later[key]
        for publication in self._publications.values():
            publication.note_lost(link.url)
        self._changes.notify()

    def link_ok(self, link: Link, message: OkMessage) -> None:
        publication = self._publications.get(message.event_id) or self._refused_without_id(link, message)
        if publication is None or link.url not in publication.verdicts:
            return
        verdict = read_ok(message.accepted, one_line(message.message))
        publication.verdicts[link.url] = verdict
        if verdict.answer is RelayAnswer.AUTH:
            author = {publication.pubkey: None}
            if link.authenticate(author):
                link.hold_event(publication.event_id, publication.frame, author)
            else:
                publication.verdicts[link.url] = Verdict(RelayAnswer.REFUSED, verdict.message)
        outcome = publication.outcome()
        if outcome is not None:
            self._finish(publication, outcome)

    def _refused_without_id(self, link: Link, message: OkMessage) -> Publication | None:
        """The event that is meant by a refusal that names none: relays that write so answer in the order of what they
        read. Sent again it would be refused again, and some slow a connection down for each refusal."""
        if message.event_id or message.accepted:
            return None
        unanswered = (one for one in self._publications.values() if one.is_unanswered(link.url))
        return next(unanswered, None)

    def link_wants_later(self, link: Link, chunk: Chunk, due: float) -> None:
        self._later[link.url, chunk.subscription_id] = (due, chunk)
        self._busy.set()

    # ------------------------------------------------------------ time

    async def _tick(self) -> None:
        while True:
            await self._busy.wait()
            await self._clock.sleep(TICK_S)
            now = self._clock.monotonic()
            self._retry_publications(now)
            self._retry_subscriptions(now)
            if not self._publications and not self._later:
                self._busy.clear()

    def _retry_publications(self, now: float) -> None:
        for publication in list(self._publications.values()):
            if now >= publication.deadline:
                self._finish(publication, accepted=False)
            elif now >= publication.due:
                publication.postpone(now)
                for url in filter(publication.wants, publication.verdicts):
                    self._put(publication, url)

    def _retry_subscriptions(self, now: float) -> None:
        for key, (due, chunk) in list(self._later.items()):
            if now >= due:
                del self._later[key]
                self._links[key[0]].ask_again(chunk)
