"""When "never seen" proves that nothing was paid: not where the node's memory has become shorter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kitestring.base.outcomes import Refused
from kitestring.engine.node import ANSWER_LIMIT_S
from tests.kit.changed import replace
from tests.kit.clock import VirtualClock, virtual
from tests.kit.engine.node import ABILITIES, FaultyBackend, Script
from tests.kit.engine.rig import AMOUNT, PATIENT, Life, is_paid

DAY_S = 86_400
#: Long enough for everything that ends by itself.
LONG_S = 3 * ANSWER_LIMIT_S


async def die_after_paying(life: Life, account: str = "", **more: Any) -> tuple[str, str]:
    """The node has paid, and the answer died with the process that waited for it."""
    async with life.service() as rig:
        if account:
            await rig.account(account, 900_000)
        await rig.grant("app", account=account or "owner")
        before = life.node.outside_invoice()
        await rig.pay("r0", "app", before, AMOUNT)
        await rig.answer("r0")
        invoice = life.node.outside_invoice(Script(answers=["never"]))
        await rig.pay("r1", "app", invoice, AMOUNT, **more)
        await rig.clock.sleep(5)
    assert life.node.sends == [before[1], invoice[1]]
    return invoice


async def is_left_to_the_operator(life: Life, invoice: tuple[str, str]) -> str:
    """Its money stays held, nobody is told, nothing is sent; what the row says about it."""
    sent = list(life.node.sends)
    async with life.service() as rig:
        await rig.clock.sleep(LONG_S)
        assert (await rig.state(invoice[1]), rig.told("r1"), life.node.sends) == ("unknown", [], sent)
        payment = await rig.store.payment_by_hash(rig.context.node.node_id, invoice[1])
        await rig.engine.resolve(payment.payment_id, "lnd shows the HTLC")
        assert rig.told("r1") != []
    return str(payment.evidence)


def forget(life: Life) -> None:
    life.node.forget_payments()


def forget_and_go_on(life: Life) -> None:
    life.node.forget_payments()
    life.node.earlier = 60  # as many were made since


def restore(life: Life) -> None:
    life.node._sent.clear()
    life.node.earlier = 90


@pytest.mark.parametrize("account", ["", "purse"])
@pytest.mark.parametrize("lose", [forget, forget_and_go_on, restore])
def test_a_payment_whose_record_the_node_has_lost_is_not_sent_again(
    life: Life, lose: Callable[[Life], None], account: str
) -> None:
    life.limits = PATIENT

    @virtual
    async def story() -> None:
        invoice = await die_after_paying(life, account, expires_at=life.clock.now() + DAY_S)
        lose(life)
        assert "became shorter" in await is_left_to_the_operator(life, invoice)

    story()


@virtual
async def test_a_payment_whose_record_the_node_has_lost_is_not_called_failed_when_its_invoice_expires(
    life: Life,
) -> None:
    invoice = await die_after_paying(life, expires_at=life.clock.now() + 60)
    life.node.forget_payments()
    await life.clock.sleep(120)
    await is_left_to_the_operator(life, invoice)


@virtual
async def test_a_loss_that_another_claim_shows_counts_for_all_that_are_open(life: Life) -> None:
    """Restored to a state that the first claim has seen, and the second one has not."""
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["never"]))
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.clock.sleep(60)
        for number in range(2):
            await rig.pay(f"later {number}", "app", life.node.outside_invoice(), 1_000)
            await rig.answer(f"later {number}")
            await rig.clock.sleep(60)
    life.node._sent.clear()
    await is_left_to_the_operator(life, invoice)


@virtual
async def test_what_has_settled_since_the_count_must_be_in_the_list_as_well(life: Life) -> None:
    """Restored to the very count that both claims have seen, because it is asked for once a minute."""
    async with life.service() as rig:
        await rig.grant("app")
        await rig.pay("r0", "app", life.node.outside_invoice(), 1_000)
        await rig.answer("r0")
        invoice = life.node.outside_invoice(Script(answers=["never"]))
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.clock.sleep(1)
    life.node._sent.clear()
    await is_left_to_the_operator(life, invoice)


@virtual
async def test_a_node_that_is_put_back_to_right_before_an_order_is_sent_it_again_only_as_long_as_it_may_be_sent(
    life: Life,
) -> None:
    """Nobody can tell it from a node that never got the order: the deadline of the claim bounds what that costs."""
    for waited_s, number in ((30, 2), (150, 1)):
        async with life.service() as rig:
            if number == 2:
                await rig.grant("app")
            invoice = life.node.outside_invoice(Script(answers=["never", "true"]))
            await rig.pay(f"r{number}", "app", invoice, AMOUNT)
            await rig.clock.sleep(1)
        del life.node._sent[invoice[1]]
        await life.clock.sleep(waited_s)
        async with life.service() as rig:
            await rig.clock.sleep(LONG_S)
            assert (life.node.sends.count(invoice[1]), len(rig.told(f"r{number}"))) == (number, 1)


@virtual
async def test_what_the_process_that_sent_it_is_told_is_compared_as_well(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["lost"]))
        life.node.deaf = True
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.clock.sleep(10)
        life.node.forget_payments()
        life.node.deaf = False
        await rig.clock.sleep(LONG_S)
        assert (await rig.state(invoice[1]), rig.told("r1"), life.node.sends) == ("unknown", [], [invoice[1]])


@virtual
async def test_what_was_seen_on_its_way_was_never_never_seen(life: Life) -> None:
    """Of one record alone no count tells; but the node has shown it to us."""
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["inflight"], settles_after_s=200))
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.clock.sleep(100)
        del life.node._sent[invoice[1]]
        life.node.earlier += 1
        await rig.clock.sleep(LONG_S)
        assert (await rig.state(invoice[1]), rig.told("r1"), life.node.sends) == ("unknown", [], [invoice[1]])


async def die_before_the_order_is_sent(life: Life) -> tuple[str, str]:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()

        async def nothing(_: object) -> None:
            await rig.clock.sleep(DAY_S)

        pay = life.node.pay
        life.node.replace("pay", nothing)
        await rig.pay("r1", "app", invoice, AMOUNT, expires_at=rig.clock.now() + 30 * DAY_S)
        await rig.clock.sleep(1)
        life.node.replace("pay", pay)
    return invoice


@virtual
async def test_a_backend_that_counts_nothing_is_never_believed_after_a_restart(life: Life) -> None:
    life.node = FaultyBackend(VirtualClock(), replace(ABILITIES, payment_index=False))
    invoice = await die_before_the_order_is_sent(life)
    assert "restart" in await is_left_to_the_operator(life, invoice)
    assert "payment_index" not in life.node.calls


@virtual
async def test_a_backend_that_counts_nothing_is_believed_by_the_process_that_has_sent_the_order(life: Life) -> None:
    life.node = FaultyBackend(VirtualClock(), replace(ABILITIES, payment_index=False))
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["dropped", "true"]))
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert is_paid(await rig.answer("r1"), invoice[1])


@virtual
async def test_an_empty_list_cannot_be_told_from_an_emptied_one(life: Life) -> None:
    life.node.earlier = 0
    invoice = await die_before_the_order_is_sent(life)
    await is_left_to_the_operator(life, invoice)


@virtual
async def test_after_a_day_never_seen_proves_nothing(life: Life) -> None:
    invoice = await die_before_the_order_is_sent(life)
    await life.clock.sleep(DAY_S + 1)
    assert "too old" in await is_left_to_the_operator(life, invoice)


@pytest.mark.parametrize("step_s", [-400 * DAY_S, -3_600, 26 * 3_600, 400 * DAY_S])
def test_a_claim_of_unknown_age_is_not_young(life: Life, step_s: int) -> None:
    @virtual
    async def story() -> None:
        invoice = await die_before_the_order_is_sent(life)
        life.clock.skew_s = step_s
        await is_left_to_the_operator(life, invoice)

    story()


@virtual
async def test_a_node_that_cannot_count_at_the_moment_is_asked_again(life: Life) -> None:
    invoice = await die_before_the_order_is_sent(life)
    count = life.node.payment_index

    async def broken() -> int:
        raise ConnectionResetError("no answer")

    life.node.replace("payment_index", broken)
    async with life.service() as rig:
        await rig.clock.sleep(30)
        assert life.node.sends == []
        life.node.replace("payment_index", count)
        assert is_paid(await rig.answer("r1"), invoice[1])


@virtual
async def test_what_was_never_sent_is_called_so_when_it_is_too_late_and_nothing_was_lost(life: Life) -> None:
    await die_before_the_order_is_sent(life)
    await life.clock.sleep(20 * 3_600)
    async with life.service() as rig:
        refused = await rig.answer("r1")
        assert isinstance(refused, Refused)
        assert refused.message == "not sent: too late; nothing was paid"
        assert life.node.sends == []


@virtual
async def test_the_count_is_stored_with_the_claim_and_costs_no_call_of_its_own_for_each_payment(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("purse", 900_000)
        for name, account in (("owner's", "owner"), ("purse's", "purse")):
            await rig.grant(name, account=account)
            for number in range(10):
                invoice = life.node.outside_invoice()
                await rig.pay(f"{name} {number}", name, invoice, 1_000)
                await rig.answer(f"{name} {number}")
                payment = await rig.store.payment_by_hash(rig.context.node.node_id, invoice[1])
                assert payment.payment_index == 100
        assert life.node.calls.count("payment_index") == life.node.calls.count("balance") - 1 == 1
