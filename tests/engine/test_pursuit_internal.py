"""A payment from one account of the service to another: money moves on both sides, or on none."""

from __future__ import annotations

import asyncio
from hashlib import sha256

from kitestring.base.commands import LookupInvoice
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import Reason
from kitestring.base.node import InvoiceStatus, NodeInvoiceState
from kitestring.base.outcomes import Found, Paid
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import Life, Rig, is_paid


@virtual
async def test_an_internal_payment_moves_both_sides_costs_nothing_and_sends_a_receipt(life: Life) -> None:
    async with life.service() as rig:
        for name, amount in (("payer", 50_000), ("shop", 0)):
            await rig.account(name, amount)
        await rig.grant("app", account="payer")
        await rig.offer("coffee", "shop")
        invoice = await rig.invoice("o1", "", 50_000, offer_id="coffee")
        await rig.pay("r1", "app", invoice, 50_000)
        paid = await rig.answer("r1")
        assert (paid.internal, paid.fee_msat) == (True, 0)
        assert sha256(bytes.fromhex(paid.preimage)).hexdigest() == invoice[1]
        receipt = await rig.receipt("o1")
        assert (receipt.internal, receipt.preimage, receipt.amount_msat) == (True, "", 50_000)
        assert (await rig.available("payer"), await rig.available("shop")) == (0, 50_000)
        assert not life.node.pay_in(invoice[1])
        assert "pay" not in life.node.calls


@virtual
async def test_an_outside_payment_that_was_first_wins_over_an_internal_one(life: Life) -> None:
    async with life.service(start=False) as rig:  # nobody listens to the stream yet
        for name, amount in (("payer", 50_000), ("shop", 0)):
            await rig.account(name, amount)
        await rig.grant("app", account="payer")
        await rig.offer("coffee", "shop")
        invoice = await rig.invoice("o1", "", 50_000, offer_id="coffee")
        life.node.pay_in(invoice[1])
        await rig.pay("r1", "app", invoice, 50_000)
        assert (await rig.answer("r1")).reason is Reason.INVOICE_TAKEN
        await rig.engine.start()
        await rig.receipt("o1")
        assert (await rig.available("payer"), await rig.available("shop")) == (50_000, 50_000)


@virtual
async def test_an_invoice_of_ours_that_was_paid_is_taken_and_the_node_is_not_asked_for_a_route_to_itself(
    life: Life,
) -> None:
    async with life.service() as rig:
        await rig.account("shop", 0)
        await rig.grant("app")
        await rig.offer("coffee", "shop")
        invoice = await rig.invoice("o1", "", 50_000, offer_id="coffee")
        life.node.pay_in(invoice[1])
        await rig.receipt("o1")
        await rig.pay("r1", "app", invoice, 50_000)
        assert (await rig.answer("r1")).reason is Reason.INVOICE_TAKEN
        assert life.node.sends == []
    life.audit()


@virtual
async def test_a_payment_from_outside_after_an_internal_one_is_surplus_and_never_lost(life: Life) -> None:
    async with life.service() as rig:
        for name, amount in (("payer", 50_000), ("shop", 0)):
            await rig.account(name, amount)
        await rig.grant("app", account="payer")
        await rig.offer("coffee", "shop")
        invoice = await rig.invoice("o1", "", 50_000, offer_id="coffee")

        async def lost(_: str) -> object:
            raise TimeoutError("no answer to the cancellation")

        life.node.replace("cancel_invoice", lost)
        await rig.pay("r1", "app", invoice, 50_000)
        assert isinstance(await rig.answer("r1"), Paid)
        assert life.node.pay_in(invoice[1])
        await rig.clock.sleep(60)
        assert await rig.available("shop") == 100_000
        assert len(rig.told("o1", "receipt")) == 1


