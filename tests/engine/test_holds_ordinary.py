"""An ordinary invoice that the owner takes back: the wish is stored, the node is told, and its word is the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kitestring.base.commands import OWNER_GRANT, CancelInvoice
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.invoices import Decision, InvoiceState
from kitestring.base.node import InvoiceStatus, NodeInvoiceState
from kitestring.base.outcomes import Canceled, Paid, Refused
from kitestring.base.records import OwnInvoice
from kitestring.base.transactions.invoices import Credit, EndHold
from kitestring.engine.hold_pursuit import LATE_S
from kitestring.engine.incoming import LEAVE_AFTER_S
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.crossings import Crossings, KilledError
from tests.kit.engine.holding import HASH, alarms, both, events, hold, till
from tests.kit.engine.holding import stored as stored_hold
from tests.kit.engine.node import ABILITIES
from tests.kit.engine.rig import AMOUNT, Life, Rig

OTHER = "03" + "cd" * 32
CANCELED = "the payee has cancelled this invoice, and nothing was paid"


async def cancel(rig: Rig, payment_hash: str, request_id: str = "c1") -> Any:
    await rig.handle(request_id, OWNER_GRANT, CancelInvoice(payment_hash=payment_hash))
    return await rig.answer(request_id)


async def stored(rig: Rig, payment_hash: str) -> OwnInvoice:
    return await stored_hold(rig, payment_hash)


def unheard(life: Life) -> Any:
    """The node does not hear what it is told to cancel; gives what it does otherwise."""
    cancels = life.node.cancel_invoice

    async def away(_: str) -> InvoiceStatus:
        raise TimeoutError("no answer")

    life.node.replace("cancel_invoice", away)
    return cancels


# ------------------------------------------------------------ from the wish to the end


@virtual
async def test_what_is_cancelled_is_paid_by_nobody_any_more_and_its_app_is_told_nothing(life: Life) -> None:
    async with life.service() as rig:
        await both(rig)
        invoice = await rig.invoice("i1", "till", AMOUNT)
        assert await cancel(rig, invoice[1]) == Canceled(invoice[1])
        assert (await stored(rig, invoice[1])).state is InvoiceState.CANCELED
        assert not life.node.pay_in(invoice[1])
        await rig.pay("p1", "app", invoice, AMOUNT)
        refused = await rig.answer("p1")
        assert (refused.reason, refused.message) == (Reason.EXPIRED_INVOICE, CANCELED)
        assert [kind for kind, _ in await events(rig)] == ["canceled"]
        assert life.node.sends == []
        assert rig.told("i1", "receipt") == []
    life.audit()


@virtual
async def test_an_invoice_of_an_offer_can_be_cancelled_too(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 0)
        await rig.offer("coffee", "shop")
        _, payment_hash = await rig.invoice("o1", "", AMOUNT, offer_id="coffee")
        assert await cancel(rig, payment_hash) == Canceled(payment_hash)
    life.audit()


@virtual
async def test_who_asks_again_is_told_the_same(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        _, payment_hash = await rig.invoice("i1", "till", AMOUNT)
        for request_id in ("c1", "c1", "c2"):
            assert await cancel(rig, payment_hash, request_id) == Canceled(payment_hash)


@virtual
async def test_whoever_has_asked_is_answered_in_the_commit_that_ends_the_invoice(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        _, payment_hash = await rig.invoice("i1", "till", AMOUNT)
        await cancel(rig, payment_hash)
        (end,) = [tx for tx in rig.store.applied if isinstance(tx, EndHold)]
        assert [message.request_id for message in end.messages] == ["c1"]


@virtual
async def test_what_was_paid_first_is_credited_and_told_and_is_not_cancelled(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        _, payment_hash = await rig.invoice("i1", "till", AMOUNT)
        assert life.node.pay_in(payment_hash)
        refused = await cancel(rig, payment_hash)
        assert (refused.reason, "paid before it could be cancelled" in refused.message) == (Reason.CONFLICT, True)
        again = await cancel(rig, payment_hash, "c2")
        assert again.message == refused.message
        assert (await stored(rig, payment_hash)).state is InvoiceState.SETTLED
        assert await rig.available("shop") == AMOUNT
        assert "canceled" not in [kind for kind, _ in await events(rig)]
    life.audit()


@virtual
async def test_whoever_waits_is_answered_in_the_commit_that_credits_a_payment_that_was_faster(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        _, payment_hash = await rig.invoice("i1", "till", AMOUNT)
        unheard(life)
        await rig.handle("c1", OWNER_GRANT, CancelInvoice(payment_hash=payment_hash))
        assert life.node.pay_in(payment_hash)
        refused = await rig.answer("c1")
        assert isinstance(refused, Refused)
        (told,) = [tx.messages for tx in rig.store.applied if isinstance(tx, Credit) and tx.messages]
        assert "c1" in [message.request_id for message in told]
        assert await rig.available("shop") == AMOUNT


@virtual
async def test_one_that_has_expired_is_said_to_have_and_is_no_error(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        _, payment_hash = await rig.invoice("i1", "till", AMOUNT, expiry_s=60)
        await rig.clock.sleep(600)
        assert (await stored(rig, payment_hash)).state is InvoiceState.EXPIRED
        assert await cancel(rig, payment_hash) == Canceled(payment_hash, has_expired=True)


# ------------------------------------------------------------ what is not cancelled


@virtual
async def test_a_node_that_cannot_cancel_is_not_asked_and_the_invoice_stays_open(life: Life) -> None:
    life.node.capabilities = replace(ABILITIES, cancel=False)
    async with life.service() as rig:
        await both(rig)
        invoice = await rig.invoice("i1", "till", AMOUNT)
        refused = await cancel(rig, invoice[1])
        assert (refused.reason, "cannot cancel an invoice" in refused.message) == (Reason.UNSUPPORTED, True)
        assert (await stored(rig, invoice[1])).decision is Decision.NONE
        assert "cancel_invoice" not in life.node.calls
        assert life.node.pay_in(invoice[1])
        await rig.clock.sleep(60)
        assert await rig.available("shop") == AMOUNT


@virtual
async def test_a_hold_invoice_and_what_is_not_there_are_not_cancelled_in_this_way(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await hold(rig)
        refused = await cancel(rig, HASH)
        assert (refused.reason, "hold cancel" in refused.message) == (Reason.CONFLICT, True)
        assert (await cancel(rig, "ab" * 32, "c2")).reason is Reason.UNKNOWN_TARGET
        assert (await stored(rig, HASH)).decision is Decision.NONE


@virtual
async def test_nobody_but_the_owner_cancels_one_not_even_the_app_that_has_asked_for_it(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        _, payment_hash = await rig.invoice("i1", "till", AMOUNT)
        await rig.handle("c1", "till", CancelInvoice(payment_hash=payment_hash))
        assert (await rig.answer("c1")).reason is Reason.UNKNOWN_TARGET
        assert (await stored(rig, payment_hash)).decision is Decision.NONE


# ------------------------------------------------------------ a node that is away


@virtual
async def test_the_wish_is_kept_until_the_node_can_be_told_and_meanwhile_nobody_inside_pays(life: Life) -> None:
    async with life.service() as rig:
        await both(rig)
        invoice = await rig.invoice("i1", "till", AMOUNT)
        cancels = unheard(life)
        await rig.handle("c1", OWNER_GRANT, CancelInvoice(payment_hash=invoice[1]))
        await rig.clock.sleep(60)
        assert (await stored(rig, invoice[1])).state is InvoiceState.OPEN
        await rig.pay("p1", "app", invoice, AMOUNT)
        assert (await rig.answer("p1")).message == CANCELED
        assert await alarms(rig) == []
        await rig.clock.sleep(LATE_S)
        (alarm,) = await alarms(rig)
        assert f"could not be told to cancel the invoice of {invoice[1]}" in alarm
        assert rig.told("c1") == []
        life.node.replace("cancel_invoice", cancels)
        assert await rig.answer("c1") == Canceled(invoice[1])
        assert await rig.available("purse") == 10 * AMOUNT
    life.audit()


@virtual
async def test_the_wish_waits_for_its_node_and_is_carried_out_when_that_is_back(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        _, payment_hash = await rig.invoice("i1", "till", AMOUNT, expiry_s=3_600)
        cancels = unheard(life)
        await rig.handle("c1", OWNER_GRANT, CancelInvoice(payment_hash=payment_hash))
        here = rig.context.node.node_id
    life.node.replace("cancel_invoice", cancels)
    life.node.exchange(OTHER)
    async with life.service() as rig:
        await rig.clock.sleep(3_600 + LEAVE_AFTER_S + 600)
        left = await rig.store.invoice_by_hash(here, payment_hash)
        assert (left.state, left.decision) == (InvoiceState.LEFT, Decision.CANCEL)
        assert await alarms(rig) == []
    life.node.exchange(here)
    async with life.service() as rig:
        assert await rig.answer("c1") == Canceled(payment_hash)
        assert (await stored(rig, payment_hash)).state is InvoiceState.CANCELED
    life.audit()


# ------------------------------------------------------------ inside the service


@virtual
async def test_of_a_payment_inside_and_the_wish_one_wins_and_no_money_is_lost(life: Life) -> None:
    async with life.service() as rig:
        await both(rig)
        invoice = await rig.invoice("i1", "till", AMOUNT)
        cancels, asked, goes_on = life.node.cancel_invoice, asyncio.Event(), asyncio.Event()

        async def slow(payment_hash: str) -> InvoiceStatus:
            status = await cancels(payment_hash)
            if not asked.is_set():
                asked.set()
                await goes_on.wait()
            return status

        life.node.replace("cancel_invoice", slow)
        await rig.pay("p1", "app", invoice, AMOUNT)
        await asked.wait()  # the node has cancelled it for the payment, which has not moved yet
        assert await cancel(rig, invoice[1]) == Canceled(invoice[1])
        goes_on.set()
        refused = await rig.answer("p1")
        assert refused.reason is Reason.PAYMENT_FAILED
        assert (
            await rig.store.payment_by_hash(life.node.there, invoice[1])
        ).evidence == "the payee has cancelled the invoice"
        assert (await rig.available("purse"), await rig.available("shop")) == (10 * AMOUNT, 0)
    life.audit()


@virtual
async def test_what_was_paid_inside_first_is_not_cancelled(life: Life) -> None:
    async with life.service() as rig:
        await both(rig)
        invoice = await rig.invoice("i1", "till", AMOUNT)
        await rig.pay("p1", "app", invoice, AMOUNT)
        assert isinstance(await rig.answer("p1"), Paid)
        assert (await cancel(rig, invoice[1])).reason is Reason.CONFLICT
        assert (await rig.available("purse"), await rig.available("shop")) == (9 * AMOUNT, AMOUNT)
    life.audit()


@virtual
async def test_a_payment_inside_that_a_crash_has_left_fails_when_the_invoice_is_to_be_cancelled(life: Life) -> None:
    async with life.service() as rig:
        await both(rig)
        invoice = await rig.invoice("i1", "till", AMOUNT)
        cancels = life.node.cancel_invoice

        async def never(_: str) -> InvoiceStatus:
            await asyncio.Event().wait()
            return InvoiceStatus(NodeInvoiceState.UNKNOWN)

        life.node.replace("cancel_invoice", never)
        await rig.pay("p1", "app", invoice, AMOUNT)
        await rig.handle("c1", OWNER_GRANT, CancelInvoice(payment_hash=invoice[1]))
        assert await rig.state(invoice[1]) == "reserved"
    life.node.replace("cancel_invoice", cancels)
    async with life.service() as rig:
        assert (await rig.answer("p1")).reason is Reason.PAYMENT_FAILED
        assert await rig.answer("c1") == Canceled(invoice[1])
        assert (await rig.available("purse"), await rig.available("shop")) == (10 * AMOUNT, 0)
    life.audit()


# ------------------------------------------------------------ a crash


@pytest.mark.parametrize("label", ["before DecideHold", "after DecideHold", "before cancel_invoice",
                                   "after cancel_invoice", "before EndHold", "after EndHold"])  # fmt: skip
@virtual
async def test_the_wish_is_carried_on_wherever_the_process_was_killed(life: Life, label: str) -> None:
    async with life.service() as rig:
        await till(rig)
        _, payment_hash = await rig.invoice("i1", "till", AMOUNT)
    crossings = Crossings(at=label)
    async with life.service(crossings) as rig:
        try:
            await rig.handle("c1", OWNER_GRANT, CancelInvoice(payment_hash=payment_hash))
            await rig.clock.sleep(300)
        except (KilledError, KitestringError):
            pass
        assert crossings.killed.is_set()
    async with life.service() as rig:
        await rig.clock.sleep(300)
        was_stored = label != "before DecideHold"
        state = (await stored(rig, payment_hash)).state
        assert state is (InvoiceState.CANCELED if was_stored else InvoiceState.OPEN)
        assert await cancel(rig, payment_hash) == Canceled(payment_hash)
        assert await rig.store.to_cancel() == []
    life.audit()
