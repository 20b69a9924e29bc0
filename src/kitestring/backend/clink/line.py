"""The line to one service of a CLINK wallet: its relays, and all that it says to our key for as long as it is open."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from kitestring.base.errors import CodecError, KitestringError
from kitestring.base.node import NodeUnreachableError
from kitestring.client.hearing import OF_A_SHARED_SERVICE, StandingReplies
from kitestring.client.net import Net
from kitestring.client.session import Dialog, reach
from kitestring.nostr.event import Event, decode_event, encode_event
from kitestring.policy.rate_limits import Limiter, RateLimit
from kitestring.transport.relays import RelayPool
from kitestring.wire.envelope import is_reply

log = logging.getLogger("kitestring.backend")

#: Replies to one request that are heard at once, and those of a minute after that. No number of them is the last one: a
#: request is sent again for days, and each answer is another event. So many are known when they come twice.
MAX_REPLIES: Final = 256
REPLIES_PER_MIN: Final = 60

HearText = Callable[[str], None]


class ServiceLine:
    """``dialog`` is with the service, over ``relays``. Raises NodeUnreachableError while it is not open, or no relay
    can be reached."""

    def __init__(self, dialog: Dialog, relays: tuple[str, ...], net: Net) -> None:
        self._dialog: Final = dialog
        self._relays: Final = relays
        self._net: Final = net
        self._pool: RelayPool | None = None
        self._standing: StandingReplies | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._seen: Final[dict[str, dict[str, None]]] = {}
        self._room: Final = Limiter(RateLimit(REPLIES_PER_MIN, MAX_REPLIES))

    async def open(self) -> None:
        """Begin to connect, and to hear; returns at once."""
        if self._pool is not None:
            return
        self._pool = self._net.pool(self._relays, self._dialog.key)
        self._standing = StandingReplies(self._pool, self._dialog.expected(""), self._net.clock, OF_A_SHARED_SERVICE)
        await self._pool.start()
        self._hearing = asyncio.create_task(self._standing.open(self._net.waits.eose_s))

    async def close(self) -> None:
        """Hear and send nothing more."""
        pool, standing, hearing = self._pool, self._standing, self._hearing
        self._pool = self._standing = self._hearing = None
        if hearing is not None:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
        if standing is not None:
            await standing.close()
        if pool is not None:
            await pool.stop()

    async def reached(self) -> None:
        """Wait until something can be said and heard. Raises NodeUnreachableError: nothing was sent."""
        pool, standing = self._there()
        try:
            await reach(pool, self._net.waits)
        except KitestringError as away:
            raise NodeUnreachableError(away.message) from away
        await pool.until(lambda: bool(standing.live_on()), self._net.waits.eose_s)

    def _there(self) -> tuple[RelayPool, StandingReplies]:
        if self._pool is None or self._standing is None:
            raise NodeUnreachableError("the connection to the wallet is not open")
        return self._pool, self._standing

    def connected(self) -> frozenset[str]:
        """The relays that are connected now."""
        return frozenset() if self._pool is None else frozenset(self._pool.connected_urls())

    async def until_back(self, known: set[str], limit_s: float) -> frozenset[str]:
        """Wait until a relay is connected that is not ``known``, which is kept as those that are: the new ones."""

        def new() -> frozenset[str]:
            now = self.connected()
            known.intersection_update(now)
            return now - known

        pool, _ = self._there()
        await pool.until(lambda: bool(new()), limit_s)
        return new()

    # ------------------------------------------------------------ speaking and hearing

    def request(self, plaintext: str) -> Event:
        """A signed request, where it could be sent. Raises CodecError when the text is too long."""
        self._there()
        return self._dialog.request(plaintext, self._net)

    def send(self, event: Event | bytes) -> None:
        """Send a request, also one that was sent before. From here on it may be at the service."""
        pool, _ = self._there()
        found = decode_event(event) if isinstance(event, bytes) else event
        raw = event if isinstance(event, bytes) else encode_event(event)
        pool.send(found.id, found.pubkey, raw, lambda _: None, deadline_s=self._net.waits.publish_s)

    def follow(self, request_id: str, heard: HearText) -> None:
        """Give every reply to this request to ``heard``, as text, until :meth:`forget`."""
        _, standing = self._there()
        standing.wait_for(request_id, lambda event, _: self._hear(request_id, event, heard))

    def forget(self, request_id: str) -> None:
        """Hear no reply to this request any more."""
        self._seen.pop(request_id, None)
        if self._standing is not None:
            self._standing.forget(request_id)

    def _hear(self, request_id: str, event: Event, heard: HearText) -> None:
        seen = self._seen.setdefault(request_id, {})
        if event.id in seen or not is_reply(event, self._dialog.expected(request_id)):
            return
        if self._room.take(request_id, int(self._net.clock.monotonic() * 1000)):
            return
        try:
            heard(self._dialog.read(event.content)[0])
        except CodecError as unread:
            log.warning("a reply of the wallet to %s cannot be read: %s", request_id[:16], unread)
        # Only now: one that the book cannot take is heard when it comes again.
        if request_id in self._seen:
            seen[event.id] = None
            if len(seen) > MAX_REPLIES:
                del seen[next(iter(seen))]
