"""The real clock; tests and the simulator have their own."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """Wall time in Unix seconds, and the monotonic clock for waiting."""

    def now(self) -> int:
        return int(time.time())

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
