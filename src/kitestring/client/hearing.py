"""The REQs by which a client hears the replies to one request.

Relays differ in the tags that they index, in the filters that they take, and wallets in the tags and times that they
write. So the filters are wide, and what they let in is matched by whoever hears it: the replies that name the request,
whatever their time is, and beside them, for relays that do not look for ``e`` tags, all that the service says. A relay
that refuses one way of asking is asked in the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from kitestring.nostr.filter import Filter
from kitestring.transport.relays import RelayPool
from kitestring.transport.subscriptions import Handler, Subscription
from kitestring.wire.envelope import Expected

#: Seconds that a service's clock may be behind ours where only its own word on the time finds its reply: a wrong time
#: zone, and the minutes that clocks differ by.
SINCE_S: Final = 86_400
#: Stored events taken of all that a service says to everybody; a reply is among the newest.
MAX_STORED: Final = 100


def _of_request(expected: Expected, since: int) -> list[Filter]:
    kinds, authors = {expected.kind}, {expected.author}
    return [Filter(kinds=kinds, authors=authors, tags={"e": {expected.request_id}}), *_of_service(expected, since)]


def _of_service(expected: Expected, since: int) -> list[Filter]:
    return [Filter(kinds={expected.kind}, authors={expected.author}, since=since, limit=MAX_STORED)]


def _to_us(expected: Expected, since: int) -> list[Filter]:
    return [Filter(kinds={expected.kind}, tags={"p": {expected.own}}, since=since, limit=MAX_STORED)]


#: The ways of asking, the best first. Some relays have no index of e tags, some want to know whom it is for.
WAYS: Final[Sequence[Callable[[Expected, int], list[Filter]]]] = (_of_request, _of_service, _to_us)


class Hearing:
    """``asked_at`` is the time of the request (Unix seconds), ``handler`` gets whatever the relays send."""

    def __init__(self, pool: RelayPool, expected: Expected, asked_at: int, handler: Handler) -> None:
        self._pool: Final = pool
        self._expected: Final = expected
        self._since: Final = max(0, asked_at - SINCE_S)
        self._handler: Final = handler
        self._subscriptions: Final[list[Subscription]] = []

    async def open(self, eose_s: float) -> None:
        """Ask, as often as a relay refuses. Returns when every connected relay has answered, or has had ``eose_s``
        seconds for that."""
        for number, way in enumerate(WAYS):
            subscription = self._pool.subscribe(
                f"{number}-{self._expected.request_id[:32]}", partial(self._filters, way), self._handler
            )
            self._subscriptions.append(subscription)
            await self._pool.until(subscription.settled, eose_s)
            if not subscription.refusals:
                return

    def live_on(self) -> list[str]:
        """The relays that have told all that they stored, and will tell what comes."""
        return list(dict.fromkeys(url for each in self._subscriptions for url in each.live_on()))

    def close(self) -> None:
        """Stop listening."""
        while self._subscriptions:
            self._subscriptions.pop().close()

    def _filters(self, way: Callable[[Expected, int], list[Filter]], _: Sequence[str]) -> list[Filter]:
        return way(self._expected, self._since)
