"""Requests that are told after a while that their payment is under way."""

from __future__ import annotations

import pytest

from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Paid, Pending
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import Life


@virtual
async def test_what_ends_in_time_is_told_by_its_end_and_what_hangs_as_pending(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        quick, slow = (life.node.outside_invoice(Script(settles_after_s=s, fee=0)) for s in (5, 300))
        await rig.pay("r1", "app", quick, 1_000, patience_s=50)
        await rig.pay("r2", "app", slow, 2_000, patience_s=50)
        await rig.pay("r3", "app", slow, 2_000)
        began = rig.clock.now()
        assert isinstance(await rig.answer("r1"), Paid)
        assert await rig.answer("r2") == Pending(slow[1], Msat(2_000), began)
        assert rig.clock.now() == began + 50
        assert isinstance(await rig.answer("r3"), Paid)
        await rig.clock.sleep(60)
        assert (len(rig.told("r1")), len(rig.told("r2"))) == (1, 1)


@pytest.mark.parametrize("away_s", [10, 200])
@virtual
async def test_a_restart_neither_shortens_nor_ends_the_wait(away_s: int, life: Life) -> None:
    slow = life.node.outside_invoice(Script(settles_after_s=1_000, fee=0))
    async with life.service() as rig:
        await rig.grant("app")
        await rig.pay("r1", "app", slow, 1_000, patience_s=50)
        began = rig.clock.now()
    await life.clock.sleep(away_s)
    async with life.service() as rig:
        assert isinstance(await rig.answer("r1"), Pending)
        assert rig.clock.now() == max(began + 50, began + away_s)


@virtual
async def test_nobody_waits_on_when_the_payment_has_ended(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=2, fee=0))
        for request_id in ("r1", "r2"):
            await rig.pay(request_id, "app", invoice, 1_000, patience_s=500)
        assert len(rig.context.tasks) == 3  # the payment itself, and two who wait
        await rig.answer("r2")
        await rig.clock.sleep(1)
        assert rig.context.tasks == set()


@virtual
async def test_what_was_told_pending_may_fail_and_is_told_nothing_more(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=100, fails="no_route"))
        await rig.pay("r1", "app", invoice, 1_000, patience_s=50)
        await rig.pay("r2", "app", invoice, 1_000)
        assert isinstance(await rig.answer("r1"), Pending)
        assert (await rig.answer("r2")).reason is Reason.PAYMENT_FAILED
        assert len(rig.told("r1")) == 1
        assert await rig.state(invoice[1]) == "failed"
