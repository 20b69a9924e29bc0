"""The outbox on its way out: every message is tried until it is taken, over crashes, in the order of the commits.

Delivery is a consumer of the outbox and keeps one position: every message up to it was tried to an end. Taken is done;
what was not taken is done too, or gets a time to be tried again and is passed, as the rule of its kind says. So a
message that is taken at the first try, which is nearly every one, costs no write of its own. After a crash the messages
beyond the position are tried once more.

A row of a table says how a kind of message is carried, and how often: see :mod:`kitestring.app.service.routes`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from kitestring.app.service.background import Background
from kitestring.app.service.receptions import OnReception, Reception, Rule, Rules, until_taken
from kitestring.app.service.seldom import Seldom
from kitestring.base.errors import KitestringError
from kitestring.base.ports import Clock
from kitestring.base.records import Message, Outgoing
from kitestring.base.store import LONGEST_RETRY_S, Store
from kitestring.base.transactions.feed import Committed, MarkSent

log = logging.getLogger(__name__)

#: The position is written this often: losing it only means that some messages are sent once more after a crash.
MARK_EVERY_S: Final = 0.25
#: First attempts under way at once (about 2 kB each): the newer ones wait in the ledger until half of these are over.
MAX_UNDER_WAY: Final = 5_000
#: As many are read from the ledger and signed again in one go (about 20 ms); others get a turn in between.
SLICE: Final = 32
#: While something is to be tried again, the ledger is looked at this often for what is due.
LOOK_S: Final = 1.0
#: A kind without a route (written by another version, or by a part that is gone) is looked at again after this.
UNROUTED_S: Final = LONGEST_RETRY_S


@dataclass(frozen=True, slots=True)
class Route:
    """The way of one kind of message. ``send`` must not block, and calls its ``OnReception`` once or raises."""

    send: Callable[[Message, OnReception], None]
    rules: Rules = field(default_factory=until_taken)


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
        self._again: list[tuple[int, int, int]] = []  # planned, and not written yet
        self._ended: list[int] = []  # over after further attempts, and not written yet
        self._behind = asyncio.Event()  # set: there may be messages that were not begun, they are read from the ledger
        self._behind.set()  # until the start, which knows where to begin
        self._was_deaf = False  # something was committed since that reading began
        self._due = asyncio.Event()  # set: there may be messages to be tried again
        self._unmarked = asyncio.Event()  # set: there may be something to be written
        self._writing = asyncio.Lock()
        self._background = Background(clock)
        self._log = Seldom(log, clock)
        self._unrouted = Route(self._send_nowhere, until_taken(Rule(None, (UNROUTED_S,))))
        self._is_stopped = False

    # ------------------------------------------------------------ life

    async def start(self) -> None:
        """Go on where the last delivery has come to."""
        self._seen = self._marked = await self._store.sent_position()
        self._due.set()
        self._background.keep(self._catch_up)
        self._background.keep(self._retry)
        self._background.keep(self._mark)

    async def stop(self, grace_s: float, can_send: Callable[[], bool]) -> None:
        """Give first attempts ``grace_s`` seconds to be taken, as long as anybody can take them. The rest is in the
        ledger."""
        until = self._clock.monotonic() + grace_s
        while self._first and self._clock.monotonic() < until and can_send():
            await self._clock.sleep(0.05)
        await self._background.cancel()
        self._is_stopped = True
        await self.flush()

    # ------------------------------------------------------------ in

    def hear(self, news: Committed) -> None:
        """Take the news of a commit; to be subscribed to the ledger."""
        if self._is_stopped:
            return
        if self._behind.is_set():
            self._was_deaf = True
            return
        for outgoing in news.outgoing:
            if outgoing.number <= self._seen:  # read from the ledger before its news came
                continue
            if len(self._first) >= MAX_UNDER_WAY:
                self._behind.set()
                self._log.warning("too many unsent messages: those after number %d wait in the ledger", self._seen)
                return
            self._begin(outgoing)

    def send_once(self, messages: Iterable[Message]) -> None:
        """Send beside the outbox, once: stored answers that are asked for again, and refusals that nobody stores."""
        for message in messages:
            route = self._routes.get(message.kind)
            if route is not None:
                self._carry(route, message, _unheeded)

    def _begin(self, outgoing: Outgoing) -> None:
        self._seen = outgoing.number
        self._first[outgoing.number] = None
        self._send(outgoing)

    def _send(self, outgoing: Outgoing) -> None:
        route = self._routes.get(outgoing.message.kind, self._unrouted)
        self._carry(route, outgoing.message, partial(self._done, outgoing, route))

    def _carry(self, route: Route, message: Message, done: OnReception) -> None:
        """A carrier that raises has not taken the message; that is no reason for other messages to wait."""
        try:
            route.send(message, done)
        except Exception:  # noqa: BLE001 - not hidden: it is logged, and the message is tried again
            self._log.exception("a message of kind %s is not sent yet", message.kind)
            done(Reception.UNSENT)

    def _send_nowhere(self, message: Message, done: OnReception) -> None:
        self._log.error("there is no way to deliver a message of kind %r", message.kind)
        done(Reception.UNSENT)

    def _done(self, outgoing: Outgoing, route: Route, reception: Reception) -> None:
        number, now, rule = outgoing.number, self._clock.now(), route.rules[reception]
        if self._is_stopped or (number not in self._first and number not in self._later):
            return
        is_over = reception is Reception.TAKEN or rule.is_over(outgoing, now)
        if is_over and reception is not Reception.TAKEN:
            log.info("a message of kind %s is not sent again: %s", outgoing.message.kind, reception.value)
        if not is_over:
            self._again.append((number, outgoing.attempts + 1, now + rule.pause_s(outgoing.attempts)))
            self._due.set()
        elif number in self._later:
            self._ended.append(number)
        self._first.pop(number, None)
        self._later.discard(number)
        self._unmarked.set()

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
                self._log.warning("unsent messages are not read: %s", failure.message)
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
                self._log.warning("messages to be tried again are not read: %s", failure.message)
            await self._clock.sleep(LOOK_S)

    async def _send_due(self) -> None:
        await self.flush()
        found = await self._store.due(self._clock.now(), MAX_UNDER_WAY - len(self._later))
        # Of what is not written yet the ledger shows an older state: it may be taken already.
        busy = self._later.union(self._ended, (number for number, _, _ in self._again))
        due = [one for one in found if one.number not in busy]
        if not due and not self._again and not await self._store.has_due():
            self._due.clear()
        for start in range(0, len(due), SLICE):
            for outgoing in due[start : start + SLICE]:
                self._later.add(outgoing.number)
                self._send(outgoing)
            await self._clock.sleep(0)

    # ------------------------------------------------------------ marks

    async def _mark(self) -> None:
        """Write what has come of attempts, shortly after it came."""
        while True:
            await self._unmarked.wait()
            await self._clock.sleep(MARK_EVERY_S)
            await self.flush()

    def _position(self) -> int:
        """Every message up to here was tried to an end."""
        oldest = next(iter(self._first), None)
        return self._seen if oldest is None else oldest - 1

    async def flush(self) -> None:
        """Write what has come of the attempts, one write at a time. A failure loses nothing, nor does whoever waits for
        it and goes away: what was not seen to be written is written again."""
        async with self._writing:
            position, again, ended = self._position(), tuple(self._again), tuple(self._ended)
            if not again and not ended and position == self._marked:
                self._unmarked.clear()
                return
            try:
                await self._store.apply(MarkSent(position, again, ended))
            except KitestringError as failure:
                self._log.warning("what was delivered is not written yet: %s", failure.message)
                return
            self._marked = position
            del self._again[: len(again)], self._ended[: len(ended)]


def _unheeded(reception: Reception) -> None:
    if reception is not Reception.TAKEN:
        log.info("an answer that was said again, or is stored nowhere: %s", reception.value)
