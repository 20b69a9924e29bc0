"""Hears what a wallet says unasked (NIP-47, extension 02), over the relays of its client.

Relays keep none of it. What is said while no relay is there is missed, and ``has_missed`` says so: whoever listens
looks at the list of the wallet then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from kitestring.base.errors import CodecError
from kitestring.base.outcomes import Direction
from kitestring.base.ports import Clock
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event
from kitestring.nostr.filter import Filter
from kitestring.transport.changes import Changes
from kitestring.transport.relays import RelayPool
from kitestring.transport.subscriptions import Subscription
from kitestring.wire.ask.nwc.notifications import KINDS, Notification, decode_notification, is_notification
from kitestring.wire.encryption import shape
from kitestring.wire.envelope import MAX_REPLY_BYTES, decrypt, shared_secret
from kitestring.wire.reply_to import Cipher

_log: Final = logging.getLogger(__name__)

#: Notifications that wait to be taken (about 1 kB each). What comes beyond that is missed, and found in the list.
MAX_HEARD: Final = 1_000
#: Ids of events that were read, so that each relay's copy costs no signature: the newest, about 100 bytes each.
MAX_SEEN: Final = 10_000
#: Seconds back that a relay is asked for what it has kept all the same.
SINCE_S: Final = 600
#: Seconds after which a change of the relays is looked for again, if none was told.
WATCH_S: Final = 3_600.0


class Listening:
    """To the wallet whose key is ``service``, as ``key``. ``name`` is unique in the pool, ``is_promised`` says whether
    the wallet announces that it tells. Raises CodecError when ``service`` is no public key.

    ``has_missed``: something may have been said that was not heard. It is set at the beginning, whenever a relay comes
    or comes back, and when more came than can wait; whoever looks for it takes it back.
    """

    directions: frozenset[Direction] = frozenset(Direction)

    def __init__(
        self, pool: RelayPool, key: SecretKey, service: str, clock: Clock, name: str, is_promised: Callable[[], bool]
    ) -> None:
        self._pool: Final = pool
        self._own: Final = key.public_hex
        self._service: Final = service
        self._clock: Final = clock
        self._name: Final = name
        self._is_promised: Final = is_promised
        ciphers: tuple[Cipher, ...] = ("nip44", "nip04")
        self._shared: Final = {cipher: shared_secret(key, service, cipher) for cipher in ciphers}
        self._heard: Final[deque[Notification]] = deque()
        self._seen: Final[dict[str, None]] = {}
        self._changes: Final = Changes(clock)
        self._subscriptions: Final[list[Subscription]] = []
        self._watching: asyncio.Task[None] | None = None
        self._is_closed = False
        self.has_missed = True

    @property
    def is_promised(self) -> bool:
        return self._is_promised()

    async def open(self, timeout_s: float) -> None:
        """Begin to listen. Returns when a relay will tell what comes, after ``timeout_s`` seconds at the latest."""
        if not self._subscriptions:
            self._ask(by_tag=True)
        await self._pool.until(lambda: bool(self._live()) or self._is_refused(), timeout_s)
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(self._live()))

    async def close(self) -> None:
        """Stop listening."""
        self._is_closed = True
        self._changes.notify()
        for subscription in self._subscriptions:
            subscription.close()
        self._subscriptions.clear()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def next(self, timeout_s: float) -> Notification | None:
        """The next one; None when the time is up, something more was missed, or this is closed."""
        had = self.has_missed
        await self._changes.until(
            lambda: bool(self._heard) or self._is_closed or (self.has_missed and not had), timeout_s
        )
        return self._heard.popleft() if self._heard else None

    # ------------------------------------------------------------ relays

    def _ask(self, *, by_tag: bool) -> None:
        """A relay that knows no p tags is asked for all that the wallet says to anybody."""
        source = partial(self._filters, by_tag=by_tag)
        name = f"{self._name}-{len(self._subscriptions)}"
        self._subscriptions.append(self._pool.subscribe(name, source, self._hear))

    def _filters(self, _: Sequence[str], *, by_tag: bool) -> list[Filter]:
        tags = {"p": {self._own}} if by_tag else {}
        return [Filter(kinds=KINDS, authors={self._service}, tags=tags, since=max(0, self._clock.now() - SINCE_S))]

    def _live(self) -> frozenset[str]:
        return frozenset(url for one in self._subscriptions for url in one.live_on())

    async def _watch(self, live: frozenset[str]) -> None:
        """Note each relay that comes, or comes back, beside those that are ``live``: nobody knows what it was told in
        between."""
        while True:
            await self._pool.until(lambda: self._live() != live or self._is_refused(), WATCH_S)  # noqa: B023 - is awaited
            if self._is_refused():
                self._ask(by_tag=False)
            now = self._live()
            if now - live:
                self._note_missed()
            live = now

    def _is_refused(self) -> bool:
        return len(self._subscriptions) == 1 and bool(self._subscriptions[0].refusals)

    def _note_missed(self) -> None:
        self.has_missed = True
        self._changes.notify()

    # ------------------------------------------------------------ events

    def _hear(self, event: Event, _: str) -> None:
        if event.id in self._seen or not is_notification(event, self._service, self._own):
            return
        self._seen[event.id] = None
        if len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        if len(self._heard) >= MAX_HEARD:
            self._note_missed()
            return
        try:
            cipher = shape(event.content) or "nip44"
            text = decrypt(event.content, cipher, self._shared[cipher], MAX_REPLY_BYTES)
            self._heard.append(decode_notification(text))
        except CodecError as error:
            _log.warning("a notification of the wallet %s… is passed over: %s", self._service[:16], error)
        self._changes.notify()
