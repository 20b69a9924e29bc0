"""A running service compares its clock now and then, and says once what differs."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from kitestring.app.service import clocks as module
from kitestring.app.service.clocks import LOOK_S, Clocks
from kitestring.base.clocks import ClockReading
from kitestring.base.node import NodeInfo, NodeUnreachableError
from tests.kit.app.relay import KeepingRelay, RelayDouble
from tests.kit.clock import STEPS_S, VirtualClock, virtual

RELAYS = ("wss://a.example", "wss://b.example")


class TimedNode:
    """A node that says what time it is, unless it is to fail or to be silent."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.fault: Exception | None = None
        self.is_silent = self.is_timeless = False

    async def info(self) -> NodeInfo:
        if self.fault is not None:
            raise self.fault
        if self.is_silent:
            await asyncio.sleep(86_400)
        return NodeInfo("02" * 33, "", "", "regtest", 1, "", 0 if self.is_timeless else self.clock.now())


class Surroundings:
    """A service's clock between two relays and a node, all of them right at first."""

    def __init__(self) -> None:
        self.ours, self.relay, self.node = VirtualClock(), KeepingRelay(), TimedNode()
        self.relay.clocks = {url: VirtualClock() for url in RELAYS}
        pool: Any = RelayDouble(self.relay, self.ours)
        node: Any = self.node
        self.clocks = Clocks(pool, RELAYS, node, self.ours)

    def set_relay(self, url: str, skew_s: int) -> None:
        self.relay.clocks[url] = VirtualClock(skew_s)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "kitestring")
    return caplog


@virtual
async def test_relays_and_node_are_asked_and_compared() -> None:
    around = Surroundings()
    around.node.clock.skew_s = -100
    assert await around.clocks.read() == [
        ClockReading("wss://a.example", "a.example", -1, 1),
        ClockReading("wss://b.example", "b.example", -1, 1),
        ClockReading("the node", "", 99, 101),
    ]


@virtual
async def test_a_node_that_does_not_tell_the_time_is_left_out() -> None:
    around = Surroundings()
    around.node.is_timeless = True
    assert len(await around.clocks.read()) == 2
    for fault in (NodeUnreachableError("away"), ValueError("of a kind that nobody knows")):
        around.node.fault = fault
        assert len(await around.clocks.read()) == 2


@virtual
async def test_a_node_that_is_silent_is_not_waited_for_longer_than_named() -> None:
    around = Surroundings()
    around.node.is_silent = True
    before = around.ours.monotonic()
    assert len(await around.clocks.read()) == 2
    assert around.ours.monotonic() - before == module.NODE_LIMIT_S


@pytest.mark.parametrize("step_s", [sign * step for step in STEPS_S for sign in (1, -1)])
def test_a_step_of_our_clock_is_said_once_and_so_is_its_end(said: pytest.LogCaptureFixture, step_s: int) -> None:
    @virtual
    async def run() -> None:
        around = Surroundings()
        watching = asyncio.create_task(around.clocks.watch())
        for skew_s in (0, step_s, step_s, step_s, 0, 0):
            around.ours.skew_s = skew_s
            await asyncio.sleep(LOOK_S)
        watching.cancel()

    run()
    lines = [record.getMessage() for record in said.records]
    if abs(step_s) == 1:
        assert lines == []
        return
    assert [record.levelname for record in said.records] == ["ERROR", "INFO"]
    assert "wss://a.example, wss://b.example and the node, which agree with each other: this clock is wrong" in lines[0]
    assert lines[1] == "no clock differs any more"


@virtual
async def look_often(around: Surroundings, *steps: tuple[str, int]) -> None:
    for url, skew_s in steps:
        around.set_relay(url, skew_s)
        await around.clocks.look()


def test_a_relay_that_drifts_is_said_once_as_a_warning_and_once_more_when_it_is_refused(
    said: pytest.LogCaptureFixture,
) -> None:
    look_often(Surroundings(), *(("wss://a.example", skew_s) for skew_s in (0, 10, 20, 28, 40, 50, 3_600)))
    assert [record.levelname for record in said.records] == ["WARNING", "ERROR"]
    assert all("the clock of wss://a.example is" in record.getMessage() for record in said.records)


def test_a_clock_that_was_not_heard_again_is_neither_called_right_nor_said_twice(
    said: pytest.LogCaptureFixture,
) -> None:
    @virtual
    async def run() -> None:
        around = Surroundings()
        around.set_relay("wss://a.example", 3_600)
        await around.clocks.look()
        wrong = around.relay.clocks.pop("wss://a.example")
        await around.clocks.look()
        around.relay.clocks["wss://a.example"] = wrong
        await around.clocks.look()
        around.relay.clocks.clear()
        around.node.is_timeless = True
        await around.clocks.look()

    run()
    assert [record.levelname for record in said.records] == ["ERROR"]


def test_another_relay_that_is_wrong_is_said_besides(said: pytest.LogCaptureFixture) -> None:
    look_often(Surroundings(), ("wss://a.example", 3_600), ("wss://b.example", -7_200))
    assert len(said.records) >= 2
    assert "wss://b.example" in said.records[-1].getMessage()
