"""Stored answers go out until a relay has said OK; the outbox in the ledger is what lasts, this is its hands.

Relays refuse ephemeral events that are older than a minute, so an answer that could not be sent for a while is signed
again with a fresh time; its content never changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from kitestring.base.errors import KitestringError
from kitestring.base.ports import Clock, Encoded
from kitestring.base.records import Message
from kitestring.base.store import Store
from kitestring.base.transactions import MarkPublished
from kitestring.nostr.event import read_head
from kitestring.transport.publications import PublishResult
from kitestring.transport.relays import RelayPool

log = logging.getLogger("kitestring.publisher")

#: An answer older than this is signed again before it is sent (relays refuse what is older than 60 s).
RESIGN_AFTER_S: Final = 45
#: Waits between attempts for one answer; after the last one once a minute while the service runs.
RETRY_S: Final = (1, 2, 5, 10, 30, 60)
#: Published marks are written together: a lost mark only means that an answer is published twice.
MARK_EVERY_S: Final = 0.25
MAX_MARKS: Final = 500
#: Answers being retried at once (about 2 kB each); more wait in the ledger until half of these have left.
MAX_RETRYING: Final = 5_000
#: As many of those are signed again in one go (about 20 ms); what comes in has its turn in between.
REFILL_SLICE: Final = 32

Resign = Callable[[Message, int], Message]


class Publisher:
    """Publishes through one pool. ``resign(message, now)`` makes the same answer with a fresh time."""

    def __init__(self, pool: RelayPool, store: Store, clock: Clock, resign: Resign) -> None:
        self._pool = pool
        self._store = store
        self._clock = clock
        self._resign = resign
        self._marks: list[tuple[str, str]] = []
        self._sending: set[tuple[str, str]] = set()
        self._retries: set[asyncio.Task[None]] = set()
        self._marker: asyncio.Task[None] | None = None
        self._left_behind = False
        self._refilling: asyncio.Task[None] | None = None
        self._waiting: dict[str, list[asyncio.Future[Message]]] = {}

    # ------------------------------------------------------------ in

    def deliver(self, messages: tuple[Message, ...]) -> None:
        """Called right after the commit; never blocks."""
        for message in messages:
            for future in self._waiting.pop(message.request_id, ()):
                if not future.done():
                    future.set_result(message)
            if message.event:
                self._send(message, 0)

    @contextmanager
    def expecting(self, request_id: str) -> Iterator[asyncio.Future[Message]]:
        """The next answer to ``request_id``, from the very call on: a stored one may come before the first await."""
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request_id, []).append(future)
        try:
            yield future
        finally:
            left = [other for other in self._waiting.pop(request_id, ()) if other is not future]
            if left:
                self._waiting[request_id] = left

    # ------------------------------------------------------------ out

    def _send(self, message: Message, attempt: int) -> None:
        key = (message.request_id, message.part)
        if attempt == 0 and key in self._sending:
            return
        now = self._clock.now()
        if now - message.signed_at > RESIGN_AFTER_S:
            message = self._resign(message, now)
        self._sending.add(key)
        event = read_head(message.event)
        self._pool.send(event.id, event.pubkey, message.event, lambda result: self._done(message, attempt, result))

    def _done(self, message: Message, attempt: int, result: PublishResult) -> None:
        key = (message.request_id, message.part)
        if result.accepted:
            self._sending.discard(key)
            self._mark(key)
            if self._left_behind and len(self._sending) <= MAX_RETRYING // 2:
                self._left_behind = False
                self._refilling = asyncio.get_running_loop().create_task(self._refill())
        elif len(self._retries) < MAX_RETRYING:
            task = asyncio.get_running_loop().create_task(self._retry(message, attempt + 1))
            self._retries.add(task)
            task.add_done_callback(self._retries.discard)
        else:
            self._sending.discard(key)
            self._left_behind = True
            log.warning("too many unsent answers: %s waits in the ledger", message.request_id[:16])

    async def _refill(self) -> None:
        """Take from the ledger what was left behind while no relay took anything."""
        while self._marks:
            await self.flush()
        waiting = await self._store.unpublished(MAX_RETRYING)
        self._left_behind = len(waiting) == MAX_RETRYING
        for start in range(0, len(waiting), REFILL_SLICE):
            self.deliver(tuple(waiting[start : start + REFILL_SLICE]))
            await self._clock.sleep(0)

    def send_once(self, answer: Encoded) -> None:
        """An answer that is not stored: the pool's own retries are all it gets, and who misses it asks again."""
        event = read_head(answer.event)
        self._pool.send(event.id, event.pubkey, answer.event, _unheeded)

    async def _retry(self, message: Message, attempt: int) -> None:
        await self._clock.sleep(RETRY_S[min(attempt, len(RETRY_S)) - 1])
        self._send(message, attempt)

    # ------------------------------------------------------------ marks

    def _mark(self, key: tuple[str, str]) -> None:
        self._marks.append(key)
        if self._marker is None or self._marker.done():
            self._marker = asyncio.get_running_loop().create_task(self._write_marks())

    async def _write_marks(self) -> None:
        while self._marks:
            await self._clock.sleep(MARK_EVERY_S)
            await self.flush()

    async def flush(self) -> None:
        """Write the marks that wait. A failure loses nothing: the answers are published once more later."""
        keys, self._marks = self._marks[:MAX_MARKS], self._marks[MAX_MARKS:]
        if not keys:
            return
        try:
            await self._store.apply(MarkPublished(tuple(keys), self._clock.now()))
        except KitestringError as failure:
            log.warning("published marks are not written: %s", failure.message)

    async def drain(self, grace_s: float) -> None:
        """Give what is being sent ``grace_s`` seconds to be taken, then stop. The rest is in the ledger."""
        until = self._clock.monotonic() + grace_s
        while self._sending and self._clock.monotonic() < until and self._pool.connected_urls():
            await self._clock.sleep(0.05)
        for task in (*self._retries, self._marker, self._refilling):
            if task is not None:
                task.cancel()
        await asyncio.gather(*self._retries, return_exceptions=True)
        while self._marks:
            await self.flush()


def _unheeded(result: PublishResult) -> None:
    if not result.accepted:
        log.info("an answer was taken by no relay")
