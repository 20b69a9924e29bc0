"""What proves the end of a payment, whose payments are under way, and what the operator's word changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.node import PayOrder
from kitestring.base.outcomes import Refused
from kitestring.base.payments import Failed, FailureReason, InFlight, NeverSeen, PayAnswer
from kitestring.base.transactions import ResolvePayment, SetSpending
from kitestring.engine.evidence import Evidence
from kitestring.engine.limits import Limits
from kitestring.engine.node import ANSWER_LIMIT_S
from kitestring.engine.orders import QUIET_S
from kitestring.engine.recovery import recover
from tests.kit.changed import replace
from tests.kit.clock import VirtualClock, virtual
from tests.kit.engine.node import ABILITIES, FaultyBackend, Script
from tests.kit.engine.rig import AMOUNT, Life, Rig, is_paid

LIMITED = ("idempotent_by_hash", "authoritative_lookup")


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


# ------------------------------------------------------------ an old failure is no proof


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
        assert sent_at[1] - sent_at[0] >= QUIET_S
        node.replace("pay", pay)
        assert len(node.paid_out()) == 1


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
        assert rig.clock.monotonic() - began_at >= 2 * QUIET_S
        assert answers == []


@virtual
async def test_a_refusal_that_nobody_recognises_is_sent_again_ever_more_rarely(life: Life) -> None:
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
async def test_an_old_failure_found_hours_later_is_final_at_once(life: Life) -> None:
    await die_before_the_order_is_sent(life, is_known=True, expires_at=life.clock.now() + 86_400)
    await life.clock.sleep(3 * 3_600)
    async with life.service() as rig:
        began_at = rig.clock.monotonic()
        assert (await rig.answer("r2")).reason is Reason.PAYMENT_FAILED
        assert rig.clock.monotonic() - began_at < 1
        assert life.node.sends == []


@virtual
async def test_what_the_node_never_saw_is_sent_again_after_a_restart(life: Life) -> None:
    invoice = await die_before_the_order_is_sent(life, is_known=False)
    async with life.service() as rig:
        assert is_paid(await rig.answer("r2"), invoice[1])
        assert life.node.sends == [invoice[1]]


@pytest.mark.parametrize("why", ["expired", "revoked", "stopped"])
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
            await recover(rig.context, rig.engine._payments)
            await rig.clock.sleep(60)
            assert rig.told("r2") == []  # the order may still be on its way
            assert (await rig.answer("r2")).reason is Reason.PAYMENT_FAILED
            payment = await rig.store.payment_by_hash(rig.context.node.node_id, invoice[1])
            assert payment.evidence.startswith("never seen by the node (authoritative), as of ")
            assert why in payment.evidence
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


def test_only_a_record_that_changed_or_a_node_seen_trying_proves_a_failure() -> None:
    old, new = Failed("no route", attempt_at=7), Failed("no route", attempt_at=8)
    sight = Evidence()
    assert [sight.proves(answer) for answer in (old, NeverSeen(9), old, new)] == [False, False, False, True]
    sight = Evidence()
    assert [sight.proves(answer) for answer in (old, InFlight(), old)] == [False, False, True]
    timeless = Evidence()
    assert [timeless.proves(Failed(text)) for text in ("no route", "expired")] == [False, False]


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


# ------------------------------------------------------------ the operator's word


async def lose(rig: Rig, script: Script) -> tuple[tuple[str, str], str]:
    """A payment whose outcome is unknown: its invoice and its id."""
    invoice = rig.life.node.outside_invoice(script)
    rig.life.node.deaf = True
    await rig.pay("r1", "app", invoice, AMOUNT)
    await rig.clock.sleep(5)
    payment = await rig.store.payment_by_hash(rig.context.node.node_id, invoice[1])
    assert payment.state.value == "unknown"
    return invoice, payment.payment_id


@virtual
async def test_the_late_truth_about_a_closed_payment_is_booked_after_a_restart_too(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    async with life.service() as rig:
        await rig.account("alice", 1_000_000)
        await rig.grant("app", account="alice")
        invoice, payment_id = await lose(rig, Script(answers=["lost"], settles_after_s=None))
        await rig.engine.resolve(payment_id, "gave up")
    life.node.deaf = False
    life.node.release(invoice[1])
    async with life.service() as rig:
        await rig.clock.sleep(60)
        assert await rig.state(invoice[1]) == "settled"
        assert await rig.available("alice") == 1_000_000 - AMOUNT - 1_000
        assert "closed by hand, but the node has paid it" in caplog.text
        assert {answer.reason for answer in rig.told("r1")} == {Reason.INTERNAL}


@virtual
async def test_a_closed_payment_is_never_sent_again(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice, payment_id = await lose(rig, Script(answers=["dropped", "true"]))
        await rig.engine.resolve(payment_id, "gave up")
        life.node.deaf = False
        await rig.clock.sleep(300)
    async with life.service() as rig:
        await rig.clock.sleep(300)
        assert (await rig.state(invoice[1]), life.node.sends) == ("resolved", [])


@virtual
async def test_nothing_is_sent_again_while_the_operators_word_is_being_stored(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice, payment_id = await lose(rig, Script(answers=["dropped", "true"]))
        apply = rig.store.apply

        async def slow(tx: Any) -> Any:
            if isinstance(tx, ResolvePayment):
                await rig.clock.sleep(200)
            return await apply(tx)

        rig.store.apply = slow
        life.node.deaf = False
        await rig.engine.resolve(payment_id, "gave up")
        assert (await rig.state(invoice[1]), life.node.sends) == ("resolved", [])


@virtual
async def test_an_operators_word_that_was_not_stored_stops_nothing(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice, payment_id = await lose(rig, Script(answers=["dropped", "true"]))
        rig.store.broken = {"ResolvePayment": [KitestringError(Reason.INTERNAL, "the disk is full")]}
        with pytest.raises(KitestringError):
            await rig.engine.resolve(payment_id, "gave up")
        life.node.deaf = False
        assert is_paid(await rig.answer("r1"), invoice[1])


@virtual
async def test_closing_a_payment_of_another_node_answers_who_waits(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        _, payment_id = await lose(rig, Script(answers=["lost"], settles_after_s=None))
    async with life.service(start=False) as rig:
        rig.context.node = replace(rig.context.node, node_id="03" + "cd" * 32)
        await rig.engine.start()
        await rig.clock.sleep(5)
        await rig.engine.resolve(payment_id, "that node is gone")
        assert [answer.reason for answer in rig.told("r1")] == [Reason.INTERNAL]


@virtual
async def test_a_stop_does_not_wait_for_the_late_truth_of_a_closed_payment(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        _, payment_id = await lose(rig, Script(answers=["lost"], settles_after_s=None))
        await rig.engine.resolve(payment_id, "gave up")
        began_at = rig.clock.monotonic()
        assert await rig.engine.stop(30) == 0
        assert rig.clock.monotonic() - began_at < 1
    async with life.service() as rig:
        await rig.clock.sleep(1)
        began_at = rig.clock.monotonic()
        await rig.engine.stop(30)
        assert rig.clock.monotonic() - began_at < 1


# ------------------------------------------------------------ under way


@virtual
async def test_one_connection_cannot_take_every_open_payment(life: Life) -> None:
    life.limits = Limits(open_payments=20, open_payments_per_connection=5)
    async with life.service() as rig:
        await rig.grant("greedy")
        await rig.grant("modest")
        hanging = [life.node.outside_invoice(Script(settles_after_s=None)) for _ in range(6)]
        for number, invoice in enumerate(hanging):
            await rig.pay(f"g{number}", "greedy", invoice, 1)
        refused = await rig.answer("g5")
        assert (refused.reason, "this connection" in refused.message) == (Reason.RATE_LIMITED, True)
        soon = life.node.outside_invoice()
        await rig.pay("m", "modest", soon, AMOUNT)
        assert is_paid(await rig.answer("m"), soon[1])
        life.node.release(hanging[0][1])
        await rig.answer("g0")
        await rig.pay("g5", "greedy", hanging[5], 1)  # a copy: what was refused never runs
        await rig.pay("g6", "greedy", hanging[5], 1)
        await rig.clock.sleep(1)
        assert (await rig.state(hanging[5][1]), len(rig.told("g6"))) == ("dispatched", 0)
        await rig.pay("g7", "greedy", hanging[5], 1)  # joins what is under way, though nothing more may begin
        life.node.release(hanging[5][1])
        assert not isinstance(await rig.answer("g7"), Refused)


@pytest.mark.parametrize("limits", [Limits(open_payments=5), Limits(open_payments_per_connection=5)])
def test_of_many_handled_together_no_more_begin_than_may_be_open(life: Life, limits: Limits) -> None:
    @virtual
    async def story() -> None:
        life.limits = limits
        async with life.service() as rig:
            await rig.grant("app")
            invoices = [life.node.outside_invoice(Script(settles_after_s=None)) for _ in range(50)]
            await asyncio.gather(*(rig.pay(f"r{n}", "app", invoice, 1) for n, invoice in enumerate(invoices)))
            await rig.clock.sleep(1)
            assert len(life.node.sends) == 5
            refused = [answer.reason for n in range(50) for answer in rig.told(f"r{n}")]
            assert refused == [Reason.RATE_LIMITED] * 45
            life.node.release(life.node.sends[0])
            await rig.clock.sleep(60)
            await rig.pay("next", "app", life.node.outside_invoice(Script(answers=["unreachable"])), 1)
            assert (await rig.answer("next")).reason is Reason.UNAVAILABLE  # its slot is free again
            await rig.pay("last", "app", soon := life.node.outside_invoice(), 1)
            assert is_paid(await rig.answer("last"), soon[1])

    story()


@virtual
async def test_a_payment_that_breaks_off_is_carried_on_without_a_restart(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=2))
        rig.store.broken = {"RecordPayment": [RuntimeError("a fault nobody thought of")] * 3}
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert life.node.sends == [invoice[1]]
        assert await rig.engine.stop(1) == 0
