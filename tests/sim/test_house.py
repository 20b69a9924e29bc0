"""The harness itself: a real service in virtual time, killed, copied and doubled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.app.house import House, refused_to_start
from tests.kit.clock import virtual
from tests.kit.engine.crossings import Crossings
from tests.kit.engine.hostile import FIRST
from tests.kit.engine.node import Script
from tests.sim.findings.critical import AMOUNT, FUNDED, HOUR_S, bill, ready


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


def test_nothing_of_a_killed_service_goes_on(tmp_path: Path) -> None:
    @virtual
    async def story() -> None:
        house = House(tmp_path)
        text, payment_hash = bill(house, Script(settles_after_s=None))
        async with house.service() as service:
            (await ready(service)).pay(text)
            await house.clocks.service.sleep(5)
        assert house.node.sends == [payment_hash]
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    story()


def test_a_copy_that_was_taken_while_it_ran_is_the_ledger_of_that_moment(tmp_path: Path) -> None:
    @virtual
    async def story() -> None:
        house = House(tmp_path)
        (first, _), (second, _) = bill(house), bill(house)
        async with house.service() as service:
            app = await ready(service)
            assert await app.answer(app.pay(first)) == "ok"
            files = house.copy()
            before = await service.available("purse")
            assert await app.answer(app.pay(second)) == "ok"
            assert await service.available("purse") == before - AMOUNT - 1_000
        house.relay.restore([])  # or the second one is shown again
        house.restore(files)
        async with house.service() as service:
            assert await service.available("purse") == before < FUNDED
        assert house.violations() == []
        assert any("does not know" in line for line in await house.differences())

    story()


def test_a_twin_lives_beside_its_original(tmp_path: Path) -> None:
    @virtual
    async def story() -> None:
        house = House(tmp_path)
        async with house.service() as service:
            await ready(service)
        twin = house.twin(house.copy())
        async with house.service() as one, twin.service() as two:
            assert one.core.desk.service_id == two.core.desk.service_id
            assert one.core.store is not two.core.store

    story()


def test_it_is_killed_where_it_was_asked_to_be(tmp_path: Path) -> None:
    @virtual
    async def story() -> None:
        house = House(tmp_path)
        async with house.service() as service:
            app = await ready(service)
        async with house.service(Crossings(at="after ClaimPayment")) as service:
            app.pay(bill(house)[0])
            await service.crossings.killed.wait()
        assert house.node.sends == []
        assert service.crossings.labels[-1] == "after ClaimPayment"

    story()


def test_the_three_clocks_are_set_apart(tmp_path: Path) -> None:
    @virtual
    async def story() -> None:
        clocks = House(tmp_path).clocks
        clocks.step("node", HOUR_S)
        clocks.step("app", -1)
        assert clocks.node.now() - clocks.service.now() == HOUR_S
        assert clocks.app.now() - clocks.service.now() == -1
        clocks.right()
        assert clocks.app.now() == clocks.node.now() == clocks.service.now()

    story()


def test_a_node_forgets_is_restored_and_exchanged_but_not_what_it_has_paid(tmp_path: Path) -> None:
    @virtual
    async def story() -> None:
        house = House(tmp_path)
        text, payment_hash = bill(house)
        async with house.service() as service:
            app = await ready(service)
            before = house.node.state()
            assert await app.answer(app.pay(text)) == "ok"
        kept = house.node.state()
        house.node.forget()
        assert house.node.paid_out() == {}
        house.node.restore(kept)
        assert set(house.node.paid_out()) == {payment_hash}
        house.node.restore(before)
        assert house.node.paid_out() == {}
        assert (await house.node.info()).node_id == FIRST
        other = house.node.exchange()
        assert (await house.node.info()).node_id == other.node_id != FIRST
        assert house.node.times_paid() == [payment_hash]

    story()


def test_a_refusal_to_start_is_a_sentence(tmp_path: Path) -> None:
    @virtual
    async def story() -> None:
        house = House(tmp_path)
        assert await refused_to_start(house) is None
        next(house.home.glob("*.key")).unlink()
        refused = await refused_to_start(house)
        assert refused is not None
        assert "put that file back" in refused.message

    story()
