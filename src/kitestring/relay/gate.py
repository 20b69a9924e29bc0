"""The gate of the strangers: what all of them together may ask for, one address after the other. Nobody who is known
waits for them.

Their keys cost them nothing and their connections little, so nothing is counted for each of them here: whatever comes
from somebody unknown passes one bucket. Where the event loop is late, the gate is shut but for a trickle.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import Final

from kitestring.base.ports import Clock
from kitestring.relay.bucket import Bucket, Paces
from kitestring.relay.lag import LOOK_EVERY_S, Lag
from kitestring.relay.limits import AUTHOR_FACTOR, TURN_WAIT_S, RelayLimits


class Gate:
    """``turn`` is awaited before each piece of work for a stranger; ``charge`` takes what it costs besides."""

    def __init__(self, limits: RelayLimits, clock: Clock) -> None:
        self._clock: Final = clock
        self._max_lag_s: Final = limits.max_lag_s
        self._bucket: Final = Bucket(limits.max_strangers_per_s, limits.max_strangers_burst, clock)
        self._lag: Final = Lag()
        #: What each author may publish, over whatever connections.
        self.paces: Final = Paces(
            AUTHOR_FACTOR * limits.max_events_per_s, AUTHOR_FACTOR * limits.max_events_burst, clock
        )
        self._waiting: Final[dict[str, deque[asyncio.Future[None]]]] = {}
        self._porter: asyncio.Task[None] | None = None

    def charge(self, cost: float) -> None:
        self._bucket.charge(cost)

    async def turn(self, place: str, cost: float) -> bool:
        """Wait for a turn of this address; False when it has not come within :data:`TURN_WAIT_S`."""
        if not self._waiting and not self._is_late() and not self._bucket.wait_s():
            self._bucket.charge(cost)
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(place, deque()).append(turn)
        if self._porter is None:
            self._porter = asyncio.create_task(self._let_in(), name="the strangers' gate")
        try:
            async with asyncio.timeout(TURN_WAIT_S):
                await turn
        except TimeoutError:
            return False
        self._bucket.charge(cost)
        return True

    def _is_late(self) -> bool:
        return self._max_lag_s < math.inf and self._lag.late_s() > self._max_lag_s

    async def _let_in(self) -> None:
        """One after the other for as long as anybody waits. After each, all others of this process have their turn."""
        while self._waiting:
            if self._is_late():
                await asyncio.sleep(LOOK_EVERY_S)
            elif wait_s := self._bucket.wait_s():
                await self._clock.sleep(wait_s)
                continue
            self._next()
            await asyncio.sleep(0)
        self._porter = None

    def _next(self) -> None:
        """Let one in of the address whose turn it is; it is the last one then. Who has given up is passed over."""
        place, turns = next(iter(self._waiting.items()), ("", deque()))
        while turns:
            turn = turns.popleft()
            if not turn.done():
                turn.set_result(None)
                break
        self._waiting.pop(place, None)
        if turns:
            self._waiting[place] = turns

    async def close(self) -> None:
        """Nobody is let in any more."""
        if self._porter is not None:
            self._porter.cancel()
            await asyncio.gather(self._porter, return_exceptions=True)
