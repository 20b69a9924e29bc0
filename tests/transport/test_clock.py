"""The time of this machine, in the shape that everything else is given it."""

from __future__ import annotations

import asyncio
import time

import pytest

from kitestring.transport.clock import SystemClock


def test_wall_time_is_whole_seconds_and_waiting_is_measured_by_a_clock_that_is_never_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.9)
    monkeypatch.setattr(time, "monotonic", lambda: 5.25)
    clock = SystemClock()
    assert (clock.now(), type(clock.now()), clock.monotonic()) == (1_800_000_000, int, 5.25)


async def test_a_sleep_ends_and_lets_others_go_on() -> None:
    order: list[str] = []

    async def other() -> None:
        order.append("other")

    task = asyncio.create_task(other())
    await SystemClock().sleep(0)
    order.append("slept")
    await task
    assert order == ["other", "slept"]


async def test_a_sleep_lasts_as_long_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    async def noted(seconds: float) -> None:
        asked.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", noted)
    await SystemClock().sleep(2.5)
    assert asked == [2.5]
