"""The delay of the event loop with what is due: everything that this process does waits as long."""

from __future__ import annotations

import asyncio
from typing import Final

#: Seconds from one look to the next, while somebody asks. Without anybody there is no look, and no wake-up.
LOOK_EVERY_S: Final = 0.02


class Lag:
    """Ask :meth:`late_s` at every use."""

    __slots__ = ("_due", "_late_s")

    def __init__(self) -> None:
        self._due = 0.0
        self._late_s = 0.0

    def late_s(self) -> float:
        """Seconds by which a timer of this moment is late, or the one before it was."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self._due:
            self._due = now + LOOK_EVERY_S
            loop.call_at(self._due, self._look)
        return max(self._late_s, now - self._due)

    def _look(self) -> None:
        self._late_s = asyncio.get_running_loop().time() - self._due
        self._due = 0.0
