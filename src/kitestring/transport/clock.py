"""The time of this machine."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """The :class:`kitestring.base.ports.Clock` of every run outside of tests."""

    def now(self) -> int:
        return int(time.time())

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
