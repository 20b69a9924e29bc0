"""Payer and payee in one service: the payer's reserve is what is held, and the node holds nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kitestring.base.commands import CancelHold, SettleHold
from kitestring.base.errors import Reason
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import Msat
from kitestring.base.node import HoldOrder, InvoiceStatus, NodeInvoiceState
from kitestring.base.outcomes import Paid
from kitestring.base.records import StopCause
from kitestring.base.transactions.service import SetSpending
from kitestring.engine.hold_pursuit import CANCEL_BEFORE_BLOCKS
from tests.kit.clock import EPOCH, virtual
from tests.kit.engine.crossings import Crossings, KilledError
from tests.kit.engine.holding import (
    ENDED,
    EVERY,
    FUNDED,
    HASH,
    PREIMAGE,
    SETTLED,
    accepted,
    both,
    cancel,
    events,
    funds,
    hold,
    paid_inside,
    settle,
    stored,
)
from tests.kit.engine.node import BLOCK_S
from tests.kit.engine.rig import AMOUNT, PATIENT, Life, Rig


@virtual
async def test_the_reserve_stays_until_the_payee_settles_and_then_both_sides_move_without_a_fee(life: Life) -> None:
    async with life.service() as rig:
        await both(rig)
        await paid_inside(rig)
        held = await stored(rig)
        assert (held.state, held.settle_deadline) == (InvoiceState.ACCEPTED, life.node.height + 144)
        await rig.clock.sleep(3_600)
        assert await funds(rig) == (0, FUNDED - AMOUNT)
        assert rig.told("p1") == []
        assert await rig.state(HASH) == "reserved"
        assert life.node._made[HASH].state == "canceled"  # nobody outside can pay it as well
        assert await settle(rig) == SETTLED
        moved = Paid(HASH, PREIMAGE, Msat(AMOUNT), Msat(0), internal=True, created_at=EPOCH)
        assert await rig.answer("p1") == moved
        assert await funds(rig) == (AMOUNT, FUNDED - AMOUNT)
        assert [kind for kind, _ in await events(rig)] == ["accepted", "received"]
        assert life.node.received() == {}


@virtual
async def test_what_the_payee_cancels_goes_back_to_the_payer(life: Life) -> None:
    async with life.service() as rig:
        await both(rig)
        await paid_inside(rig)
        assert await cancel(rig) == ENDED
        assert (await rig.answer("p1")).reason is Reason.PAYMENT_FAILED
        assert await funds(rig) == (0, FUNDED)
        assert (await stored(rig)).state is InvoiceState.CANCELED
        assert (await settle(rig)).reason is Reason.CONFLICT


@virtual
async def test_the_deadline_holds_inside_the_service_too(life: Life) -> None:
    async with life.service() as rig:
        await both(rig)
        await paid_inside(rig, min_cltv_delta=40)
        await rig.clock.sleep((40 - CANCEL_BEFORE_BLOCKS + 1) * BLOCK_S)
        assert (await rig.answer("p1")).reason is Reason.PAYMENT_FAILED
        assert await funds(rig) == (0, FUNDED)
        assert (await stored(rig)).state is InvoiceState.CANCELED
        assert any("cancelled in time" in detail for kind, detail in await events(rig) if kind == "alarm")


@pytest.mark.parametrize("state", [NodeInvoiceState.ACCEPTED, NodeInvoiceState.SETTLED])
@virtual
async def test_who_has_paid_from_outside_first_is_served_first(life: Life, state: NodeInvoiceState) -> None:
    async with life.service() as rig:
        await both(rig)
        invoice = await hold(rig)
        looks = life.node.lookup_invoice

        async def paid_meanwhile(payment_hash: str) -> object:
            life.node.replace("lookup_invoice", looks)
            assert life.node.pay_in(payment_hash)
            if state is NodeInvoiceState.SETTLED:
                await life.node.settle_invoice(PREIMAGE)
            return await looks(payment_hash)

        life.node.replace("lookup_invoice", paid_meanwhile)
        await rig.pay("p1", "app", invoice, AMOUNT)
        assert (await rig.answer("p1")).reason is Reason.INVOICE_TAKEN
        if state is NodeInvoiceState.ACCEPTED:
            await accepted(rig)
            assert await settle(rig) == SETTLED
        await rig.clock.sleep(60)
        assert await funds(rig) == (AMOUNT, FUNDED)


@virtual
async def test_nothing_is_held_twice_while_the_node_does_not_say_that_nobody_outside_can_pay(life: Life) -> None:
    async with life.service() as rig:
        await both(rig)
        invoice = await hold(rig)
        life.node.offline = True
        await rig.pay("p1", "app", invoice, AMOUNT)
        await rig.clock.sleep(60)
        assert (await stored(rig)).state is InvoiceState.OPEN
        assert await funds(rig) == (0, FUNDED - AMOUNT)
        life.node.offline = False
        await accepted(rig)
        assert await settle(rig) == SETTLED


@virtual
async def test_another_node_at_the_address_says_nothing_about_the_height(life: Life) -> None:
    async with life.service() as rig:
        await both(rig)
        invoice = await hold(rig)
        tells = life.node.info

        async def of_another() -> object:
            life.node.node_id = "03" + "cd" * 32
            return await tells()

        here = life.node.there
        life.node.replace("info", of_another)
        life.node.there = here
        await rig.pay("p1", "app", invoice, AMOUNT)
        await rig.clock.sleep(5)
        life.node.replace("info", tells)
        await accepted(rig)


@virtual
async def test_a_decision_to_cancel_that_is_quicker_than_the_payer_ends_the_payment(life: Life) -> None:
    async with life.service() as rig:
        await both(rig)
        invoice = await hold(rig)
        life.node.offline = True
        await rig.pay("p1", "app", invoice, AMOUNT)
        await rig.handle("c1", "till", CancelHold(payment_hash=HASH))
        life.node.offline = False
        assert (await rig.answer("p1")).reason is Reason.PAYMENT_FAILED
        assert await rig.answer("c1") == ENDED
        assert await funds(rig) == (0, FUNDED)


@virtual
async def test_a_second_payer_is_told_that_it_is_taken(life: Life) -> None:
    async with life.service() as rig:
        await both(rig)
        await rig.grant("second", account="purse", methods=EVERY)
        await paid_inside(rig)
        held = await stored(rig)
        await rig.pay("p2", "second", (held.bolt11, HASH), AMOUNT)
        assert (await rig.answer("p2")).reason is Reason.INVOICE_TAKEN
        await settle(rig)
        assert await funds(rig) == (AMOUNT, FUNDED - AMOUNT)


@virtual
async def test_a_stop_does_not_wait_for_the_payee(life: Life) -> None:
    async with life.service() as rig:
        await both(rig)
        await paid_inside(rig)
        began = asyncio.get_running_loop().time()
        assert await rig.engine.stop(60) == 1
        assert asyncio.get_running_loop().time() - began < 1
    async with life.service() as rig:
        assert await settle(rig) == SETTLED
        assert isinstance(await rig.answer("p1"), Paid)


@virtual
async def test_money_of_another_node_goes_back_at_once(life: Life) -> None:
    """Nothing was ever held at any node: no node has to be asked."""
    async with life.service() as rig:
        await both(rig)
        await paid_inside(rig)
    life.node.exchange("03" + "cd" * 32)
    async with life.service() as rig:
        assert (await rig.answer("p1")).reason is Reason.PAYMENT_FAILED
        assert await funds(rig) == (0, FUNDED)
        assert await rig.store.holds() == []


DEATHS = [
    "after ClaimPayment", "before cancel_invoice", "after cancel_invoice", "before HoldPayment", "after HoldPayment",
    "before DecideHold", "after DecideHold", "before RecordPayment", "after RecordPayment",
]  # fmt: skip


@pytest.mark.parametrize("is_settled", [True, False])
@pytest.mark.parametrize("label", DEATHS)
@virtual
async def test_it_is_carried_on_wherever_the_process_was_killed(life: Life, label: str, is_settled: bool) -> None:
    decision = SettleHold(payment_hash=HASH, preimage=PREIMAGE) if is_settled else CancelHold(payment_hash=HASH)
    async with life.service() as rig:
        await both(rig)
        invoice = await hold(rig)
    crossings = Crossings(at=label)
    async with life.service(crossings) as rig:
        try:
            await rig.pay("p1", "app", invoice, AMOUNT)
            await rig.clock.sleep(30)
            if not crossings.killed.is_set():
                await rig.handle("d1", "till", decision)
                await rig.clock.sleep(30)
        except KilledError:
            pass
        assert crossings.killed.is_set()
    async with life.service() as rig:
        await rig.clock.sleep(60)
        await rig.pay("p1", "app", invoice, AMOUNT)
        await rig.clock.sleep(60)
        await rig.handle("d1", "till", decision)
        assert await rig.answer("d1") == (SETTLED if is_settled else ENDED)
        answer = await rig.answer("p1")
        assert isinstance(answer, Paid) if is_settled else answer.reason is Reason.PAYMENT_FAILED
        assert await funds(rig) == ((AMOUNT, FUNDED - AMOUNT) if is_settled else (0, FUNDED))


# ------------------------------------------------------------ another node, and what was decided


@pytest.mark.parametrize("is_settled", [True, False])
@virtual
async def test_what_was_decided_is_carried_through_although_the_service_stands_on_another_node(
    life: Life, is_settled: bool
) -> None:
    """All of the money is in our books, and nothing is at the node that is gone."""
    decision = SettleHold(payment_hash=HASH, preimage=PREIMAGE) if is_settled else CancelHold(payment_hash=HASH)
    async with life.service() as rig:
        await both(rig)
        await paid_inside(rig)
    crossings = Crossings(at="after DecideHold")
    async with life.service(crossings) as rig:
        with pytest.raises(KilledError):
            await rig.handle("d1", "till", decision)
    life.node.exchange("03" + "cd" * 32)
    async with life.service() as rig:
        assert await rig.answer("d1") == (SETTLED if is_settled else ENDED)
        answer = await rig.answer("p1")
        assert isinstance(answer, Paid) if is_settled else answer.reason is Reason.PAYMENT_FAILED
        assert await funds(rig) == ((AMOUNT, FUNDED - AMOUNT) if is_settled else (0, FUNDED))
        assert await rig.store.holds() == []
    life.audit()


@pytest.mark.parametrize("label", DEATHS[1:])  # after the first claim nothing is stored: it asks whose the invoice is
@virtual
async def test_wherever_the_process_was_killed_another_node_leaves_both_sides_moved_or_neither(
    life: Life, label: str
) -> None:
    async with life.service() as rig:
        await both(rig)
        invoice = await hold(rig)
    crossings = Crossings(at=label)
    async with life.service(crossings) as rig:
        try:
            await rig.pay("p1", "app", invoice, AMOUNT)
            await rig.clock.sleep(30)
            if not crossings.killed.is_set():
                await rig.handle("s1", "till", SettleHold(payment_hash=HASH, preimage=PREIMAGE))
                await rig.clock.sleep(30)
        except KilledError:
            pass
        assert crossings.killed.is_set()
    life.node.exchange("03" + "cd" * 32)
    async with life.service() as rig:
        await rig.clock.sleep(60)
        is_decided = label in {"after DecideHold", "before RecordPayment", "after RecordPayment"}
        answer = await rig.answer("p1")
        assert isinstance(answer, Paid) if is_decided else answer.reason is Reason.PAYMENT_FAILED
        assert await funds(rig) == ((AMOUNT, FUNDED - AMOUNT) if is_decided else (0, FUNDED))
        assert await rig.store.open_payments() == await rig.store.running_requests() == []
    life.audit()


@virtual
async def test_a_cancellation_is_not_told_before_the_node_has_said_it_because_a_payer_inside_gave_up(
    life: Life,
) -> None:
    """Nothing of that payer was held: somebody outside may still pay it."""
    async with life.service() as rig:
        await both(rig)
        invoice = await hold(rig)
        life.node.offline = True
        await rig.pay("p1", "app", invoice, AMOUNT)
        await rig.handle("c1", "till", CancelHold(payment_hash=HASH))
        assert (await rig.answer("p1")).reason is Reason.PAYMENT_FAILED
        assert rig.told("c1") == []
        life.node.offline = False
        assert await rig.answer("c1") == ENDED
        assert not life.node.pay_in(HASH)


@virtual
async def test_whoever_settles_what_came_from_outside_hears_nothing_of_a_payer_inside_who_was_too_slow(
    life: Life,
) -> None:
    async with life.service() as rig:
        await both(rig)
        invoice = await hold(rig)
        settles, looks = life.node.settle_invoice, life.node.lookup_invoice

        async def slow(_: str) -> object:
            await rig.clock.sleep(20)
            raise TimeoutError("no answer")

        life.node.replace("settle_invoice", slow)
        life.node.replace("lookup_invoice", slow)
        await rig.pay("p1", "app", invoice, AMOUNT)
        assert life.node.pay_in(HASH)
        await accepted(rig)
        await rig.handle("s1", "till", SettleHold(payment_hash=HASH, preimage=PREIMAGE))
        assert (await rig.answer("p1")).reason is Reason.INVOICE_TAKEN
        assert rig.told("s1") == []
        life.node.replace("settle_invoice", settles)
        life.node.replace("lookup_invoice", looks)
        assert await rig.answer("s1") == SETTLED
        assert await funds(rig) == (AMOUNT, FUNDED)


# ------------------------------------------------------------ the deadline of the claim, and what a node proves


async def offline(life: Life, rig: Rig) -> None:
    """The app has claimed its payment, and the node cannot say whether somebody outside has paid."""
    await both(rig)
    invoice = await hold(rig)
    life.node.offline = True
    await rig.pay("p1", "app", invoice, AMOUNT)


async def _revoked(rig: Rig) -> None:
    await rig.change("app", revoked_at=rig.clock.now())


async def _stopped(rig: Rig) -> None:
    await rig.store.apply(SetSpending(True, "look at it", rig.clock.now(), StopCause.DRIFT))


async def _waited(rig: Rig) -> None:
    await rig.clock.sleep(121)


UNWANTED = [_revoked, _stopped, _waited]


@pytest.mark.parametrize("happens", UNWANTED)
@virtual
async def test_nothing_is_held_that_nobody_wants_any_more(life: Life, happens: Any) -> None:
    """Whoever was not answered in time pays in another way."""
    async with life.service() as rig:
        await offline(life, rig)
        await happens(rig)
        await rig.clock.sleep(60)
        life.node.offline = False
        assert (await rig.answer("p1")).reason is Reason.PAYMENT_FAILED
        assert await funds(rig) == (0, FUNDED)
        assert (await stored(rig)).state is InvoiceState.OPEN
        assert life.node.pay_in(HASH)
    life.audit()


@virtual
async def test_a_claim_of_an_earlier_life_that_is_too_late_is_not_held(life: Life) -> None:
    async with life.service() as rig:
        await offline(life, rig)
    life.node.offline = False
    await life.clock.sleep(3_000)
    async with life.service() as rig:
        refused = await rig.answer("p1")
        assert (refused.reason, "too late" in refused.message) == (Reason.PAYMENT_FAILED, True)
        assert await funds(rig) == (0, FUNDED)
        await rig.clock.sleep(600)
        assert (await stored(rig)).state is not InvoiceState.ACCEPTED


@virtual
async def test_a_claim_of_an_earlier_life_is_not_held_before_a_witness_says_that_the_ledger_is_no_old_one(
    life: Life,
) -> None:
    async with life.service() as rig:
        await offline(life, rig)
    life.node.offline, life.is_witnessed = False, False
    async with life.service() as rig:
        await rig.clock.sleep(60)
        assert (await stored(rig)).state is InvoiceState.OPEN
        assert "cancel_invoice" not in life.node.calls
        life.is_witnessed = True
        await accepted(rig)
        assert await settle(rig) == SETTLED


@virtual
async def test_a_node_that_has_forgotten_the_invoice_proves_nothing(life: Life) -> None:
    async with life.service() as rig:
        await both(rig)
        invoice = await hold(rig)
        life.node.forget_invoices()
        await rig.pay("p1", "app", invoice, AMOUNT)
        assert (await rig.answer("p1")).reason is Reason.PAYMENT_FAILED
        assert await funds(rig) == (0, FUNDED)
        assert (await stored(rig)).state is InvoiceState.OPEN


@virtual
async def test_the_end_of_another_invoice_of_the_same_hash_proves_nothing(life: Life) -> None:
    """It was made by hand after the node had lost the first one."""
    async with life.service() as rig:
        await both(rig)
        invoice = await hold(rig)
        life.node.forget_invoices()
        await life.node.make_hold_invoice(HoldOrder(HASH, Msat(AMOUNT), "", "", 3_600))
        await life.node.cancel_invoice(HASH)
        await rig.pay("p1", "app", invoice, AMOUNT)
        assert (await rig.answer("p1")).reason is Reason.PAYMENT_FAILED
        assert (await stored(rig)).state is InvoiceState.OPEN


@virtual
async def test_a_node_that_deletes_what_is_cancelled_has_said_so_all_the_same(life: Life) -> None:
    async with life.service() as rig:
        await both(rig)
        cancels = life.node.cancel_invoice

        async def deletes(payment_hash: str) -> InvoiceStatus:
            await cancels(payment_hash)
            life.node.forget_invoices()
            return InvoiceStatus(NodeInvoiceState.UNKNOWN)

        life.node.replace("cancel_invoice", deletes)
        await paid_inside(rig)
        assert await settle(rig) == SETTLED


@virtual
async def test_a_payer_is_not_told_that_somebody_else_has_paid_what_has_expired(life: Life) -> None:
    life.limits = PATIENT
    async with life.service() as rig:
        await both(rig)
        invoice = await hold(rig, expiry_s=600)
        tells = life.node.info

        async def silent() -> object:
            raise TimeoutError("no answer")

        life.node.replace("info", silent)
        await rig.pay("p1", "app", invoice, AMOUNT)
        await rig.clock.sleep(900)
        life.node.replace("info", tells)
        refused = await rig.answer("p1")
        assert (refused.reason, refused.message) == (Reason.PAYMENT_FAILED, "the invoice has expired")
