"""Waiting for a condition: it ends when the condition holds, or at its limit, and leaves nothing behind."""

from __future__ import annotations

import asyncio

from kitestring.transport.changes import Changes
from tests.kit.clock import ManualClock
from tests.kit.transport.relays import within


class Pot:
    """Something whose state callbacks change."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.changes = Changes(self.clock)
        self.full = False

    def until_full(self, timeout_s: float = 10) -> asyncio.Task[bool]:
        return asyncio.create_task(self.changes.until(lambda: self.full, timeout_s))

    def fill(self) -> None:
        self.full = True
        self.changes.notify()


async def test_what_holds_already_is_not_waited_for() -> None:
    pot = Pot()
    pot.full = True
    assert await pot.until_full()
    assert pot.clock.sleeps == []


async def test_all_who_wait_go_on_when_it_comes_to_hold() -> None:
    pot = Pot()
    waiting = [pot.until_full() for _ in range(3)]
    await pot.clock.asleep(10, 10)
    pot.fill()
    assert await within(asyncio.gather(*waiting)) == [True] * 3
    assert not pot.changes._waiting


async def test_a_change_that_is_not_the_one_ends_no_wait() -> None:
    pot = Pot()
    waiting = pot.until_full()
    await pot.clock.asleep(10, 10)
    for _ in range(3):
        pot.changes.notify()
        await asyncio.sleep(0)
    assert not waiting.done()
    pot.fill()
    assert await within(waiting)


async def test_at_the_limit_it_is_said_whether_it_holds_even_if_nobody_said_that_it_changed() -> None:
    for becomes in (False, True):
        pot = Pot()
        waiting = pot.until_full(5)
        await pot.clock.asleep(5, 5)
        pot.full = becomes
        pot.clock.advance(5)
        assert await within(waiting) is becomes
        assert not pot.changes._waiting


async def test_who_gives_up_leaves_nothing_behind() -> None:
    pot = Pot()
    waiting = pot.until_full()
    await pot.clock.asleep(10, 10)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not pot.changes._waiting
    assert not pot.clock._sleepers
    pot.fill()
