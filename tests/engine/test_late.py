"""A request that waits for a payment is told its end, and nothing while that is open."""

from __future__ import annotations

from kitestring.engine.late import answer_late
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT, Life, is_paid


@virtual
async def test_a_payment_that_is_still_open_tells_nobody_an_end(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=None))
        await rig.pay("r1", "app", invoice, AMOUNT)
        payment = await rig.store.payment_by_hash(rig.context.node.node_id, invoice[1])
        await answer_late(rig.engine._answers, payment, await rig.store.request("r1"))
        assert (rig.told("r1"), await rig.store.messages("r1")) == ([], ())


@virtual
async def test_a_payment_that_has_settled_tells_its_preimage_to_who_waits(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script())
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert is_paid(await rig.answer("r1"), invoice[1])
        payment = await rig.store.payment_by_hash(rig.context.node.node_id, invoice[1])
        life.delivered.clear()
        await answer_late(rig.engine._answers, payment, await rig.store.request("r1"))
        assert is_paid(await rig.answer("r1"), invoice[1])
