"""News that relays show about ourselves, until looked at: no relay can crowd out, or hold up, what others show."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from kitestring.nostr.event import Event

#: Events of one relay that wait at once (about 2 kB each). It has one of a kind, and shows it again at each reconnect;
#: one that shows more hides nothing but its own.
MAX_NEWS: Final = 20


class News:
    """Queues, one for each relay of a pool."""

    def __init__(self) -> None:
        self._by_relay: Final[dict[str, deque[Event]]] = {}

    def has_room(self, relay_url: str) -> bool:
        """Whether an event of this relay may wait as well: looked at before its signature is."""
        return len(self._by_relay.get(relay_url, ())) < MAX_NEWS

    def add(self, event: Event, relay_url: str) -> None:
        self._by_relay.setdefault(relay_url, deque()).append(event)

    def __len__(self) -> int:
        return sum(map(len, self._by_relay.values()))

    async def take(self, one: Callable[[Event], Awaitable[None]]) -> None:
        """Hand over what is here now; what comes meanwhile waits for the next time. An event for which ``one`` raises
        stays, and so does what is behind it."""
        for waiting in tuple(self._by_relay.values()):
            for event in tuple(waiting):
                await one(event)
                waiting.popleft()
