"""Work on its own: tasks that nobody waits for, kept until they end, and heard when they break off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from kitestring.app.service.seldom import Seldom
from kitestring.base.ports import Clock

log = logging.getLogger(__name__)

#: Seconds until work that must never end, and broke off, is begun anew.
AGAIN_S: Final = 1.0


class Background:
    """The tasks of one part of the service. An error that ends one of them is logged with its traceback."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_over = False

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` on its own: nobody who waits for it can cancel it by going away. Raises RuntimeError after
        :meth:`cancel`, for nobody would end it."""
        if self._is_over:
            work.close()
            raise RuntimeError("this part of the service has stopped: it begins no work any more")
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def keep(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work`` forever: when it breaks off it is begun anew after :data:`AGAIN_S`."""
        self.spawn(self._again_and_again(work))

    async def cancel(self) -> None:
        """Cancel all and wait until they are gone; nothing is begun afterwards."""
        self._is_over = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _again_and_again(self, work: Callable[[], Awaitable[None]]) -> None:
        lines = Seldom(log, self._clock)
        while True:
            try:
                await work()
            except Exception:  # noqa: BLE001 - not hidden: it is logged
                lines.exception("work that never ends broke off; it is begun anew")
            await self._clock.sleep(AGAIN_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work on its own broke off", exc_info=error)
