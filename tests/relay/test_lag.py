from __future__ import annotations

import asyncio
import time

from kitestring.relay.lag import LOOK_EVERY_S, Lag
from tests.kit.waiting import until


async def test_a_loop_that_was_held_up_is_late_until_the_next_look() -> None:
    lag = Lag()
    assert lag.late_s() < LOOK_EVERY_S
    time.sleep(LOOK_EVERY_S + 0.1)  # noqa: ASYNC251 - this is what makes a loop late
    assert lag.late_s() >= 0.1
    await until(lambda: not lag._due)
    assert lag.late_s() >= 0.1
    await until(lambda: lag.late_s() < 0.05)


async def test_without_anybody_who_asks_there_is_no_timer() -> None:
    lag = Lag()
    lag.late_s()
    await until(lambda: not lag._due)
    await asyncio.sleep(2 * LOOK_EVERY_S)
    assert not lag._due
