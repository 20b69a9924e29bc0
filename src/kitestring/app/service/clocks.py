"""The clocks around a running service: those of its relays and of its node, compared with ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Final

from kitestring.app.service.clock_words import NODE, doubts
from kitestring.base.clocks import OURS, ClockReading, compare, reading
from kitestring.base.node import Backend, FindingState
from kitestring.base.ports import Clock
from kitestring.transport.relays import RelayPool

log = logging.getLogger("kitestring")

#: How often a running service compares its clock. A request to each relay and one to the node.
LOOK_S: Final = 600.0
#: Seconds that the node gets to say what time it is.
NODE_LIMIT_S: Final = 8.0


class Clocks:
    """``relays`` are those of others: the embedded one shows our own clock."""

    def __init__(self, pool: RelayPool, relays: Collection[str], backend: Backend, clock: Clock) -> None:
        self._pool = pool
        self._relays = relays
        self._backend = backend
        self._clock = clock
        self._said: set[tuple[str, FindingState]] = set()

    async def read(self) -> list[ClockReading]:
        """Ask everybody now, all at once, for some seconds; who does not tell the time is left out."""
        relays, node = await asyncio.gather(self._pool.read_clocks(self._relays), self._read_node())
        return [*relays, *node]

    async def _read_node(self) -> list[ClockReading]:
        before = self._clock.now()
        try:
            async with asyncio.timeout(NODE_LIMIT_S):
                told_at = (await self._backend.info()).told_at
        except Exception:  # noqa: BLE001 - why the node does not answer is told elsewhere, whatever its backend raises
            return []
        return [reading(NODE, "", told_at, before, self._clock.now())] if told_at else []

    async def watch(self) -> None:
        """Forever."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_S)

    async def look(self) -> None:
        """Say in the log which clocks have come to differ, each once, and that none does any more."""
        readings = await self.read()
        found = list(doubts(compare(readings)))
        for doubt in found:
            if (doubt.about, doubt.state) not in self._said:
                log.log(_LEVELS[doubt.state], "%s", doubt.sentence)
        heard = {one.whose for one in readings} | ({OURS.whose} if readings else set())
        left = {(about, state) for about, state in self._said if about not in heard}  # nobody has said that it is right
        left |= {(doubt.about, doubt.state) for doubt in found}
        if self._said and not left:
            log.info("no clock differs any more")
        self._said = left


_LEVELS: Final = {FindingState.WARN: logging.WARNING, FindingState.FAIL: logging.ERROR}
