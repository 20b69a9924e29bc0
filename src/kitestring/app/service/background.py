"""Work on its own: tasks that nobody waits for, kept until they end, and heard when they break off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from kitestring.base.ports import Clock

log = logging.getLogger(__name__)

#: Seconds until work that must never end, and broke off, is begun anew.
AGAIN_S: Final = 1.0


class Background:
    """The tasks of one part of the service. An error that ends one of them is logged with its traceback."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` on its own: nobody who waits for it can cancel it by going away."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def keep(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work`` for ever: when it breaks off it is begun anew after :data:`AGAIN_S`."""
        self.spawn(self._again_and_again(work))

    async def cancel(self) -> None:
        """Cancel all and wait until they are gone."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _again_and_again(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception:
                log.exception("work that never ends broke off; it is begun anew")
            await self._clock.sleep(AGAIN_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work on its own broke off", exc_info=error)
