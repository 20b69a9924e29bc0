"""A service for the tests of others: it pays, refuses and restarts like any other, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kitestring import Budget, KitestringError, Reason, Sandbox, sat
from kitestring.app.bench import RunningService


@pytest.fixture
def service() -> Iterator[RunningService]:
    with RunningService() as running:
        yield running


async def test_a_connection_pays_within_its_budget_which_renews_when_the_clocks_are_put_ahead(
    service: RunningService,
) -> None:
    async with service.wallet(service.connect(budget=Budget.daily(sat(100)))) as wallet:
        for _ in range(2):
            assert (await wallet.pay((await service.sandbox.invoice(sat(60))).bolt11)).amount == sat(60)
            with pytest.raises(KitestringError) as refused:
                await wallet.pay((await service.sandbox.invoice(sat(60))).bolt11)
            assert refused.value.reason is Reason.OVER_BUDGET
            service.advance(86_400)
        assert (await service.sandbox.books()).sent == sat(120)


async def test_a_payment_that_is_held_outlives_a_restart_and_is_paid_once(service: RunningService) -> None:
    bill = await service.sandbox.invoice(sat(50), hold=True)
    async with service.wallet(service.connect()) as wallet:
        with pytest.raises(KitestringError) as waiting:
            await wallet.pay(bill.bolt11, timeout_s=0.5)
        assert waiting.value.reason is Reason.PAYMENT_IN_FLIGHT
        service.restart()
        await service.sandbox.settle(bill.payment_hash)
        assert (await wallet.pay(bill.bolt11)).amount == sat(50)
    assert (await service.sandbox.books()).sent == sat(50)


async def test_an_answer_that_is_lost_is_found_out_by_look_up(service: RunningService) -> None:
    bill = await service.sandbox.invoice(sat(50), lose_answer=True)
    async with service.wallet(service.connect()) as wallet:
        assert (await wallet.pay(bill.bolt11)).amount == sat(50)
    assert (await service.sandbox.books()).sent == sat(50)


async def test_its_offer_is_paid_from_its_world_and_from_its_wallets(service: RunningService) -> None:
    code = service.offer("tea", price=sat(21))
    assert (await service.sandbox.pay(code)).receipt == "proven"
    async with service.wallet(service.connect()) as wallet:
        assert (await wallet.pay(code)).amount == sat(21)


async def test_a_world_that_is_given_stays(tmp_path: Path) -> None:
    world = Sandbox(tmp_path / "w.db")
    with RunningService(world) as service:
        assert service.sandbox is world
    assert await world.balance() == sat(1_000_000)


def test_what_is_stopped_says_so_and_can_be_started_again(service: RunningService) -> None:
    service.start()
    service.stop()
    service.stop()
    with pytest.raises(KitestringError, match="stopped") as caught:
        service.connect()
    assert caught.value.reason is Reason.UNAVAILABLE
    service.start()
    assert service.connect().startswith("nostr+walletconnect://")
    with pytest.raises(KitestringError) as caught:
        service.connect(budget=Budget.daily(sat(1)))
    assert caught.value.reason is Reason.CONFLICT


def test_a_close_leaves_no_thread_and_no_file_also_with_a_payment_that_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    threads = set(threading.enumerate())
    service = RunningService()
    service.start()
    assert len(list(tmp_path.iterdir())) == 1
    asyncio.run(_hold_one(service))
    service.close()
    service.close()
    assert (set(threading.enumerate()), list(tmp_path.iterdir())) == (threads, [])
    with pytest.raises(KitestringError, match="stopped"):
        service.advance(1)


async def _hold_one(service: RunningService) -> None:
    bill = await service.sandbox.invoice(sat(50), hold=True)
    async with service.wallet(service.connect()) as wallet:
        paying = asyncio.create_task(wallet.pay(bill.bolt11))
        await service.sandbox.wait_for(bill.payment_hash)
        paying.cancel()
        await asyncio.wait([paying])
