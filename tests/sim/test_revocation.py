"""The end of a connection: nothing new from that moment on, and what is under way ends properly and is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitestring.codec import bolt11
from kitestring.nostr import kinds
from tests.kit.app.client import App
from tests.kit.app.house import House, Service
from tests.kit.clock import virtual
from tests.kit.engine.node import Script

#: Seconds that the payment under way takes.
SLOW_S = 40.0


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


def invoice(house: House, *, slow: bool = False) -> str:
    script = Script(settles_after_s=SLOW_S if slow else 0.0, answers=["inflight", "true"])
    text: str = house.node.outside_bolt11(amount_msat=10_000, script=script)
    return text


async def revoked_at_once(service: Service, app: App, house: House) -> None:
    """Revoke, and see that nothing goes any more, whatever is asked."""
    await service.command("revoke", name="app")
    paying, looking = app.pay(invoice(house)), app.send("get_balance")
    assert [await app.answer(paying), await app.answer(looking)] == ["UNAUTHORIZED"] * 2


@pytest.mark.parametrize("dies", [False, True], ids=["alive", "killed after it"])
def test_a_revoked_connection_pays_nothing_new_and_is_told_the_end_of_what_was_under_way(
    tmp_path: Path, dies: bool
) -> None:
    @virtual
    async def story(house: House) -> None:
        slow = invoice(house, slow=True)
        payment_hash = bolt11.decode(slow).payment_hash
        async with house.service() as service:
            await service.account("purse", 1_000_000)
            app = await service.connect("app", account="purse", budget_msat=500_000)
            under_way = app.pay(slow)
            while await service.state(payment_hash) != "dispatched":
                await house.clocks.service.sleep(0.1)
            await revoked_at_once(service, app, house)
            assert app.replies(under_way) == []
            if not dies:
                assert await app.answer(under_way) == "ok"
        async with house.service() as service:
            assert await app.answer(under_way) == "ok"
            (first, *more) = app.replies(under_way)
            assert first["result"]["fees_paid"] == 1_000
            assert all(reply == first for reply in more)
            assert await service.state(payment_hash) == "settled"
            assert await service.available("purse") == 1_000_000 - 11_000
            await house.clocks.service.sleep(60)
        assert house.node.times_paid() == [payment_hash]
        assert house.violations() == []
        assert await house.differences() == []
        deletions = [event for event in house.relay.events if event.kind == kinds.DELETE]
        assert app.service in {event.pubkey for event in deletions}

    story(House(tmp_path))


def test_what_is_open_at_a_revocation_and_fails_is_told_as_failed_and_the_money_is_free_again(tmp_path: Path) -> None:
    @virtual
    async def story(house: House) -> None:
        script = Script(fails="no_route", settles_after_s=SLOW_S, answers=["inflight", "true"])
        lost: str = house.node.outside_bolt11(amount_msat=10_000, script=script)
        async with house.service() as service:
            await service.account("purse", 1_000_000)
            app = await service.connect("app", account="purse", budget_msat=500_000)
            under_way = app.pay(lost)
            while await service.state(bolt11.decode(lost).payment_hash) != "dispatched":
                await house.clocks.service.sleep(0.1)
            await revoked_at_once(service, app, house)
            assert await app.answer(under_way) == "PAYMENT_FAILED"
            assert await service.available("purse") == 1_000_000
        assert house.violations() == []

    story(House(tmp_path))
