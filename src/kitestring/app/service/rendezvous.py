"""Relays of others at which somebody waits for a word of ours: an app for the answer to its request for a connection,
whoever has zapped for the receipt.

They are dialled for this alone, one connection at a time: whoever waits finds in the answer at which relays we listen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable
from typing import Final
from urllib.parse import urlsplit

from kitestring.app.service.seldom import Seldom
from kitestring.base.errors import KitestringError
from kitestring.base.text import one_line
from kitestring.client.net import Net
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event
from kitestring.transport.guard import normalise

log = logging.getLogger("kitestring.announce")

#: Seconds that such a relay gets to take an event, connecting included.
TELL_S: Final = 15.0
#: An app that has not had its answer within a day waits no more.
WAITS_S: Final = 86_400


class Rendezvous:
    """``net`` says what may be dialled: a relay in somebody's request must be ``wss`` on a public address."""

    def __init__(self, net: Net) -> None:
        self._net: Final = net
        self._log: Final = Seldom(log, net.clock)

    def elsewhere(self, named: Iterable[str], own: Collection[str]) -> list[str]:
        """The relays among ``named`` that are not our ``own``, the first of each host: nobody has us knock ten times at
        one door."""
        known, found = {normalise(url) for url in own}, dict[str, str]()
        for url in named:
            if normalise(url) not in known:
                found.setdefault(self._door(url), url)
        return list(found.values())

    def _door(self, url: str) -> str:
        """The host of a relay; in a private network, where tests are made, one host has many."""
        parts = urlsplit(normalise(url))
        return parts.netloc if self._net.allow_private else parts.hostname or ""

    async def tell(self, event: Event, key: SecretKey, urls: Collection[str]) -> bool:
        """Whether one of these relays has taken ``event``, signed by ``key``; True too where none of them may ever be
        dialled, which the log says. The first that takes it is enough."""
        return await self._told(event, key, urls) is not False

    async def tell_each(self, event: Event, key: SecretKey, urls: Collection[str]) -> bool:
        """The same, but every one of them is offered the event: whoever looks for it may look at any."""
        told = await asyncio.gather(*(self._told(event, key, [url]) for url in urls))
        return any(told) or False not in told

    async def _told(self, event: Event, key: SecretKey, urls: Collection[str]) -> bool | None:
        """None where none of them may be dialled."""
        try:
            pool = self._net.pool((), key, foreign=urls)
        except KitestringError as refused:
            self._log.warning("somebody is not told at a relay where they wait: %s", one_line(refused.message))
            return None
        async with pool:
            return (await pool.publish(event, deadline_s=TELL_S)).accepted
