"""The REQs by which a client hears replies: those to one request, or all that a wallet says for as long as it is asked.

Relays differ in the tags that they index, in the filters that they take, and wallets in the tags and times that they
write. So the filters are wide, and what they let in is matched by whoever hears it: the replies that name the request,
whatever their time is, and beside them, for relays that do not look for ``e`` tags, all that the service says. In CLINK
every reply names its addressee: there it is what the service says to us, and not the last invoices of all others. A
relay that refuses one way of asking is asked in the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from kitestring.base.ports import Clock
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag
from kitestring.nostr.filter import Filter
from kitestring.transport.relays import RelayPool
from kitestring.transport.subscriptions import Handler, Subscription
from kitestring.wire.envelope import Expected

#: Seconds that a service's clock may be behind ours where only its own word on the time finds its reply: a wrong time
#: zone, and the minutes that clocks differ by.
SINCE_S: Final = 86_400
#: Stored events taken of all that a service says to everybody; a reply is among the newest.
MAX_STORED: Final = 100
#: Seconds after which a reply that was not heard is asked for by name: a relay may have lost it, or the standing REQ.
LATE_S: Final = 3.0


def _of_request(expected: Expected, since: int) -> list[Filter]:
    of, authors = {expected.kind}, {expected.author}
    beside = _of_service_to_us if expected.kind in kinds.CLINK else _of_service
    return [Filter(kinds=of, authors=authors, tags={"e": {expected.request_id}}), *beside(expected, since)]


def _of_service(expected: Expected, since: int) -> list[Filter]:
    return [Filter(kinds={expected.kind}, authors={expected.author}, since=since, limit=MAX_STORED)]


def _of_service_to_us(expected: Expected, since: int) -> list[Filter]:
    to_us = {"p": {expected.own}}
    return [Filter(kinds={expected.kind}, authors={expected.author}, tags=to_us, since=since, limit=MAX_STORED)]


def _to_us(expected: Expected, since: int) -> list[Filter]:
    return [Filter(kinds={expected.kind}, tags={"p": {expected.own}}, since=since, limit=MAX_STORED)]


#: The ways of asking, the best first. Some relays have no index of e tags, some want to know whom it is for.
WAYS: Final[Sequence[Callable[[Expected, int], list[Filter]]]] = (_of_request, _of_service, _to_us)
#: Those of what stands: of a service that speaks to us alone, and of one that has many customers, of whose replies ours
#: must be picked by the relay.
OF_OUR_WALLET: Final[Sequence[Callable[[Expected, int], list[Filter]]]] = (_of_service, _to_us)
OF_A_SHARED_SERVICE: Final[Sequence[Callable[[Expected, int], list[Filter]]]] = (
    _of_service_to_us, _to_us, _of_service,
)  # fmt: skip


class ReplyListener(Protocol):
    """The way in which one request hears its replies."""

    async def open(self, eose_s: float) -> None:
        """Begin to listen. Returns when every connected relay has answered, or has had ``eose_s`` seconds for that."""
        ...

    def live_on(self) -> list[str]:
        """The relays that have told all that they stored, and will tell what comes."""
        ...

    def is_settled(self) -> bool:
        """Whether there is nothing to wait for in :meth:`open`."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


