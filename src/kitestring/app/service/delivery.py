"""The outbox on its way out: every message is tried until it is taken, over crashes, in the order of the commits.

Delivery is a consumer of the outbox and keeps one position: every message up to it was tried to an end. Taken is done;
what was not taken gets a time to be tried again, and is passed. So a message that is taken at the first try, which is
nearly every one, costs no write of its own. After a crash the messages beyond the position are tried once more.

A row of a table says how a kind of message is carried, and how often: see :mod:`kitestring.app.service.routes`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from kitestring.app.service.background import Background
from kitestring.base.errors import KitestringError
from kitestring.base.ports import Clock
from kitestring.base.records import Message, Outgoing
from kitestring.base.store import Store
from kitestring.base.transactions import Committed, MarkSent

log = logging.getLogger(__name__)

#: Waits between attempts for one message; after the last one once a minute.
RETRY_S: Final = (1, 2, 5, 10, 30, 60)
#: The position is written this often: losing it only means that some messages are sent once more after a crash.
MARK_EVERY_S: Final = 0.25
#: First attempts under way at once (about 2 kB each): the newer ones wait in the ledger until half of these are over.
MAX_UNDER_WAY: Final = 5_000
#: As many are read from the ledger and signed again in one go (about 20 ms); others get a turn in between.
SLICE: Final = 32
#: While something is to be tried again, the ledger is looked at this often for what is due.
LOOK_S: Final = 1.0
#: A kind without a route (written by another version, or by a part that is gone) is looked at again after this.
UNROUTED_S: Final = 600

#: Called once with whether the message was taken.
OnTaken = Callable[[bool], None]


@dataclass(frozen=True, slots=True)
class Route:
    """The way of one kind of message. ``send`` must not block and calls its ``OnTaken`` once.

    ``give_up_s`` is the age at which nobody waits for it any more, None for never.
    """

    send: Callable[[Message, OnTaken], None]
    give_up_s: int | None = None
    retry_s: tuple[int, ...] = RETRY_S


class Delivery:
    """Carries the outbox of one service by its routes. :meth:`hear` is told of each commit."""

    def __init__(self, store: Store, clock: Clock, routes: Mapping[str, Route]) -> None:
        self._store = store
        self._clock = clock
        self._routes = routes
        self._first: dict[int, None] = {}  # first attempts under way, oldest first
        self._later: set[int] = set()  # further attempts under way
        self._seen = 0  # every message up to here was begun
        self._marked = 0
        self._again: list[tuple[int, int, int]] = []
        self._ended: list[int] = []
        self._behind = asyncio.Event()  # set: there may be messages that were not begun, they are read from the ledger
        self._was_deaf = False  # something was committed since that reading began
        self._due = asyncio.Event()  # set: there may be messages to be tried again
        self._background = Background(clock)
        self._marking: asyncio.Task[None] | None = None

    # ------------------------------------------------------------ life

    async def start(self) -> None:
        """Go on where the last delivery has come to."""
        self._seen = self._marked = await self._store.sent_position()
        self._behind.set()
        self._due.set()
        self._background.keep(self._catch_up)
        self._background.keep(self._retry)

    async def stop(self, grace_s: float, can_send: Callable[[], bool]) -> None:
        """Give first attempts ``grace_s`` seconds to be taken, as long as anybody can take them. The rest is in the
        ledger."""
        until = self._clock.monotonic() + grace_s
        while self._first and self._clock.monotonic() < until and can_send():
            await self._clock.sleep(0.05)
        await self._background.cancel()
        await self.flush()

    # ------------------------------------------------------------ in

    def hear(self, news: Committed) -> None:
        """Take the news of a commit; to be subscribed to the ledger."""
        if self._behind.is_set():
            self._was_deaf = True
            return
        for outgoing in news.outgoing:
            if len(self._first) >= MAX_UNDER_WAY:
                self._behind.set()
                log.warning("too many unsent messages: those after number %d wait in the ledger", self._seen)
                return
            self._begin(outgoing)

    def send_once(self, messages: Iterable[Message]) -> None:
        """Send beside the outbox, once: stored answers that are asked for again, and refusals that nobody stores."""
        for message in messages:
            route = self._routes.get(message.kind)
            if route is not None:
                route.send(message, _unheeded)

    def _begin(self, outgoing: Outgoing) -> None:
        self._seen = outgoing.number
        self._first[outgoing.number] = None
        self._send(outgoing)

    def _send(self, outgoing: Outgoing) -> None:
        route = self._routes.get(outgoing.message.kind)
        if route is None:
            log.error("there is no way to deliver a message of kind %r", outgoing.message.kind)
            self._plan(outgoing, UNROUTED_S)
            self._over(outgoing.number)
            return
        route.send(outgoing.message, partial(self._done, outgoing, route))

    def _done(self, outgoing: Outgoing, route: Route, taken: bool) -> None:
        message = outgoing.message
        if not taken and route.give_up_s is not None and self._clock.now() - message.signed_at > route.give_up_s:
            log.info("a message of kind %s was taken by nobody and is given up", message.kind)
            taken = True
        if not taken:
            self._plan(outgoing, route.retry_s[min(outgoing.attempts, len(route.retry_s) - 1)])
        elif outgoing.number in self._later:
            self._ended.append(outgoing.number)
        self._over(outgoing.number)

    def _plan(self, outgoing: Outgoing, pause_s: int) -> None:
        self._again.append((outgoing.number, outgoing.attempts + 1, self._clock.now() + pause_s))
        self._due.set()

    def _over(self, number: int) -> None:
        """The attempt is over, whatever came of it."""
        if number in self._later:
            self._later.discard(number)
        else:
            self._first.pop(number, None)
        if self._marking is None or self._marking.done():
            self._marking = self._background.spawn(self._mark())

    # ------------------------------------------------------------ catching up

    async def _catch_up(self) -> None:
        """Begin what is in the ledger and was not begun, whenever delivery is behind."""
        while True:
            await self._behind.wait()
            while len(self._first) > MAX_UNDER_WAY // 2:
                await self._clock.sleep(LOOK_S)
            try:
                await self._begin_more()
            except KitestringError as failure:
                log.warning("unsent messages are not read: %s", failure.message)
                await self._clock.sleep(LOOK_S)

    async def _begin_more(self) -> None:
        self._was_deaf = False
        waiting = await self._store.outbox(self._seen, SLICE)
        for outgoing in waiting:
            self._begin(outgoing)
        if not self._was_deaf and len(waiting) < SLICE:
            self._behind.clear()
        await self._clock.sleep(0)

    async def _retry(self) -> None:
        """Try again what is due."""
        while True:
            await self._due.wait()
            try:
                await self._send_due()
            except KitestringError as failure:
                log.warning("messages to be tried again are not read: %s", failure.message)
            await self._clock.sleep(LOOK_S)

    async def _send_due(self) -> None:
        await self.flush()
        room = MAX_UNDER_WAY - len(self._later)
        due = [one for one in await self._store.due(self._clock.now(), room) if one.number not in self._later]
        if not due and not self._again and not await self._store.has_due():
            self._due.clear()
        for start in range(0, len(due), SLICE):
            for outgoing in due[start : start + SLICE]:
                self._later.add(outgoing.number)
                self._send(outgoing)
            await self._clock.sleep(0)

    # ------------------------------------------------------------ marks

    async def _mark(self) -> None:
        while self._again or self._ended or self._position() != self._marked:
            await self._clock.sleep(MARK_EVERY_S)
            await self.flush()

    def _position(self) -> int:
        """Every message up to here was tried to an end."""
        oldest = next(iter(self._first), None)
        return self._seen if oldest is None else oldest - 1

    async def flush(self) -> None:
        """Write what has come of the attempts. A failure loses nothing: it is written later, or sent once more."""
        position, again, ended = self._position(), self._again, self._ended
        if not again and not ended and position == self._marked:
            return
        self._again, self._ended = [], []
        try:
            await self._store.apply(MarkSent(position, tuple(again), tuple(ended)))
            self._marked = position
        except KitestringError as failure:
            self._again, self._ended = again + self._again, ended + self._ended
            log.warning("what was delivered is not written yet: %s", failure.message)


def _unheeded(taken: bool) -> None:
    if not taken:
        log.info("an answer that was said again, or is stored nowhere, was taken by nobody")
