"""``kitestring doctor`` names what could make money leave twice, or keep it from moving: a restored ledger, a copy that
is alive, another node, a clock that differs. Each is brought about for a real service, and its lines are read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kitestring.app.doctor import judge
from kitestring.base.node import FindingState
from tests.kit.app.house import House, Service
from tests.kit.clock import STEPS_S, VirtualClock, virtual
from tests.kit.engine.hostile import FIRST
from tests.sim.findings.critical import bill, ready

RELAYS = ("wss://a.example", "wss://b.example")
OTHER = "03" + "cd" * 32


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


async def lines(service: Service) -> dict[str, tuple[str, str]]:
    """What does not hold, by the name of the check; of each name the last line."""
    found = judge(await service.command("doctor"))
    return {one.name: (one.state.value, one.sentence) for one in found if one.state is not FindingState.OK}


@asynccontextmanager
async def between(tmp_path: Path) -> AsyncIterator[tuple[House, Service]]:
    """A service between two relays of others and a node; all clocks are right."""
    house = House(tmp_path, relays=RELAYS)
    house.relay.clocks = {url: VirtualClock() for url in RELAYS}
    async with house.service() as service:
        await ready(service)
        yield house, service


def played(tmp_path: Path, story: Callable[[House, Service], Awaitable[None]]) -> None:
    @virtual
    async def play() -> None:
        async with between(tmp_path) as (house, service):
            await story(house, service)

    play()


def test_of_a_service_that_is_well_nothing_is_said(tmp_path: Path) -> None:
    async def story(_: House, service: Service) -> None:
        assert await lines(service) == {}
        facts = await service.command("doctor")
        (clock,) = (one for one in judge(facts) if one.name == "clock")
        assert clock.sentence == "agrees with wss://a.example, wss://b.example and the node to 1 s"

    played(tmp_path, story)


# ------------------------------------------------------------ restored, copied, exchanged


def test_a_ledger_that_was_put_back_is_named_with_the_way_out(tmp_path: Path) -> None:
    @virtual
    async def play() -> None:
        async with between(tmp_path) as (house, service):
            old = house.copy()
            app = house.apps["app"]
            assert await app.answer(app.pay(bill(house)[0])) == "ok"
            await house.clocks.service.sleep(10)  # the marker follows
            marker = {name: data for name, data in house.copy().items() if name.endswith(".marker")}
        house.restore({**old, **marker})
        async with house.service() as service:
            state, sentence = (await lines(service))["ledger"]
        assert state == "fail"
        assert sentence.startswith("spending is stopped: the ledger is older than its marker: at least ")
        assert (
            "; run `kitestring audit --node`, which allows it again if it finds nothing, or decide with `kitestring"
            in sentence
        )

    play()


def test_a_copy_that_is_alive_is_named_on_both_sides_with_the_way_out(tmp_path: Path) -> None:
    async def story(house: House, service: Service) -> None:
        twin = house.twin(house.copy())
        async with twin.service() as second:
            await house.clocks.service.sleep(300)
            for one in (service, second):
                state, sentence = (await lines(one))["copy"]
                assert state == "fail"
                assert sentence.startswith("spending is stopped: another service with this key is running (instance ")
                end = '; end the other service, then run `kitestring allow-spending --note "WHY YOU ARE SURE"`'
                assert sentence.endswith(end)

    played(tmp_path, story)


def test_another_node_is_named_with_both_ids_and_the_way_out(tmp_path: Path) -> None:
    async def story(house: House, service: Service) -> None:
        house.node.exchange(OTHER)
        await house.clocks.service.sleep(120)
        why = (
            f"another node ({OTHER[:16]}…) answers at the address of {FIRST[:16]}…, on which these books stand: put"
            " that one back, or restart kitestring to stand on the other"
        )
        found = judge(await service.command("doctor"))
        assert [one.sentence for one in found if one.name == "node"] == [
            f"not reachable: {why}",
            f"spending is stopped: {why}; then it goes by itself",
        ]

    played(tmp_path, story)


# ------------------------------------------------------------ a clock that differs

STEPS = [sign * step for step in STEPS_S for sign in (1, -1)]


@pytest.mark.parametrize("step_s", STEPS)
def test_our_own_clock_that_was_set_is_called_wrong(tmp_path: Path, step_s: int) -> None:
    async def story(house: House, service: Service) -> None:
        house.clocks.step("service", step_s)
        found = await lines(service)
        if abs(step_s) == 1:
            assert found == {}
            return
        state, sentence = found["clock"]
        assert state == "fail"
        assert sentence.startswith("this clock is ")
        way = "ahead of" if step_s > 0 else "behind"
        assert (
            f" {way} wss://a.example, wss://b.example and the node, which agree with each other: this clock" in sentence
        )
        assert "timedatectl" in sentence

    played(tmp_path, story)


@pytest.mark.parametrize("step_s", STEPS)
def test_the_nodes_clock_that_was_set_is_called_wrong(tmp_path: Path, step_s: int) -> None:
    async def story(house: House, service: Service) -> None:
        house.clocks.step("node", step_s)
        found = await lines(service)
        if abs(step_s) == 1:
            assert found == {}
            return
        state, sentence = found["clock"]
        assert (state, sentence.startswith("the clock of the node is ")) == ("fail", True)
        assert (
            "this clock, wss://a.example and wss://b.example, which agree with each other: it is wrong there"
            in sentence
        )

    played(tmp_path, story)


@pytest.mark.parametrize("step_s", STEPS)
def test_a_relays_clock_that_differs_is_called_wrong(tmp_path: Path, step_s: int) -> None:
    async def story(house: House, service: Service) -> None:
        house.relay.clocks["wss://b.example"] = VirtualClock(step_s)
        found = await lines(service)
        if abs(step_s) == 1:
            assert found == {}
            return
        state, sentence = found["clock"]
        assert (state, sentence.startswith("the clock of wss://b.example is ")) == ("fail", True)
        assert "this clock, wss://a.example and the node, which agree with each other: it is wrong there" in sentence

    played(tmp_path, story)
