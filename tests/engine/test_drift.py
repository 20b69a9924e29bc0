"""The node holds less than the accounts are owed: spending stops, receiving goes on."""

from __future__ import annotations

import asyncio

import pytest

from kitestring.base.errors import Reason
from kitestring.base.money import ZERO, Msat
from kitestring.base.node import NodeBalance
from kitestring.base.outcomes import Paid
from kitestring.base.store import Totals
from kitestring.engine.drift import WATCH_S, shortfall
from tests.kit.clock import virtual
from tests.kit.engine.node import OPENING, Script
from tests.kit.engine.rig import Life


@virtual
async def test_a_node_that_misses_money_stops_spending_until_it_is_back(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 999_000_000)
        await rig.grant("till", account="shop")
        life.node._opening = Msat(OPENING - 2_000_000)
        await rig.clock.sleep(2 * WATCH_S)
        await rig.pay("r1", "till", life.node.outside_invoice(), 1_000)
        assert (await rig.answer("r1")).reason is Reason.SPENDING_STOPPED
        _, payment_hash = await rig.invoice("i1", "till", 21_000)
        life.node.pay_in(payment_hash)
        await rig.clock.sleep(1)
        assert await rig.available("shop") == 999_021_000
        life.node._opening = OPENING
        await rig.clock.sleep(2 * WATCH_S)
        await rig.pay("r2", "till", life.node.outside_invoice(), 1_000)
        assert isinstance(await rig.answer("r2"), Paid)


@virtual
async def test_money_that_moves_while_the_views_are_compared_is_no_drift(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 999_999_000)
        await rig.grant("till", account="shop")
        balance = life.node.balance

        async def slow() -> NodeBalance:
            await rig.clock.sleep(3)
            found = await balance()
            await rig.clock.sleep(3)
            return found

        life.node.replace("balance", slow)
        for number in range(42):
            script = Script(settles_after_s=number % 7, fee=1_000, fails="no_route" if number % 2 else "")
            _, payment_hash = await rig.invoice(f"i{number}", "till", 5_000_000)
            looking = asyncio.create_task(rig.engine._drift.compare())
            await rig.clock.sleep(number % 3)
            await rig.pay(f"r{number}", "till", life.node.outside_invoice(script), 10_000_000)
            await rig.clock.sleep(1)
            life.node.pay_in(payment_hash)
            await looking
            await rig.answer(f"r{number}")
        applied = [type(tx).__name__ for tx in rig.store.applied]
        assert applied.count("ClaimPayment") == 42
        assert "SetSpending" not in applied


@virtual
async def test_a_node_that_cannot_be_asked_is_no_drift_and_is_asked_again(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    async with life.service() as rig:
        await rig.account("shop", 999_000_000)
        life.node.offline = True
        await rig.clock.sleep(2 * WATCH_S)
        assert "ledger and node are not compared" in caplog.text
        assert (await rig.store.totals()).spending_stopped == ""
        life.node.offline = False
        life.node._opening = Msat(OPENING - 2_000_000)
        await rig.clock.sleep(2 * WATCH_S)
        assert (
            await rig.store.totals()
        ).spending_stopped == "the node holds 1000000 msat less than the accounts are owed"


@pytest.mark.parametrize(
    ("owed", "pending", "holds", "missing"),
    [((10, 10), (0, 0), 10, 0), ((10, 10), (0, 0), 7, 3), ((10, 10), (3, 0), 7, 0), ((10, 10), (0, 3), 7, 0),
     ((10, 7), (0, 0), 7, 0), ((7, 10), (0, 0), 7, 0), ((0, 0), (0, 0), 5, -5)],
    ids=["covered", "short", "was in flight", "is in flight", "went meanwhile", "came meanwhile", "nothing owed"],
)  # fmt: skip
def test_what_came_or_went_or_is_in_flight_excuses_a_difference(
    owed: tuple[int, int], pending: tuple[int, int], holds: int, missing: int
) -> None:
    before, after = [
        Totals(ZERO, Msat(sum_), ZERO, Msat(held), "", 0) for sum_, held in zip(owed, pending, strict=True)
    ]
    assert shortfall(before, Msat(holds), after) == missing


@virtual
async def test_spending_is_allowed_again_as_soon_as_the_accounts_are_covered_to_the_last_msat(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 999_000_000)
        for missing, is_stopped in ((1, True), (0, False)):
            life.node._opening = Msat(999_000_000 - missing)
            await rig.clock.sleep(1)
            await rig.engine._drift.compare()
            assert bool((await rig.store.totals()).spending_stopped) == is_stopped


@virtual
async def test_a_node_whose_peers_are_away_misses_nothing(life: Life) -> None:
    """Right after a start of the node no channel is active."""
    async with life.service() as rig:
        await rig.account("shop", 999_000_000)
        await rig.grant("till", account="shop")
        life.node.has_peers = False
        await rig.clock.sleep(3 * WATCH_S)
        assert (await rig.store.totals()).spending_stopped == ""
        await rig.pay("r1", "till", life.node.outside_invoice(), 1_000)
        assert isinstance(await rig.answer("r1"), Paid)


@virtual
async def test_a_service_without_accounts_has_nothing_to_compare(life: Life) -> None:
    async with life.service() as rig:
        life.node.offline = True
        await rig.engine._drift.compare()
        assert "balance" not in life.node.calls