@virtual
async def test_the_same_hash_in_another_text_is_a_wrapped_invoice_and_goes_over_the_node(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        text, payment_hash = await rig.invoice("i1", "app", 50_000)
        life.node.scripts[payment_hash] = Script(fails="no_route")
        life.node._preimages[payment_hash] = "00" * 32
        await rig.pay("r1", "app", (f"wrapped-{text}", payment_hash), 50_000)
        assert (await rig.answer("r1")).reason is Reason.PAYMENT_FAILED
        assert life.node.sends == [payment_hash]


async def inside(rig: Rig) -> tuple[str, str]:
    """Two accounts, and an invoice of one that the other can pay."""
    for name, amount in (("payer", 50_000), ("shop", 0)):
        await rig.account(name, amount)
    await rig.grant("app", account="payer")
    await rig.offer("coffee", "shop")
    return await rig.invoice("o1", "", 50_000, offer_id="coffee")


@virtual
async def test_an_invoice_that_is_credited_while_an_internal_payment_moves_is_paid_once(life: Life) -> None:
    """The node did not say so when it was asked to cancel: the ledger has the last look."""
    async with life.service() as rig:
        invoice = await inside(rig)
        status = life.node._status(invoice[1])

        async def paid_meanwhile(payment_hash: str) -> InvoiceStatus:
            assert life.node.pay_in(payment_hash)
            await rig.receipt("o1")
            return status

        life.node.replace("cancel_invoice", paid_meanwhile)
        await rig.pay("r1", "app", invoice, 50_000)
        assert (await rig.answer("r1")).reason is Reason.INVOICE_TAKEN
        assert (await rig.available("payer"), await rig.available("shop")) == (50_000, 50_000)
        assert len(rig.told("o1", "receipt")) == 1


@virtual
async def test_an_internal_payment_that_a_crash_has_left_reserved_moves_at_the_next_start(life: Life) -> None:
    async with life.service() as rig:
        invoice = await inside(rig)
        cancel = life.node.cancel_invoice

        async def never(payment_hash: str) -> InvoiceStatus:
            await asyncio.Event().wait()
            return await cancel(payment_hash)

        life.node.replace("cancel_invoice", never)
        await rig.pay("r1", "app", invoice, 50_000)
    life.node.replace("cancel_invoice", cancel)
    async with life.service() as rig:
        paid = await rig.answer("r1")
        assert (is_paid(paid, invoice[1]), paid.internal) == (True, True)
        assert (await rig.available("payer"), await rig.available("shop")) == (0, 50_000)
        assert "pay" not in life.node.calls


@virtual
async def test_an_internal_payment_that_finds_the_service_on_another_node_gives_the_money_back(life: Life) -> None:
    async with life.service() as rig:
        invoice = await inside(rig)

        async def never(_: str) -> InvoiceStatus:
            await asyncio.Event().wait()
            return InvoiceStatus(NodeInvoiceState.UNKNOWN)

        life.node.replace("cancel_invoice", never)
        await rig.pay("r1", "app", invoice, 50_000)
        assert (await rig.state(invoice[1]), await rig.available("payer")) == ("reserved", 0)
    async with life.service(start=False) as rig:
        old = rig.context.node.node_id
        rig.context.node = replace(rig.context.node, node_id="03" + "cd" * 32)
        await rig.engine.start()
        assert (await rig.answer("r1")).reason is Reason.PAYMENT_FAILED
        assert await rig.available("payer") == 50_000
        payment = await rig.store.payment_by_hash(old, invoice[1])
        assert payment.evidence == "no node was ever asked, and the service stands on another node now"


@virtual
async def test_an_invoice_of_ours_without_an_amount_is_paid_inside_with_the_amount_of_whoever_pays(life: Life) -> None:
    async with life.service() as rig:
        for name, amount in (("payer", 50_000), ("shop", 0)):
            await rig.account(name, amount)
        await rig.grant("app", account="payer", methods="pay_invoice")
        await rig.grant("till", account="shop", methods="make_invoice lookup_invoice")
        text, payment_hash = await rig.invoice("i1", "till", None)
        destination = Bolt11(text, amountless=True)
        await rig.pay("r1", "app", (text, payment_hash), 7_000, destination=destination)
        paid = await rig.answer("r1")
        assert (paid.internal, paid.amount_msat, paid.fee_msat) == (True, 7_000, 0)
        assert (await rig.available("payer"), await rig.available("shop")) == (43_000, 7_000)
        found = await rig.engine.ask("till", LookupInvoice(payment_hash=payment_hash))
        assert isinstance(found, Found)
        assert (found.transaction.state, found.transaction.amount_msat) == ("settled", 7_000)
        await rig.pay("r2", "app", (text, payment_hash), 8_000, destination=destination)
        assert (await rig.answer("r2")).reason is Reason.INVOICE_TAKEN
    life.audit()


async def left_reserved(life: Life) -> None:
    """A payment inside the service whose process has died before it could move."""
    async with life.service() as rig:
        invoice = await inside(rig)
        cancel = life.node.cancel_invoice

        async def never(_: str) -> InvoiceStatus:
            await asyncio.Event().wait()
            return InvoiceStatus(NodeInvoiceState.UNKNOWN)

        life.node.replace("cancel_invoice", never)
        await rig.pay("r1", "app", invoice, 50_000)
    life.node.replace("cancel_invoice", cancel)


@virtual
async def test_an_internal_payment_of_an_earlier_life_that_is_too_late_does_not_move(life: Life) -> None:
    """Its app has heard nothing for an hour, and has paid in another way."""
    await left_reserved(life)
    await life.clock.sleep(3_000)
    async with life.service() as rig:
        refused = await rig.answer("r1")
        assert (refused.reason, "too late" in refused.message) == (Reason.PAYMENT_FAILED, True)
        assert (await rig.available("payer"), await rig.available("shop")) == (50_000, 0)


@virtual
async def test_an_internal_payment_of_an_earlier_life_waits_for_a_witness(life: Life) -> None:
    await left_reserved(life)
    life.is_witnessed = False
    async with life.service() as rig:
        await rig.clock.sleep(60)
        assert (await rig.available("payer"), await rig.available("shop")) == (0, 0)
        life.is_witnessed = True
        assert isinstance(await rig.answer("r1"), Paid)
        assert (await rig.available("payer"), await rig.available("shop")) == (0, 50_000)