class Hearing:
    """The replies that one of ``ways`` lets in; ``handler`` gets whatever the relays send. ``asked_at`` (Unix seconds)
    is the time of the request, or what tells it at each REQ."""

    def __init__(
        self,
        pool: RelayPool,
        expected: Expected,
        asked_at: Callable[[], int],
        handler: Handler,
        ways: Sequence[Callable[[Expected, int], list[Filter]]] = WAYS,
    ) -> None:
        self._pool: Final = pool
        self._expected: Final = expected
        self._asked_at: Final = asked_at
        self._handler: Final = handler
        self._ways: Final = ways
        self._subscriptions: Final[list[Subscription]] = []

    async def open(self, eose_s: float) -> None:
        """See :meth:`ReplyListener.open`. A relay that refuses one way is asked in the next."""
        for number, way in enumerate(self._ways):
            subscription = self._pool.subscribe(
                f"{number}-{self._expected.request_id[:32] or 'replies'}", partial(self._filters, way), self._handler
            )
            self._subscriptions.append(subscription)
            await self._pool.until(subscription.settled, eose_s)
            if not subscription.refusals:
                return

    def live_on(self) -> list[str]:
        return list(dict.fromkeys(url for each in self._subscriptions for url in each.live_on()))

    def is_settled(self) -> bool:
        return bool(self._subscriptions) and all(each.settled() for each in self._subscriptions)

    def close(self) -> None:
        while self._subscriptions:
            self._subscriptions.pop().close()

    def _filters(self, way: Callable[[Expected, int], list[Filter]], _: Sequence[str]) -> list[Filter]:
        return way(self._expected, max(0, self._asked_at() - SINCE_S))


class StandingReplies:
    """Hears all that a wallet says to one of its connections, from the first request to the end of the session: a REQ
    of its own for each request would bring the stored replies of all earlier ones every time."""

    def __init__(
        self, pool: RelayPool, expected: Expected, clock: Clock,
        ways: Sequence[Callable[[Expected, int], list[Filter]]] = OF_OUR_WALLET,
    ) -> None:  # fmt: skip
        self._pool: Final = pool
        self._clock: Final = clock
        self._hearing: Final = Hearing(pool, expected, clock.now, self._hear, ways)
        self._opening: asyncio.Task[None] | None = None
        self._waiting: Final[dict[str, Handler]] = {}

    def replies(self, expected: Expected, asked_at: int, handler: Handler) -> ReplyListener:
        """The replies to one request."""
        return _Replies(self, Hearing(self._pool, expected, lambda: asked_at, handler), expected, handler, self._clock)

    async def open(self, eose_s: float) -> None:
        """See :meth:`ReplyListener.open`; those who come while it is being opened wait for the same answers."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._hearing.open(eose_s))
        await asyncio.shield(self._opening)
        await self._pool.until(self.is_settled, eose_s)

    def live_on(self) -> list[str]:
        return self._hearing.live_on()

    def is_settled(self) -> bool:
        return self._opening is not None and self._opening.done() and self._hearing.is_settled()

    def wait_for(self, request_id: str, handler: Handler) -> None:
        """Give the events that name this request to ``handler``."""
        self._waiting[request_id] = handler

    def forget(self, request_id: str) -> None:
        """Give nobody what names this request any more."""
        self._waiting.pop(request_id, None)

    async def close(self) -> None:
        """Stop listening."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        self._hearing.close()

    def _hear(self, event: Event, url: str) -> None:
        handler = self._waiting.get(first_tag(event, "e") or "")
        if handler is not None:
            handler(event, url)


class _Replies:
    """The share of one request in what stands, and its own REQ when it is late."""

    def __init__(
        self, standing: StandingReplies, own: Hearing, expected: Expected, handler: Handler, clock: Clock
    ) -> None:
        self._standing: Final = standing
        self._own: Final = own
        self._expected: Final = expected
        self._handler: Final = handler
        self._clock: Final = clock
        self._late: asyncio.Task[None] | None = None

    async def open(self, eose_s: float) -> None:
        self._begin(eose_s)
        await self._standing.open(eose_s)

    def live_on(self) -> list[str]:
        return self._standing.live_on()

    def is_settled(self) -> bool:
        return self._standing.is_settled()

    def close(self) -> None:
        self._standing.forget(self._expected.request_id)
        if self._late is not None:
            self._late.cancel()
        self._own.close()

    def _begin(self, eose_s: float) -> None:
        self._standing.wait_for(self._expected.request_id, self._handler)
        self._late = asyncio.create_task(self._ask_by_name(eose_s))

    async def _ask_by_name(self, eose_s: float) -> None:
        await self._clock.sleep(LATE_S)
        await self._own.open(eose_s)
