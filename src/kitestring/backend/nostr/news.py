"""News of invoices that are followed: what the wallet says unasked wakes whoever waits, who then asks for its record.

A notification ends nothing and begins nothing here: it may be late, or a relay's old copy. It saves the pause before
the next look-up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from kitestring.base.ports import Clock
from kitestring.client.nwc.listening import Listening
from kitestring.transport.changes import Changes

#: Seconds within which a relay should tell what comes; one that comes later is heard, too.
OPEN_S: Final = 5.0
#: Seconds for which a wallet may be silent before everybody looks at its record all the same.
SILENCE_S: Final = 600.0


class Follower:
    """Somebody who waits for news of an invoice."""

    def __init__(self, payment_hash: str, changes: Changes) -> None:
        self.payment_hash: Final = payment_hash
        self._changes: Final = changes
        self.is_told = False

    def tell(self) -> None:
        self.is_told = True
        self._changes.notify()

    def forget(self) -> None:
        """Forget what was told before: the look-up that begins now knows it."""
        self.is_told = False

    async def told(self, limit_s: float) -> None:
        """Wait until something is told after :meth:`forget`, ``limit_s`` seconds at most."""
        await self._changes.until(lambda: self.is_told, limit_s)


class InvoiceNews:
    """Of one wallet. It listens from the first one who waits on, until :meth:`close`."""

    def __init__(self, clock: Clock) -> None:
        self._changes: Final = Changes(clock)
        self._waiting: Final[set[Follower]] = set()
        self._hearing: asyncio.Task[None] | None = None

    @contextmanager
    def of(self, payment_hash: str) -> Iterator[Follower]:
        """Be told of this invoice."""
        one = Follower(payment_hash, self._changes)
        self._waiting.add(one)
        try:
            yield one
        finally:
            self._waiting.discard(one)

    def listen(self, listening: Callable[[], Listening]) -> None:
        """Hear by a ``listening``, which is not open yet, where nothing is heard so far."""
        if self._hearing is None:
            self._hearing = asyncio.create_task(self._hear(listening()))

    async def close(self) -> None:
        """Stop listening. What listens next, does so anew."""
        hearing, self._hearing = self._hearing, None
        if hearing is not None:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    async def _hear(self, listening: Listening) -> None:
        """Hear until it is closed. Of what may have been missed everybody is told: nobody knows whose news it was."""
        try:
            await listening.open(OPEN_S)
            while True:
                listening.has_missed = False
                self._tell("")
                while (news := await listening.next(SILENCE_S)) is not None:
                    self._tell(news.transaction.payment_hash)
        finally:
            await listening.close()

    def _tell(self, payment_hash: str) -> None:
        for one in self._waiting:
            if payment_hash in {"", one.payment_hash}:
                one.tell()
