"""Waiting for a condition over state that callbacks change, with a time limit on an injected clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kitestring.base.ports import Clock


class Changes:
    """A bell for changes of some state: its changer calls :meth:`notify`, and :meth:`until` looks again each time."""

    __slots__ = ("_clock", "_waiting")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: set[asyncio.Event] = set()

    def notify(self) -> None:
        for event in self._waiting:
            event.set()

    async def until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Whether the condition came to hold within ``timeout_s`` seconds."""
        if holds():
            return True
        changed = asyncio.Event()
        self._waiting.add(changed)
        limit = asyncio.ensure_future(self._clock.sleep(timeout_s))
        limit.add_done_callback(lambda _: changed.set())
        try:
            while not holds():
                if limit.done():
                    return False
                changed.clear()
                await changed.wait()
            return True
        finally:
            self._waiting.discard(changed)
            limit.cancel()
            await asyncio.gather(limit, return_exceptions=True)
