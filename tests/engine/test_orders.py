"""The table of the orders: which word of the node is the last one, row by row."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kitestring.base.destinations import Bolt11
from kitestring.base.errors import Reason
from kitestring.base.money import ZERO, Msat
from kitestring.base.node import PayOrder
from kitestring.base.outcomes import Refused
from kitestring.base.payments import (
    Failed,
    FailureReason,
    InFlight,
    LookupAnswer,
    NeverSeen,
    PayAnswer,
    Settled,
    Unknown,
)
from kitestring.base.transactions.service import SetSpending
from kitestring.engine.node import ANSWER_LIMIT_S
from kitestring.engine.orders import SEND_AGAIN_S, Orders
from kitestring.engine.recovery import recover
from tests.kit.changed import replace
from tests.kit.clock import VirtualClock, virtual
from tests.kit.engine.node import ABILITIES, FaultyBackend, Script
from tests.kit.engine.rig import AMOUNT, PATIENT, Life, Rig, is_paid
from tests.kit.ledger.values import NOW

FAILED = Failed("no route", FailureReason.NO_ROUTE)
OLD, NEW = Failed("no route", attempt_at=NOW - 9), Failed("no route", attempt_at=NOW)
LIMITED = ("idempotent_by_hash", "authoritative_lookup")
REFUSAL = Failed("not enough", FailureReason.INSUFFICIENT_FUNDS)


def end(orders: Orders, answer: LookupAnswer, now_s: float, *, authoritative: bool = True) -> Failed | None:
    return orders.end(answer, now_s, is_authoritative=authoritative)


def of_the_dead(*, several: bool = False, first_at: int | None = None) -> Orders:
    """Found at monotonic second 0."""
    return Orders.of_the_dead(0, may_be_several=several, first_at=first_at)


# ------------------------------------------------------------ one order, its answer was lost


def test_a_failure_after_the_node_was_seen_trying_ends_the_only_order() -> None:
    orders = Orders.lost(0, None)
    assert end(orders, InFlight(), 1) is None
    assert end(orders, FAILED, 2) == FAILED


def test_a_record_that_changed_under_our_eyes_ends_the_only_order() -> None:
    orders = Orders.lost(0, None)
    assert [end(orders, answer, 1) for answer in (OLD, OLD, NEW)] == [None, None, NEW]


@pytest.mark.parametrize(
    ("first_at", "seen", "ends"),
    [(NOW, NEW, True), (NOW, OLD, False), (NOW, FAILED, False), (None, NEW, False)],
    ids=["dated after the claim", "dated before it", "without a date", "the hash had failed before"],
)
def test_a_dated_failure_ends_the_only_order_of_a_hash_that_was_never_claimed_before(
    first_at: int | None, seen: Failed, ends: bool
) -> None:
    assert end(Orders.lost(0, first_at), seen, 1) == (seen if ends else None)


def test_a_failure_that_may_be_an_earlier_attempts_never_ends_a_living_order_however_long_it_is_shown() -> None:
    orders = Orders.lost(0, None)
    assert [end(orders, OLD, s) for s in (1, ANSWER_LIMIT_S, 10 * ANSWER_LIMIT_S)] == [None] * 3


def test_what_was_never_seen_may_be_on_its_way_and_is_sent_again_after_a_quiet_time() -> None:
    orders = Orders.lost(0, NOW)
    assert end(orders, NeverSeen(NOW), SEND_AGAIN_S[0]) is None
    assert [orders.may_send(NeverSeen(NOW), s) for s in (SEND_AGAIN_S[0] - 1, SEND_AGAIN_S[0])] == [False, True]


@pytest.mark.parametrize("answer", [Settled("11" * 32, ZERO), InFlight(), Unknown("no answer")])
def test_no_other_word_is_a_failure(answer: LookupAnswer) -> None:
    for orders in (Orders.lost(0, NOW), of_the_dead(), Orders.of_others(0)):
        assert end(orders, answer, 10 * ANSWER_LIMIT_S) is None


# ------------------------------------------------------------ several orders of this process


@pytest.mark.parametrize("seen", [OLD, NeverSeen(NOW)])
def test_a_refusal_told_to_the_last_order_ends_all_after_a_quiet_time(seen: Failed | NeverSeen) -> None:
    orders = Orders.lost(0, None)
    orders.sent(REFUSAL, 100)
    assert end(orders, seen, 99 + ANSWER_LIMIT_S) is None
    assert end(orders, seen, 100 + ANSWER_LIMIT_S) == REFUSAL


def test_a_refusal_is_waited_out_and_not_repeated() -> None:
    orders = Orders.lost(0, None)
    orders.sent(REFUSAL, 100)
    assert not orders.may_send(NeverSeen(NOW), 99 + ANSWER_LIMIT_S)
    orders.sent(Unknown("lost"), 200)
    assert orders.may_send(NeverSeen(NOW), 200 + SEND_AGAIN_S[2])


def test_an_earlier_order_that_is_seen_on_its_way_makes_the_refusal_of_the_last_one_worthless() -> None:
    orders = Orders.lost(0, None)
    orders.sent(REFUSAL, 100)
    assert end(orders, InFlight(), 120) is None
    assert end(orders, NeverSeen(NOW), 100 + ANSWER_LIMIT_S) is None
    assert end(orders, FAILED, 101 + ANSWER_LIMIT_S) == FAILED  # which has failed in its turn


def test_the_proof_of_a_failure_waits_for_the_quiet_time_where_several_were_sent() -> None:
    orders = Orders.lost(0, None)
    orders.sent(Unknown("lost again"), 100)
    assert end(orders, InFlight(), 101) is None
    assert end(orders, FAILED, 99 + ANSWER_LIMIT_S) is None
    assert end(orders, FAILED, 100 + ANSWER_LIMIT_S) == FAILED


def test_a_date_proves_nothing_where_several_were_sent() -> None:
    orders = Orders.lost(0, NOW)
    orders.sent(Unknown("lost again"), 100)
    assert end(orders, NEW, 100 + ANSWER_LIMIT_S) is None


def test_the_waits_before_the_same_order_is_sent_again_grow_to_ten_minutes() -> None:
    orders, now_s, waits = Orders.lost(0, None), 0.0, []
    for _ in range(6):
        begun_s = now_s
        while not orders.may_send(NeverSeen(NOW), now_s):
            now_s += 1
        waits.append(now_s - begun_s)
        orders.sent(Unknown("lost again"), now_s)
    assert waits == [*SEND_AGAIN_S, SEND_AGAIN_S[-1], SEND_AGAIN_S[-1]]


# ------------------------------------------------------------ orders of a dead process


def test_a_failure_is_waited_out_until_nothing_of_a_dead_process_can_arrive() -> None:
    orders = of_the_dead()
    assert not orders.is_over(ANSWER_LIMIT_S - 1)
    assert end(orders, OLD, ANSWER_LIMIT_S - 1) is None
    assert not orders.may_send(OLD, 10 * ANSWER_LIMIT_S)
    assert orders.is_over(ANSWER_LIMIT_S)
    assert end(orders, OLD, ANSWER_LIMIT_S) == OLD


def test_a_node_whose_look_ups_are_not_authoritative_never_ends_it() -> None:
    assert end(of_the_dead(), OLD, 10 * ANSWER_LIMIT_S, authoritative=False) is None


def test_of_several_orders_the_last_may_have_been_sent_just_before_the_end() -> None:
    orders = of_the_dead(several=True, first_at=NOW)
    assert end(orders, NEW, ANSWER_LIMIT_S - 1) is None
    assert end(orders, NEW, ANSWER_LIMIT_S) == NEW


def test_what_the_node_never_saw_of_a_dead_process_is_sent_again_at_once_and_then_it_is_alive() -> None:
    orders = of_the_dead()
    assert orders.may_send(NeverSeen(NOW), 0)
    orders.sent(Unknown("lost"), 5)
    assert not orders.may_send(NeverSeen(NOW), 4 + SEND_AGAIN_S[0])
    assert end(orders, OLD, 10 * ANSWER_LIMIT_S) is None  # no dead process any more: an old failure proves nothing


def test_orders_of_which_nothing_is_known_are_those_of_a_dead_process_that_may_have_sent_many() -> None:
    orders = Orders.of_others(50)
    assert orders.may_send(NeverSeen(NOW), 50)
    assert end(orders, NEW, 49 + ANSWER_LIMIT_S) is None
    assert end(orders, NEW, 50 + ANSWER_LIMIT_S) == NEW


# ------------------------------------------------------------ as stories: an old failure is no proof


def without(ability: str) -> FaultyBackend:
    return FaultyBackend(VirtualClock(), replace(ABILITIES, **{ability: False}))


async def fail_once(rig: Rig, invoice: tuple[str, str]) -> None:
    """A first attempt of this invoice, which the node remembers as failed."""
    rig.life.node.scripts[invoice[1]] = Script(fails="no_route")
    await rig.pay("first", "app", invoice, AMOUNT)
    assert (await rig.answer("first")).reason is Reason.PAYMENT_FAILED
    rig.life.node.scripts[invoice[1]] = Script()


def arrive_late(rig: Rig, delay_s: float) -> None:
    """The next orders reach the node ``delay_s`` after their connection broke."""
    node, loop = rig.life.node, asyncio.get_running_loop()

    async def pay(order: PayOrder) -> None:
        loop.call_later(delay_s, node._send, order, node.scripts[order.payment_hash])
        raise ConnectionResetError("the answer is lost")

    node.replace("pay", pay)


@virtual
async def test_the_memory_of_an_earlier_attempt_does_not_end_a_new_one(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        await fail_once(rig, invoice)
        arrive_late(rig, 1)
        await rig.pay("r2", "app", invoice, AMOUNT)
        assert is_paid(await rig.answer("r2"), invoice[1])
        assert await rig.state(invoice[1]) == "settled"
        assert len(life.node.paid_out()) == 1


@pytest.mark.parametrize("missing", LIMITED)
def test_where_nothing_is_sent_again_an_earlier_failure_leaves_the_payment_open(life: Life, missing: str) -> None:
    @virtual
    async def story() -> None:
        life.node = without(missing)
        async with life.service() as rig:
            await rig.grant("app")
            invoice = life.node.outside_invoice()
            await fail_once(rig, invoice)
            arrive_late(rig, 100)
            await rig.pay("r2", "app", invoice, AMOUNT)
            await rig.clock.sleep(60)
            assert (await rig.state(invoice[1]), rig.told("r2")) == ("unknown", [])
            assert is_paid(await rig.answer("r2"), invoice[1])
            assert life.node.calls.count("pay") == 1  # the second call is counted nowhere, and there is no third

    story()


@virtual
async def test_a_refusal_told_to_a_resend_is_not_believed_while_the_first_order_may_arrive(life: Life) -> None:
    node = life.node
    async with life.service() as rig:
        await rig.grant("app")
        invoice = node.outside_invoice()
        pay, sent_at = node.pay, list[float]()

        async def broke(order: PayOrder) -> PayAnswer:
            """The first order arrives 3 s after the second, which the node refuses without a record."""
            sent_at.append(rig.clock.monotonic())
            if len(sent_at) == 1:
                raise ConnectionResetError("the answer is lost")
            asyncio.get_running_loop().call_later(3, node._send, order, node.scripts[order.payment_hash])
            return Failed("not enough", FailureReason.INSUFFICIENT_FUNDS)

        node.replace("pay", broke)
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert sent_at[1] - sent_at[0] >= SEND_AGAIN_S[0]
        node.replace("pay", pay)
        assert len(node.paid_out()) == 1


@pytest.mark.parametrize("delay_s", [90, 200, 290])
def test_an_order_that_arrives_minutes_after_a_resend_was_refused_is_not_called_failed(
    life: Life, delay_s: int
) -> None:
    """A proxy delivers what it had taken: nothing is over before the answer limit of the last call."""

    @virtual
    async def story() -> None:
        async with life.service() as rig:
            await rig.grant("app")
            invoice = life.node.outside_invoice()
            orders = list[PayOrder]()

            async def pay(order: PayOrder) -> PayAnswer:
                orders.append(order)
                if len(orders) == 1:
                    script = life.node.scripts[order.payment_hash]
                    asyncio.get_running_loop().call_later(delay_s, life.node._send, order, script)
                    raise ConnectionResetError("the answer is lost")
                return REFUSAL

            life.node.replace("pay", pay)
            await rig.pay("r1", "app", invoice, AMOUNT)
            assert is_paid(await rig.answer("r1"), invoice[1])
            assert len(orders) == 2

    story()


@virtual
async def test_an_order_that_arrives_seconds_after_its_connection_broke_is_not_sent_twice(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        arrive_late(rig, 3)
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert life.node.sends == [invoice[1]]


@virtual
async def test_a_refusal_told_to_a_resend_is_believed_after_a_quiet_time(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        answers: list[Failed | None] = [None, Failed("not enough", FailureReason.INSUFFICIENT_FUNDS)]

        async def refuse(order: PayOrder) -> PayAnswer:
            answer = answers.pop(0)
            if answer is None:
                raise ConnectionResetError("the answer is lost")
            return answer

        life.node.replace("pay", refuse)
        began_at = rig.clock.monotonic()
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert (await rig.answer("r1")).reason is Reason.INSUFFICIENT_FUNDS
        assert rig.clock.monotonic() - began_at >= SEND_AGAIN_S[0] + ANSWER_LIMIT_S
        assert answers == []


@virtual
async def test_a_refusal_that_nobody_recognises_is_sent_again_ever_more_rarely(life: Life) -> None:
    life.limits = PATIENT
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["dropped"]))
        await rig.pay("r1", "app", invoice, AMOUNT, expires_at=rig.clock.now() + 86_400)
        await rig.clock.sleep(6 * 3_600)
        assert 30 <= life.node.calls.count("pay") <= 40


@virtual
async def test_an_old_failure_of_an_invoice_that_expires_meanwhile_ends_the_payment_when_no_order_can_arrive(
    life: Life,
) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        await fail_once(rig, invoice)
        life.node.scripts[invoice[1]].answers = ["dropped"]
        await rig.pay("r2", "app", invoice, AMOUNT, expires_at=rig.clock.now() + 30)
        await rig.clock.sleep(ANSWER_LIMIT_S - 60)
        assert rig.told("r2") == []
        assert (await rig.answer("r2")).reason is Reason.PAYMENT_FAILED
        payment = await rig.store.payment_by_hash(rig.context.node.node_id, invoice[1])
        assert "knows a failed attempt only" in payment.evidence


async def die_before_the_order_is_sent(life: Life, *, is_known: bool, **more: Any) -> tuple[str, str]:
    """A claim whose order never left its process; ``is_known``: the node remembers an earlier attempt."""
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        if is_known:
            await fail_once(rig, invoice)
        life.node.scripts[invoice[1]].answers = ["never"]
        before = dict(life.node._sent)
        await rig.pay("r2", "app", invoice, AMOUNT, **more)
        await rig.clock.sleep(1)
        life.node._sent = before
    life.node.scripts[invoice[1]].answers = ["true"]
    life.node.sends.clear()
    return invoice


@virtual
async def test_after_a_restart_a_failure_is_final_once_no_order_can_be_on_its_way(life: Life) -> None:
    invoice = await die_before_the_order_is_sent(life, is_known=True)
    async with life.service() as rig:
        await rig.clock.sleep(ANSWER_LIMIT_S - 60)
        assert rig.told("r2") == []
        assert (await rig.answer("r2")).reason is Reason.PAYMENT_FAILED
        assert (life.node.sends, await rig.state(invoice[1])) == ([], "failed")


@virtual
async def test_an_old_failure_found_hours_later_is_waited_out_too(life: Life) -> None:
    await die_before_the_order_is_sent(life, is_known=True, expires_at=life.clock.now() + 86_400)
    await life.clock.sleep(3 * 3_600)
    async with life.service() as rig:
        began_at = rig.clock.monotonic()
        assert (await rig.answer("r2")).reason is Reason.PAYMENT_FAILED
        assert rig.clock.monotonic() - began_at >= ANSWER_LIMIT_S
        assert life.node.sends == []


@pytest.mark.parametrize("skew_s", [7_200, -7_200], ids=["ahead", "behind"])
@pytest.mark.parametrize("is_known", [False, True], ids=["never seen", "failed before"])
def test_a_wrong_clock_does_not_shorten_the_wait_for_the_order_of_a_dead_service(
    life: Life, skew_s: int, *, is_known: bool
) -> None:
    @virtual
    async def story() -> None:
        invoice = await die_before_the_order_is_sent(life, is_known=is_known)
        node, order = life.node, PayOrder(Bolt11(invoice[0]), invoice[1], Msat(AMOUNT), Msat(1_000), 60)
        life.clock.skew_s = skew_s
        async with life.service(start=False) as rig:
            await rig.change("app", revoked_at=rig.clock.now())
            await recover(
                rig.context, rig.engine._payments, rig.engine._approvals, rig.engine._bundles, rig.engine._holds
            )
            await rig.clock.sleep(ANSWER_LIMIT_S - 60)
            node._send(order, node.scripts[invoice[1]])  # a proxy delivers what it had taken
            assert is_paid(await rig.answer("r2"), invoice[1])
            assert await rig.state(invoice[1]) == "settled"

    story()


@virtual
async def test_what_the_node_never_saw_is_sent_again_after_a_restart(life: Life) -> None:
    invoice = await die_before_the_order_is_sent(life, is_known=False)
    async with life.service() as rig:
        assert is_paid(await rig.answer("r2"), invoice[1])
        assert life.node.sends == [invoice[1]]


@pytest.mark.parametrize("why", ["expired", "revoked", "stopped", "late"])
def test_what_the_node_never_saw_and_nobody_wants_any_more_is_a_failure(life: Life, why: str) -> None:
    @virtual
    async def story() -> None:
        until = life.clock.now() + (60 if why == "expired" else 86_400)
        invoice = await die_before_the_order_is_sent(life, is_known=False, expires_at=until)
        await life.clock.sleep(120)
        async with life.service(start=False) as rig:
            if why == "revoked":
                await rig.change("app", revoked_at=rig.clock.now())
            if why == "stopped":
                await rig.store.apply(SetSpending(True, "drift", rig.clock.now()))
            await recover(
                rig.context, rig.engine._payments, rig.engine._approvals, rig.engine._bundles, rig.engine._holds
            )
            await rig.clock.sleep(60)
            assert rig.told("r2") == []  # the order may still be on its way
            assert (await rig.answer("r2")).reason is Reason.PAYMENT_FAILED
            payment = await rig.store.payment_by_hash(rig.context.node.node_id, invoice[1])
            assert payment.evidence.startswith("never seen by the node (authoritative), as of ")
            assert why in payment.evidence
            assert life.node.sends == []

    story()


@virtual
async def test_an_order_that_died_with_its_process_is_not_sent_hours_later(life: Life) -> None:
    """The invoice is good for a day, and who asked has paid in another way by now."""
    invoice = await die_before_the_order_is_sent(life, is_known=False, expires_at=life.clock.now() + 86_400)
    await life.clock.sleep(20 * 3_600)
    async with life.service() as rig:
        assert await rig.answer("r2") == Refused(
            Reason.PAYMENT_FAILED, "not sent: too late; nothing was paid", {"reason": "too_late"}
        )
        assert (life.node.sends, await rig.state(invoice[1])) == ([], "failed")


@virtual
async def test_an_order_is_not_sent_when_the_node_comes_back_after_hours(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["dropped"]))
        await rig.pay("r1", "app", invoice, AMOUNT, expires_at=rig.clock.now() + 86_400)
        await rig.clock.sleep(1)
        life.node.offline = True
        await rig.clock.sleep(int(3.5 * 3_600))
        life.node.offline = False
        assert (await rig.answer("r1")).message == "not sent: too late; nothing was paid"
        assert life.node.sends == []


@pytest.mark.parametrize("step_s", [-26 * 3_600, -3_600, 3_600, 26 * 3_600])
def test_a_clock_that_steps_meanwhile_makes_no_late_order_a_fresh_one(life: Life, step_s: int) -> None:
    @virtual
    async def story() -> None:
        async with life.service() as rig:
            await rig.grant("app")
            invoice = life.node.outside_invoice(Script(answers=["dropped"]))
            await rig.pay("r1", "app", invoice, AMOUNT, expires_at=rig.clock.now() + 400 * 86_400)
            await rig.clock.sleep(1)
            life.node.offline = True
            rig.clock.skew_s = step_s
            await rig.clock.sleep(600)
            life.node.offline = False
            await rig.answer("r1")
            assert life.node.sends == []

    story()


@virtual
async def test_a_failure_after_the_node_was_seen_trying_is_believed_and_nothing_is_sent_again(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["inflight"], settles_after_s=5, fails="no_route"))
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert (await rig.answer("r1")).reason is Reason.PAYMENT_FAILED
        assert life.node.sends == [invoice[1]]


@virtual
async def test_a_failure_of_the_only_order_there_ever_was_is_believed_at_once(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["lost"], fails="no_route"))
        begun = rig.clock.monotonic()
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert (await rig.answer("r1")).reason is Reason.PAYMENT_FAILED
        assert life.node.sends == [invoice[1]]
        assert rig.clock.monotonic() - begun < 5


@virtual
async def test_the_only_order_of_a_dead_service_has_failed_when_the_node_says_so(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["never"], settles_after_s=2, fails="no_route"))
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.clock.sleep(1)
    async with life.service() as rig:
        begun = rig.clock.monotonic()
        assert (await rig.answer("r1")).reason is Reason.PAYMENT_FAILED
        assert life.node.sends == [invoice[1]]
        assert rig.clock.monotonic() - begun < 30


@virtual
async def test_a_second_attempt_whose_answers_are_always_lost_ends_when_the_record_has_changed(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["true", "lost"], fails="no_route"))
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.answer("r1")
        await rig.clock.sleep(60)
        await rig.pay("r2", "app", invoice, AMOUNT)
        assert (await rig.answer("r2")).reason is Reason.PAYMENT_FAILED
        assert 3 <= len(life.node.sends) <= 5


@pytest.mark.parametrize("missing", LIMITED)
def test_what_a_node_without_promises_never_saw_is_unknown_after_a_restart(life: Life, missing: str) -> None:
    @virtual
    async def story() -> None:
        life.node = without(missing)
        async with life.service() as rig:
            await rig.grant("app")
            invoice = life.node.outside_invoice(Script(answers=["never"]))
            await rig.pay("r1", "app", invoice, AMOUNT)
        life.node._sent.clear()
        async with life.service() as rig:
            await rig.clock.sleep(10)
            assert (await rig.state(invoice[1]), rig.told("r1")) == ("unknown", [])

    story()
