"""Somebody may have to decide: whoever asks is told so once, and asks again with the same event."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.client.net import Net
from kitestring.client.owner_wait import APPROVAL_AFTER_S, RESEND_AFTER_S, wait_for_owner
from tests.kit.chance import entropy
from tests.kit.clock import WalkingClock

LONG_S = 120.0


class Silent:
    """An exchange whose answer comes after so many seconds of the clock, or never."""

    def __init__(self, clock: WalkingClock, answer_s: float = float("inf")) -> None:
        self._clock, self._answer_s = clock, answer_s
        self.undelivered = self.unreadable = False
        self.sent_at: list[float] = []

    async def next(self, read: Any, wait_s: float) -> Any:
        now = self._clock.monotonic()
        if self._answer_s <= now + wait_s:
            return read("yes")
        await self._clock.sleep(max(0.0, wait_s))
        return None

    def send_again(self) -> None:
        self.sent_at.append(round(self._clock.monotonic()))


async def waited(exchange: Any, clock: WalkingClock, wait_s: float, told: list[float]) -> str | None:
    return await wait_for_owner(exchange, str.upper, wait_s, Net(clock, entropy), told.append)


async def test_an_answer_that_comes_soon_is_told_to_nobody_as_a_wait() -> None:
    clock = WalkingClock()
    told: list[float] = []
    assert await waited(Silent(clock, clock.monotonic() + 1), clock, LONG_S, told) == "YES"
    assert told == []


async def test_silence_is_told_once_with_what_is_left_and_the_same_event_goes_out_again() -> None:
    clock = WalkingClock()
    began, told = clock.monotonic(), list[float]()
    exchange = Silent(clock)
    assert await waited(exchange, clock, LONG_S, told) is None
    assert told == [pytest.approx(LONG_S - APPROVAL_AFTER_S)]
    assert [at - round(began) for at in exchange.sent_at] == list(RESEND_AFTER_S)
    assert clock.monotonic() - began == pytest.approx(LONG_S)


async def test_a_short_wait_is_no_longer_than_it_was_asked_for() -> None:
    clock = WalkingClock()
    began, told = clock.monotonic(), list[float]()
    exchange = Silent(clock)
    assert await waited(exchange, clock, 2.0, told) is None
    assert told == exchange.sent_at == []
    assert clock.monotonic() - began == pytest.approx(2.0)


@pytest.mark.parametrize("trouble", ["undelivered", "unreadable"])
async def test_where_nobody_can_answer_nobody_is_waited_for(trouble: str) -> None:
    clock = WalkingClock()
    exchange = Silent(clock)
    setattr(exchange, trouble, True)
    assert await waited(exchange, clock, LONG_S, []) is None
    assert exchange.sent_at == []
