"""The doors of the engine, and the end of a run."""

from __future__ import annotations

from typing import Any

from kitestring.base.commands import MakeInvoice, PayInvoice
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.errors import Reason
from kitestring.base.money import ZERO, Msat
from kitestring.base.transactions.answers import Stale, Tx
from kitestring.base.transactions.invoices import RecordInvoice
from kitestring.base.transactions.payments import ClaimPayment
from kitestring.engine.node import RECEIVABLE_AGE_S
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT, Life, is_paid


@virtual
async def test_a_connection_that_changes_at_every_claim_is_told_to_try_again_and_pays_nothing(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        apply = rig.store.apply

        async def changed(tx: Tx[Any]) -> object:
            return Stale() if isinstance(tx, ClaimPayment | RecordInvoice) else await apply(tx)

        rig.store.apply = changed
        await rig.pay("p", "app", life.node.outside_invoice(), 1)
        await rig.handle("i", "app", MakeInvoice(amount_msat=Msat(1_000)))
        assert [(await rig.answer(name)).reason for name in "pi"] == [Reason.BUSY] * 2
        assert life.node.sends == []


@virtual
async def test_stop_gives_what_is_in_flight_its_grace_and_tells_what_stays_open(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        soon, late = (life.node.outside_invoice(Script(settles_after_s=s)) for s in (5, 500))
        await rig.pay("r1", "app", soon, AMOUNT)
        await rig.pay("r2", "app", late, AMOUNT)
        assert await rig.engine.stop(10) == 1
        assert is_paid(await rig.answer("r1"), soon[1])
        assert rig.told("r2") == []
    async with life.service() as rig:
        assert is_paid(await rig.answer("r2"), late[1])
        assert life.node.sends == [soon[1], late[1]]


@virtual
async def test_a_request_that_was_claimed_before_is_known_and_its_answer_said_again(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        assert not await rig.engine.known("r1")
        invoice = life.node.outside_invoice(Script(settles_after_s=5))
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert (await rig.engine.known("r1"), rig.told("r1")) == (True, [])
        paid = await rig.answer("r1")
        assert (await rig.engine.known("r1"), rig.told("r1")) == (True, [paid, paid])


@virtual
async def test_what_can_come_in_is_asked_of_the_node_once_for_many_strangers(life: Life) -> None:
    async with life.service() as rig:
        await rig.offer("mug")
        for number in range(5):
            await rig.invoice(f"o{number}", "", 1_000, offer_id="mug")
        assert life.node.calls.count("balance") == 1
        await rig.clock.sleep(RECEIVABLE_AGE_S + 1)
        await rig.invoice("later", "", 1_000, offer_id="mug")
        assert life.node.calls.count("balance") == 2


@virtual
async def test_nothing_goes_on_after_a_stop(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        await rig.pay("r1", "app", life.node.outside_invoice(Script(settles_after_s=None)), AMOUNT)
        await rig.clock.sleep(1)
        assert await rig.engine.stop(0) == 1
        calls = len(life.node.calls)
        await rig.clock.sleep(3_600)
        assert (len(life.node.calls), rig.context.tasks) == (calls, set())


@virtual
async def test_a_payment_is_internal_to_an_open_invoice_of_ours_by_its_very_text_or_to_the_nodes_own_key(
    life: Life,
) -> None:
    def order(destination: Bolt11 | Keysend, payment_hash: str) -> PayInvoice:
        return PayInvoice(
            destination=destination, payment_hash=payment_hash, amount_msat=Msat(50_000), max_fee_msat=ZERO
        )

    async with life.service() as rig:
        await rig.grant("app")
        text, payment_hash = await rig.invoice("i1", "app", 50_000)
        outside = life.node.outside_invoice()
        ours = order(Bolt11(text), payment_hash)
        assert await rig.engine.is_internal(ours)
        assert await rig.engine.is_internal(order(Keysend(rig.context.node.node_id), "ab" * 32))
        others = (Bolt11(f"wrapped-{text}"), payment_hash), (Bolt11(outside[0]), outside[1])
        assert [await rig.engine.is_internal(order(*other)) for other in others] == [False, False]
        life.node.pay_in(payment_hash)
        await rig.clock.sleep(5)
        assert not await rig.engine.is_internal(ours)
