"""Another node behind the address: nothing is sent there, nothing of it is believed, and spending stops."""

from __future__ import annotations

import asyncio

import pytest

from kitestring.base.commands import GetInfo, MakeInvoice
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.node import InvoiceOrder, OtherNodeError, PayOrder
from kitestring.base.outcomes import Paid, Refused
from kitestring.base.payments import PayAnswer, Unknown
from kitestring.engine.drift import WATCH_S
from kitestring.engine.node import ANSWER_LIMIT_S, ask_about, ask_to_pay
from kitestring.engine.same_node import NodeChangedError, SameNode
from tests.kit.clock import VirtualClock, virtual
from tests.kit.engine.node import FaultyBackend, Script
from tests.kit.engine.rig import AMOUNT, PATIENT, Life, Rig, is_paid
from tests.kit.waiting import until

HERE, THERE = "02" + "ab" * 32, "03" + "cd" * 32
DAY_S = 86_400


async def stopped(rig: Rig) -> str:
    return str((await rig.store.totals()).spending_stopped)


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_payment_that_one_node_has_made_is_not_made_by_another_in_its_place(life: Life, is_restarted: bool) -> None:
    """The answer was lost, and the other one has never seen it."""
    life.limits = PATIENT

    @virtual
    async def story() -> None:
        async with life.service() as rig:
            await rig.grant("app")
            invoice = life.node.outside_invoice(Script(answers=["never" if is_restarted else "lost"]))
            life.node.deaf = True
            await rig.pay("r1", "app", invoice, AMOUNT, expires_at=rig.clock.now() + DAY_S)
            await rig.clock.sleep(20)
            if is_restarted:
                await begin_again(rig)
            life.node.exchange(THERE)
            life.node.deaf = False
            await rig.clock.sleep(3 * ANSWER_LIMIT_S)
            assert (await rig.state(invoice[1]), rig.told("r1"), life.node.sends) == ("unknown", [], [invoice[1]])
            life.node.exchange(HERE)
            assert is_paid(await rig.answer("r1"), invoice[1])
            assert life.node.sends == [invoice[1]]

    story()


async def begin_again(rig: Rig) -> None:
    """As after a restart, with the same knowledge of the node."""
    for task in tuple(rig.context.tasks):
        task.cancel()
    await asyncio.sleep(0)
    for payment in await rig.store.open_payments():
        rig.engine._payments.carry_on(payment)


@virtual
async def test_spending_stops_with_an_alarm_that_names_both_nodes_and_goes_on_when_the_first_is_back(
    life: Life,
) -> None:
    async with life.service() as rig:
        await rig.account("purse", 900_000)
        for name, account in (("app", "owner"), ("shop", "purse")):
            await rig.grant(name, account=account)
        await rig.clock.sleep(5)
        life.node.exchange(THERE)
        await rig.clock.sleep(5)
        assert HERE[:16] in await stopped(rig)
        (alarm,) = [event for event in await rig.store.events(0, 1_000) if event.kind == "alarm"]
        assert alarm.detail.startswith(f"spending stops: another node ({THERE[:16]}…) answers")
        for name in ("app", "shop"):
            await rig.pay(f"{name} 1", name, life.node.outside_invoice(), 1_000)
            assert isinstance(refused := await rig.answer(f"{name} 1"), Refused)
            assert refused.reason in {Reason.SPENDING_STOPPED, Reason.UNAVAILABLE}
        assert life.node.sends == []
        assert isinstance(told := await rig.engine.ask("owner", GetInfo()), Refused)
        assert told.reason is Reason.UNAVAILABLE
        life.node.exchange(HERE)
        await rig.clock.sleep(2 * WATCH_S)
        assert await stopped(rig) == ""
        for name in ("app", "shop"):
            await rig.pay(f"{name} 2", name, life.node.outside_invoice(), 1_000)
            assert isinstance(await rig.answer(f"{name} 2"), Paid)


@virtual
async def test_what_another_node_receives_is_not_booked_and_no_invoice_is_made_there_or_ended_by_it(
    life: Life,
) -> None:
    async with life.service() as rig:
        await rig.grant("till")
        ours = await rig.invoice("i1", "till", 7_000, expiry_s=60)
        await rig.clock.sleep(5)
        life.node.exchange(THERE)
        theirs = await life.node.make_invoice(InvoiceOrder(None, "", "", 3_600, ""))
        life.node.pay_in(theirs.payment_hash, 5_000)
        await rig.handle("i2", "till", asked := MakeInvoice(amount_msat=Msat(7_000)))
        assert (await rig.answer("i2")).reason is Reason.UNAVAILABLE
        await rig.clock.sleep(DAY_S)
        applied = [type(tx).__name__ for tx in rig.store.applied]
        assert "Credit" not in applied
        found = await rig.store.invoice_by_hash(HERE, ours[1])
        assert found.state == "open"
        life.node.exchange(HERE)
        await rig.clock.sleep(2 * WATCH_S)
        assert (await rig.store.invoice_by_hash(HERE, ours[1])).state == "expired"
        await rig.handle("i3", "till", asked)
        await rig.answer("i3")
        assert "Credit" not in [type(tx).__name__ for tx in rig.store.applied]


@virtual
async def test_a_node_that_changes_while_it_is_asked_has_said_nothing() -> None:
    node = FaultyBackend(VirtualClock())
    backend = SameNode(node, lambda: HERE)
    await node.info()
    _, payment_hash = node.outside_invoice()
    node.exchange(THERE)  # at the next call it is another one, and only then is it known
    assert node.node_id == HERE
    with pytest.raises(NodeChangedError, match=f"another node \\({THERE[:16]}"):
        await backend.lookup_payment(payment_hash)
    with pytest.raises(OtherNodeError, match="restart kitestring to stand on the other"):
        await backend.lookup_payment(payment_hash)
    assert node.calls == ["info", "lookup_payment"]
    await node.info()
    assert (await backend.info()).node_id == backend.node_id == THERE
    node.exchange(HERE)
    await backend.info()
    assert (await backend.balance()).spendable_msat > 0


@virtual
async def test_an_order_that_another_node_may_have_taken_is_unknown_and_one_that_was_held_back_has_failed() -> None:
    node = FaultyBackend(VirtualClock())
    backend = SameNode(node, lambda: HERE)
    text, payment_hash = node.outside_invoice()

    async def sent(order: PayOrder) -> PayAnswer:
        node.node_id = THERE
        return Unknown("no word")

    node.replace("pay", sent)
    order = PayOrder(Bolt11(text), payment_hash, Msat(1_000), Msat(10), 15)
    assert isinstance(await ask_to_pay(backend.pay(order), payment_hash), Unknown)
    never_sent = await ask_to_pay(backend.pay(order), payment_hash)
    assert "never reached: another node" in str(never_sent)
    assert isinstance(await ask_about(backend.pay(order), payment_hash), Unknown)


@virtual
async def test_a_stream_ends_when_another_node_speaks_in_it() -> None:
    node = FaultyBackend(VirtualClock())
    backend = SameNode(node, lambda: HERE)
    made = [await node.make_invoice(InvoiceOrder(None, "", "", 3_600, "")) for _ in range(2)]
    told = list[str]()

    async def listen() -> None:
        async for settlement in backend.settlements(b""):
            told.append(settlement.payment_hash)

    listening = asyncio.create_task(listen())
    node.pay_in(made[0].payment_hash, 1_000)
    await until(lambda: len(told) == 1)
    node.node_id = THERE
    node.pay_in(made[1].payment_hash, 1_000)
    with pytest.raises(NodeChangedError):
        await listening
    assert told == [made[0].payment_hash]
