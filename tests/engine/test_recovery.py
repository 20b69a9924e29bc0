"""After a crash every payment and request that was left open goes on from the stored rows alone."""

from __future__ import annotations

import asyncio

from kitestring.engine.recovery import recover
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT, Life, Rig, is_paid

ELSEWHERE = "03" + "cd" * 32


async def begin_again(rig: Rig) -> None:
    await recover(rig.context, rig.engine._payments, rig.engine._approvals, rig.engine._bundles, rig.engine._holds)


async def close_by_hand(rig: Rig) -> tuple[str, str]:
    """A payment that hangs at the node, and that the operator has closed."""
    rig.life.node.deaf = True
    invoice = rig.life.node.outside_invoice(Script(answers=["lost"], settles_after_s=None))
    await rig.pay("r1", "app", invoice, AMOUNT)
    await rig.clock.sleep(5)
    payment = await rig.store.payment_by_hash(rig.context.node.node_id, invoice[1])
    await rig.engine.resolve(payment.payment_id, "gave up")
    rig.life.node.deaf = False
    return invoice


@virtual
async def test_an_open_payment_is_carried_on_and_its_request_answered(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["never"], settles_after_s=5))
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.clock.sleep(1)
    async with life.service(start=False) as rig:
        await begin_again(rig)
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert life.node.sends == [invoice[1]]


@virtual
async def test_recovery_waits_for_no_node_that_is_down(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["never"], settles_after_s=5))
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.clock.sleep(1)
    async with life.service(start=False) as rig:
        life.node.offline = True
        begun = rig.clock.monotonic()
        await begin_again(rig)
        assert rig.clock.monotonic() == begun
        await rig.clock.sleep(60)
        life.node.offline = False
        assert is_paid(await rig.answer("r1"), invoice[1])


@virtual
async def test_the_late_truth_of_a_closed_payment_is_looked_for_at_its_own_node_alone(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = await close_by_hand(rig)
    life.node.calls.clear()
    async with life.service(start=False) as rig:
        rig.context.node = replace(rig.context.node, node_id=ELSEWHERE)
        await begin_again(rig)
        await rig.clock.sleep(60)
        assert life.node.calls == ["info"]
    life.node.release(invoice[1])
    async with life.service(start=False) as rig:
        await begin_again(rig)
        await rig.clock.sleep(60)
        assert await rig.state(invoice[1]) == "settled"


@virtual
async def test_a_request_whose_payment_had_ended_before_the_crash_is_told_how(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=10))
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.clock.sleep(5)
        apply = rig.store.apply

        async def joins_first(tx: object) -> object:
            if type(tx).__name__ == "RecordPayment":
                await rig.pay("r2", "app", invoice, AMOUNT)
            if type(tx).__name__ == "Answer":
                await asyncio.Event().wait()  # the crash comes before the joined request is answered
            return await apply(tx)

        rig.store.apply = joins_first
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert rig.told("r2") == []
    async with life.service(start=False) as rig:
        await begin_again(rig)
        assert is_paid(await rig.answer("r2"), invoice[1])
