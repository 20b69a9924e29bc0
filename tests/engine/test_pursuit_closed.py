"""A payment that the operator has closed: who waits is told, nothing is sent again, and a later truth is booked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.transactions.payments import RecordPayment, ResolvePayment
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT, Life, Rig, is_paid


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
async def test_what_the_operator_closed_ends_its_requests_and_a_later_truth_is_still_booked(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        settles = life.node.outside_invoice(Script(answers=["lost"], settles_after_s=5))
        fails = life.node.outside_invoice(Script(answers=["lost"], settles_after_s=5, fails="no_route"))
        life.node.deaf = True
        await rig.pay("r1", "app", settles, AMOUNT)
        await rig.pay("r2", "app", fails, AMOUNT)
        await rig.clock.sleep(30)
        for _, payment_hash in (settles, fails):
            payment = await rig.store.payment_by_hash(rig.context.node.node_id, payment_hash)
            await rig.engine.resolve(payment.payment_id, "written off")
        for request_id in ("r1", "r2"):
            (closed,) = rig.told(request_id)  # at once, and not as a failure: nobody knows that
            assert (closed.reason, "do not pay this invoice again" in closed.message) == (Reason.INTERNAL, True)
        life.node.deaf = False
        await rig.clock.sleep(60)
        assert await rig.state(settles[1]) == "settled"
        assert "closed by hand, but the node has paid it" in caplog.text
        assert await rig.state(fails[1]) == "resolved"
        assert len(rig.told("r1")) == len(rig.told("r2")) == 1
        with pytest.raises(KitestringError, match="not unknown"):
            await rig.engine.resolve(payment.payment_id, "again")


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
async def test_a_closed_payment_is_looked_up_and_holds_no_stream_of_the_nodes(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice, payment_id = await lose(rig, Script(answers=["lost"], settles_after_s=None))
        life.node.deaf = False
        await rig.engine.resolve(payment_id, "gave up")
        await rig.clock.sleep(600)
        life.node.calls.clear()
        await rig.clock.sleep(600)
        assert set(life.node.calls) & {"track", "lookup_payment"} == {"lookup_payment"}
        life.node.release(invoice[1])
        await rig.clock.sleep(61)
        assert await rig.state(invoice[1]) == "settled"


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


@virtual
async def test_a_payment_is_closed_once_and_a_second_word_changes_nothing(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice, payment_id = await lose(rig, Script(answers=["lost"], settles_after_s=None))
        await rig.engine.resolve(payment_id, "gave up")
        with pytest.raises(KitestringError, match="this payment is resolved, not unknown: nothing was changed"):
            await rig.engine.resolve(payment_id, "once more")
        payment = await rig.store.payment(payment_id)
        assert payment.evidence == "gave up"
        life.node.deaf = False
        life.node.release(invoice[1])
        await rig.clock.sleep(60)
        assert (await rig.state(invoice[1]), len(rig.told("r1"))) == ("settled", 1)


@virtual
async def test_the_operators_word_that_overtakes_a_proven_failure_stands(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice, payment_id = await lose(rig, Script(answers=["lost"], settles_after_s=5, fails="no_route"))
        apply, recording = rig.store.apply, asyncio.Event()

        async def slow(tx: Any) -> Any:
            if isinstance(tx, RecordPayment):
                recording.set()
                await rig.clock.sleep(20)
            return await apply(tx)

        rig.store.apply = slow
        life.node.deaf = False
        await recording.wait()
        await rig.engine.resolve(payment_id, "gave up")
        await rig.clock.sleep(60)
        assert await rig.state(invoice[1]) == "resolved"
        assert [answer.reason for answer in rig.told("r1")] == [Reason.INTERNAL]
        assert rig.engine._payments.running == 0
