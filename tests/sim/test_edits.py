"""Other limits for a connection while it pays: what is under way ends as it was claimed, also across a kill, and the
next payment is held against the new limits, with everything counted that was spent."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitestring.codec import bolt11
from tests.kit.app.client import App
from tests.kit.app.house import House, Service
from tests.kit.clock import virtual
from tests.kit.engine.node import Script

#: Seconds that the payment under way takes.
SLOW_S = 40.0
#: What each payment has cost in the end: its amount, and the fee of the node.
COST = 10_000 + 1_000


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


def invoice(house: House, *, slow: bool = False) -> str:
    script = Script(settles_after_s=SLOW_S if slow else 0.0, answers=["inflight", "true"])
    text: str = house.node.outside_bolt11(amount_msat=10_000, script=script)
    return text


async def limited(service: Service, limit_msat: int) -> int:
    """Give the connection this budget; what is used of it by then."""
    budget = {"limit_msat": limit_msat, "period": "never"}
    told = await service.command("connection_edit", name="app", budgets=[budget])
    (stands,) = told["budgets"]
    return int(stands["used_msat"])


async def paid(app: App, house: House) -> str:
    return await app.answer(app.pay(invoice(house)))


@pytest.mark.parametrize("dies", [False, True], ids=["alive", "killed after it"])
def test_a_lowered_budget_leaves_the_payment_under_way_alone_and_counts_it_against_the_next(
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
            assert await limited(service, COST + 9_000) >= COST
            assert await paid(app, house) == "QUOTA_EXCEEDED"
            if not dies:
                assert await app.answer(under_way) == "ok"
        async with house.service() as service:
            assert await app.answer(under_way) == "ok"
            assert await service.state(payment_hash) == "settled"
            assert await paid(app, house) == "QUOTA_EXCEEDED"
            assert await limited(service, 100_000) == COST
            assert await paid(app, house) == "ok"
            assert await limited(service, 3 * COST) == 2 * COST
            assert await service.available("purse") == 1_000_000 - 2 * COST
        assert len(house.node.times_paid()) == 2
        assert house.violations() == []
        assert await house.differences() == []

    story(House(tmp_path))


def test_what_an_app_sees_of_its_account_changes_with_its_next_request_also_across_a_kill(tmp_path: Path) -> None:
    @virtual
    async def story(house: House) -> None:
        async def listed(app: App) -> int:
            rows = (await app.first(app.send("list_transactions", {})))["result"]["transactions"]
            return len(rows)

        async def shows(service: Service, history: str) -> None:
            await service.command("connection_edit", name="book", show_history=history)

        async with house.service() as service:
            await service.account("purse", 1_000_000)
            app = await service.connect("app", account="purse", budget_msat=500_000)
            book = await service.connect("book", account="purse", preset="read-only", show_history="own")
            assert await paid(app, house) == "ok"
            assert await listed(book) == 0
            await shows(service, "account")
            assert await listed(book) == 1
        async with house.service() as service:
            assert await listed(book) == 1
            assert await paid(app, house) == "ok"
            assert await listed(book) == 2
            await house.clocks.app.sleep(5)
            assert [name for name, _ in book.notifications()] == ["payment_sent"]
            await shows(service, "own")
            assert await listed(book) == 0
            assert await paid(app, house) == "ok"
            await house.clocks.app.sleep(5)
            assert len(book.notifications()) == 1
        assert house.violations() == []

    story(House(tmp_path))


def test_a_connection_that_may_not_pay_any_more_ends_what_it_has_begun(tmp_path: Path) -> None:
    @virtual
    async def story(house: House) -> None:
        async with house.service() as service:
            await service.account("purse", 1_000_000)
            app = await service.connect("app", account="purse", budget_msat=500_000)
            under_way = app.pay(invoice(house, slow=True))
            while not house.node.times_paid():
                await house.clocks.service.sleep(0.1)
            await service.command("connection_edit", name="app", methods=["get_balance"])
            assert await paid(app, house) == "RESTRICTED"
            assert await app.answer(under_way) == "ok"
            assert await service.available("purse") == 1_000_000 - COST
        assert house.violations() == []
        assert await house.differences() == []

    story(House(tmp_path))
