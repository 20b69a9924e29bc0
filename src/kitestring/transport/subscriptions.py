"""One standing question to all relays, cut into REQs of at most 200 keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol

from kitestring.nostr.event import Event
from kitestring.nostr.filter import Filter
from kitestring.nostr.relay import MAX_SUBSCRIPTION_ID_CHARS, reason_prefix
from kitestring.transport.changes import Changes

#: Keys in one REQ: 200 × 67 bytes is 13 kB, far below every relay's frame limit, and what relays accept in one filter.
MAX_KEYS_PER_REQ: Final = 200
#: REQs of one subscription: with 200 keys each, 100,000 connections of one service.
MAX_REQS: Final = 500
#: Seconds to wait for EOSE before going on without it.
EOSE_TIMEOUT_S: Final = 5.0
#: Seconds before a REQ that the relay closed is sent again: doubled up to the longest, jittered by half. No word of a
#: relay is final, for a service that is not heard again is deaf; these only begin later.
FIRST_AGAIN_S: Final = 5.0
FIRST_AGAIN_REFUSED_S: Final = 20.0
LONGEST_AGAIN_S: Final = 300.0
#: CLOSED with these words will rarely change by asking again.
FIRM_PREFIXES: Final = frozenset({"restricted", "unsupported", "invalid", "blocked", "auth-required"})

#: Called for every event of a subscription, in the reader, with the relay's URL; signatures are not yet checked, and
#: the same event may come from several relays. It must be quick. To slow a relay down it may return an awaitable (room
#: in the consumer's own bounded queue, say), which the reader of that one relay awaits; it must not wait there for a
#: publish or an EOSE of the same pool.
Handler = Callable[[Event, str], Awaitable[None] | None]
#: The filters for a chunk of keys (empty for a subscription without keys), asked anew at every (re)subscription so that
#: ``since`` can follow the time.
FilterSource = Callable[[Sequence[str]], Sequence[Filter]]


class Chunk:
    """One REQ: its subscription id and keys. ``refused`` counts how often in a row each relay (URL) has closed it."""

    __slots__ = ("keys", "owner", "refused", "subscription_id")

    def __init__(self, owner: Subscription, subscription_id: str) -> None:
        self.owner: Final = owner
        self.subscription_id: Final = subscription_id
        self.keys: Final[dict[str, None]] = {}
        self.refused: Final[dict[str, int]] = {}

    def filters(self) -> Sequence[Filter]:
        return self.owner.source(tuple(self.keys))


class Requests(Protocol):
    """The pool as a subscription asks it to put chunks into effect."""

    def open_chunk(self, chunk: Chunk) -> None: ...
    def close_chunk(self, chunk: Chunk) -> None: ...
    def forget(self, subscription: Subscription) -> None: ...
    def connected_urls(self) -> list[str]: ...


class Subscription:
    """Made by ``RelayPool.subscribe``. ``refusals`` maps relay URL to its words since it closed a REQ; they go when it
    has answered with EOSE."""

    def __init__(self, name: str, source: FilterSource, handler: Handler, pool: Requests, changes: Changes) -> None:
        if not name or len(name) > MAX_SUBSCRIPTION_ID_CHARS - 4:
            raise ValueError("a subscription needs a name of at most 60 characters")
        self.name: Final = name
        self.source: Final = source
        self.handler: Final = handler
        self.chunks: Final[dict[str, Chunk]] = {}
        self.refusals: Final[dict[str, str]] = {}
        self._pool: Final = pool
        self._changes: Final = changes
        self._keys: Final[set[str]] = set()
        self._answered: Final[dict[str, set[str]]] = {}

    def begin(self, keys: Iterable[str]) -> None:
        self.add_keys(keys)
        if not self.chunks:
            self._pool.open_chunk(self._new_chunk())

    def add_keys(self, keys: Iterable[str]) -> None:
        """Also listen for these keys. Only REQs that change are sent again. Raises ValueError above 100,000 keys."""
        touched: dict[str, Chunk] = {}
        for key in keys:
            if key not in self._keys:
                chunk = self._roomy_chunk()
                chunk.keys[key] = None
                self._keys.add(key)
                touched[chunk.subscription_id] = chunk
        for chunk in touched.values():
            self._pool.open_chunk(chunk)

    def _roomy_chunk(self) -> Chunk:
        last = next(reversed(self.chunks.values()), None)
        return last if last is not None and len(last.keys) < MAX_KEYS_PER_REQ else self._new_chunk()

    def _new_chunk(self) -> Chunk:
        if len(self.chunks) >= MAX_REQS:
            raise ValueError(f"a subscription has at most {MAX_REQS * MAX_KEYS_PER_REQ} keys")
        chunk = Chunk(self, f"{self.name}:{len(self.chunks)}")
        self.chunks[chunk.subscription_id] = chunk
        return chunk

    def close(self) -> None:
        """End the subscription on every relay."""
        for chunk in self.chunks.values():
            self._pool.close_chunk(chunk)
        self.chunks.clear()
        self._keys.clear()
        self._pool.forget(self)

    def note_asked(self, url: str, subscription_id: str) -> None:
        self._answered.setdefault(url, set()).discard(subscription_id)

    def note_eose(self, url: str, subscription_id: str) -> None:
        self._answered.setdefault(url, set()).add(subscription_id)
        chunk = self.chunks.get(subscription_id)
        if chunk is not None:
            chunk.refused.pop(url, None)
        if url in self.refusals and not any(url in one.refused for one in self.chunks.values()):
            del self.refusals[url]
        self._changes.notify()

    def note_refused(self, url: str, chunk: Chunk, message: str) -> float:
        """The relay has closed a REQ; returns the seconds after which it is asked again, without jitter."""
        times = chunk.refused[url] = chunk.refused.get(url, 0) + 1
        self._answered.setdefault(url, set()).discard(chunk.subscription_id)
        self.refusals[url] = message
        self._changes.notify()
        first_s = FIRST_AGAIN_REFUSED_S if reason_prefix(message) in FIRM_PREFIXES else FIRST_AGAIN_S
        return min(first_s * 2.0 ** min(times - 1, 10), LONGEST_AGAIN_S)

    def note_lost(self, url: str) -> None:
        self._answered.pop(url, None)
        self._changes.notify()

    def is_live(self, url: str, subscription_id: str) -> bool:
        """Whether the relay has answered this REQ with EOSE."""
        return subscription_id in self._answered.get(url, ())

    def live_on(self) -> list[str]:
        """The relays that have answered every REQ with EOSE: all that they stored has arrived, news will."""
        return [url for url, answered in self._answered.items() if self.chunks.keys() <= answered]

    def settled(self) -> bool:
        """Whether every connected relay has answered with EOSE or refused."""
        urls, live = self._pool.connected_urls(), self.live_on()
        return bool(urls) and all(url in live or url in self.refusals for url in urls)

    async def wait_eose(self, timeout_s: float = EOSE_TIMEOUT_S) -> bool:
        """Wait until every connected relay has answered with EOSE (or refused); whether at least one has.

        Relays that are still being connected are not waited for once another one is live.
        """

        await self._changes.until(lambda: bool(self.live_on()) and self.settled(), timeout_s)
        return bool(self.live_on())
