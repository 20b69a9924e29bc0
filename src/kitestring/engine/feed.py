"""Consumers of the feed: each reads what became true by number and keeps its own position, over crashes.

A named consumer resumes where its last step ended; a reader of a person begins where it is told to and leaves
no trace. Between two reads nothing is held in memory: what a slow consumer has not read waits in the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Self

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import EventKind, FeedEvent, Missed
from kitestring.base.ports import Clock
from kitestring.base.records import Message
from kitestring.base.store import Store
from kitestring.base.transactions.feed import Committed, Tell

#: Rows read in one go: about a millisecond.
PAGE: Final = 200
#: Seconds after which a position that moved over events of no interest is stored all the same, so that a restart does
#: not read them all again.
IDLE_MOVE_S: Final = 60
EVERY_KIND: Final = frozenset(EventKind)
#: Whether something may follow from an event. Where nothing can, it is passed over like those of other kinds.
Concerns = Callable[[FeedEvent], bool]


def always(_: FeedEvent) -> bool:
    return True


class Feed:
    """The consumers of one service."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._open: dict[str, Consumer] = {}
        self._readers: set[Consumer] = set()
        store.subscribe(self._hear)

    async def consumer(
        self, name: str, kinds: Iterable[EventKind] = EVERY_KIND, concerns: Concerns = always
    ) -> Consumer:
        """Open the consumer of that name; one that never was begins with the oldest event there is. ``concerns`` is
        asked about events of its kinds as they become true, and must be quick.

        Raises KitestringError(ALREADY_USED) while another one of this name is open.
        """
        if name in self._open:
            raise KitestringError(Reason.ALREADY_USED, f"the feed has a consumer {name!r} already: close it first")
        consumer = Consumer(self._store, self._clock, name, frozenset(kinds), self._closed, concerns)
        self._open[name] = consumer
        try:
            consumer.begin(await self._store.position(name) or 0)
        except BaseException:
            consumer.close()
            raise
        return consumer

    async def reader(self, after: int | None = None, kinds: Iterable[EventKind] = EVERY_KIND) -> Consumer:
        """Open a consumer that stores nothing. ``after`` None begins with what becomes true from now on."""
        reader = Consumer(self._store, self._clock, "", frozenset(kinds), self._closed)
        self._readers.add(reader)
        reader.begin(await self._store.last_event() if after is None else after)
        return reader

    def _hear(self, news: Committed) -> None:
        if news.events:
            for consumer in (*self._open.values(), *self._readers):
                consumer.hear(news.events)

    def _closed(self, consumer: Consumer) -> None:
        self._readers.discard(consumer)
        if self._open.get(consumer.name) is consumer:
            del self._open[consumer.name]


class Consumer:
    """Reads with :meth:`read`, then says with :meth:`done` what follows from it. Also a context manager."""

    def __init__(
        self, store: Store, clock: Clock, name: str, kinds: frozenset[EventKind], closed: Callable[[Consumer], None],
        concerns: Concerns = always,
    ) -> None:  # fmt: skip
        self.name: Final = name
        self._store = store
        self._clock = clock
        self._kinds = kinds
        self._closed = closed
        self._concerns = concerns
        self._position = 0  # read so far
        self._is_reading = False
        self._stored = 0
        self._moved_at_s = clock.monotonic()
        self._news = asyncio.Event()

    def begin(self, position: int) -> None:
        self._position = self._stored = position
        self._news.set()

    def close(self) -> None:
        self._closed(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def position(self) -> int:
        """The number of the last event that was read or passed over."""
        return self._position

    def hear(self, events: tuple[FeedEvent, ...]) -> None:
        """Told by the feed of each commit. Events of no interest are passed over without reading them; once in a while
        they are read all the same, so that how far this has come is stored. While a page is on its way, nobody knows
        yet what it will say: then all of its kinds are read."""
        if self._news.is_set():
            return
        wanted = (event for event in events if event.kind in self._kinds)
        if any(self._is_reading or self._concerns(event) for event in wanted) or self._moves_idly():
            self._news.set()
        else:
            self._position = events[-1].number

    async def read(self) -> list[FeedEvent | Missed]:
        """The next events of its kinds, at least one; waits for it. First a Missed where older ones are forgotten.
        Raises KitestringError(INTERNAL) when the ledger cannot be read."""
        while True:
            await self._news.wait()
            self._news.clear()
            self._is_reading = True
            try:
                page = await self._store.events(self._position, PAGE)
            except BaseException:
                self._news.set()  # the next reading looks again, and does not wait for news that may never come
                raise
            finally:
                self._is_reading = False
            if len(page) >= PAGE:
                self._news.set()
            if page:
                self._position = page[-1].number
            found = [row for row in page if isinstance(row, Missed) or row.kind in self._kinds]
            if found:
                return found
            await self._move_idly()

    async def done(self, messages: Iterable[Message] = ()) -> None:
        """Everything that was read is handled: store the position, and in the same commit what must be told of it."""
        told = tuple(messages)
        if self.name and (told or self._position != self._stored):
            await self._store.apply(Tell(self.name, self._position, self._clock.now(), told))
            self._stored, self._moved_at_s = self._position, self._clock.monotonic()

    async def _move_idly(self) -> None:
        if self._moves_idly():
            await self.done()

    def _moves_idly(self) -> bool:
        return bool(self.name) and self._clock.monotonic() - self._moved_at_s >= IDLE_MOVE_S
