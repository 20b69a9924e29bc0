from __future__ import annotations

import asyncio

import pytest

from kitestring.relay import gate as module
from kitestring.relay import lag
from kitestring.relay.gate import Gate
from kitestring.relay.limits import RelayLimits
from tests.kit.clock import ManualClock
from tests.kit.waiting import until

SMALL = RelayLimits(max_strangers_per_s=10, max_strangers_burst=2, max_lag_s=0.05)


class Crowd:
    """Strangers at the gate, and the order in which they were let in."""

    def __init__(self, limits: RelayLimits = SMALL) -> None:
        self.clock = ManualClock()
        self.gate = Gate(limits, self.clock)
        self.let_in: list[str] = []
        self._tasks: list[asyncio.Task[bool]] = []

    async def come(self, *places: str, cost: float = 1) -> None:
        for place in places:
            self._tasks.append(asyncio.create_task(self._turn(place, cost)))
            await asyncio.sleep(0)

    async def _turn(self, place: str, cost: float) -> bool:
        has_turn = await self.gate.turn(place, cost)
        self.let_in.append(place if has_turn else f"not {place}")
        return has_turn

    async def later(self, seconds: float) -> None:
        """Let so much time pass."""
        for _ in range(round(seconds / 0.05)):
            self.clock.advance(0.05)
            for _ in range(5):
                await asyncio.sleep(0)

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.gate.close()


@pytest.fixture
async def crowd() -> Crowd:
    return Crowd()


async def test_a_burst_passes_at_once_and_then_the_addresses_have_their_turns_one_after_the_other(crowd: Crowd) -> None:
    await crowd.come("a", "a")
    assert crowd.let_in == ["a", "a"]
    await crowd.come("a", "a", "a", "a", "b", "c")
    assert len(crowd.let_in) == 2
    await crowd.later(0.45)
    assert crowd.let_in[2:] == ["a", "b", "c", "a"]
    await crowd.leave()


async def test_what_one_turn_has_cost_all_strangers_have_paid(crowd: Crowd) -> None:
    await crowd.come("a")
    crowd.gate.charge(20)
    await crowd.come("b")
    await crowd.later(1.9)
    assert crowd.let_in == ["a"]
    await crowd.later(0.2)
    assert crowd.let_in == ["a", "b"]
    await crowd.leave()


async def test_who_waits_too_long_is_told_to_come_again(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURN_WAIT_S", 0.02)
    await crowd.come("a", "a", "b")
    await until(lambda: len(crowd.let_in) >= 3)
    assert crowd.let_in == ["a", "a", "not b"]
    await crowd.leave()


async def test_while_the_loop_is_late_strangers_come_in_one_by_one(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = [1.0]
    monkeypatch.setattr(lag.Lag, "late_s", lambda _: late[0])
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.05)
    await crowd.come("a", "a", "a")
    assert crowd.let_in == []
    await until(lambda: bool(crowd.let_in))
    assert crowd.let_in == ["a"]
    late[0] = 0.0
    await until(lambda: len(crowd.let_in) >= 2)
    await crowd.leave()
