"""One payment from its claim until its end is known, whatever the node says, does not say, or says late."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Any

import pytest

from kitestring.base.commands import ListTransactions
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import Event
from kitestring.base.grants import Budget
from kitestring.base.money import Msat
from kitestring.base.node import InvoiceStatus, NodeInvoiceState
from kitestring.base.outcomes import Paid, Refused
from kitestring.base.payments import Failed
from kitestring.base.store import Scope
from kitestring.base.transactions import RecordPayment, ResolvePayment
from kitestring.engine.pursuit import answer_late
from tests.kit.changed import replace
from tests.kit.clock import VirtualClock, virtual
from tests.kit.engine.crossings import Crossings
from tests.kit.engine.node import ABILITIES, FaultyBackend, Script
from tests.kit.engine.rig import AMOUNT, PATIENT, Life, Rig, is_paid

# ------------------------------------------------------------ the node's word


def without(**abilities: bool) -> FaultyBackend:
    return FaultyBackend(VirtualClock(), replace(ABILITIES, **abilities))


@virtual
async def test_a_payment_settles_with_its_true_fee_and_the_budget_keeps_exactly_that(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", budget=Budget.total(Msat(100_000)))
        invoice = life.node.outside_invoice(Script(fee=1_234))
        await rig.pay("r1", "app", invoice, AMOUNT)
        paid = await rig.answer("r1")
        assert is_paid(paid, invoice[1])
        assert (paid.amount_msat, paid.fee_msat, paid.internal) == (AMOUNT, 1_234, False)
        assert await rig.store.budget_used("app", 0) == AMOUNT + 1_234
        assert life.node.paid_out() == {invoice[1]: AMOUNT + 1_234}


@pytest.mark.parametrize("answer", ["lost", "lie"])
def test_no_answer_or_a_preimage_that_does_not_hash_is_unknown_and_the_reply_is_held(life: Life, answer: str) -> None:
    @virtual
    async def story() -> None:
        async with life.service() as rig:
            await rig.grant("app")
            invoice = life.node.outside_invoice(Script(answers=[answer], settles_after_s=5))
            life.node.deaf = True
            await rig.pay("r1", "app", invoice, AMOUNT)
            await rig.clock.sleep(300)
            assert await rig.state(invoice[1]) == "unknown"
            assert rig.told("r1") == []
            assert (await rig.store.totals()).pending_msat == AMOUNT + 10_000
            life.node.deaf = False
            assert is_paid(await rig.answer("r1"), invoice[1])
            assert life.node.sends == [invoice[1]]

    story()


@virtual
async def test_a_call_that_never_ends_is_given_up_and_the_payment_is_looked_at(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["never"], settles_after_s=5))
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.clock.sleep(60)
        assert await rig.state(invoice[1]) == "dispatched"
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert life.node.sends == [invoice[1]]


@virtual
async def test_what_the_node_never_saw_is_sent_again_with_the_same_hash(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["dropped", "true"]))
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert life.node.calls.count("pay") == 2
        assert life.node.sends == [invoice[1]]


@pytest.mark.parametrize("missing", ["idempotent_by_hash", "authoritative_lookup"])
def test_never_seen_proves_nothing_where_the_node_cannot_promise_it(life: Life, missing: str) -> None:
    @virtual
    async def story() -> None:
        life.node = without(**{missing: False})
        async with life.service() as rig:
            await rig.grant("app")
            invoice = life.node.outside_invoice(Script(answers=["dropped"]))
            await rig.pay("r1", "app", invoice, AMOUNT)
            await rig.clock.sleep(600)
            assert await rig.state(invoice[1]) == "unknown"
            assert rig.told("r1") == []
            assert life.node.calls.count("pay") == 1

    story()


@virtual
async def test_a_node_that_was_never_reached_is_a_proven_failure_and_the_budget_is_released(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", budget=Budget.total(Msat(AMOUNT + 10_000)))
        invoice = life.node.outside_invoice(Script(answers=["unreachable", "true"]))
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert (await rig.answer("r1")).reason is Reason.UNAVAILABLE
        assert await rig.store.budget_used("app", 0) == 0
        await rig.pay("r2", "app", invoice, AMOUNT)
        assert is_paid(await rig.answer("r2"), invoice[1])


@virtual
async def test_an_unreachable_node_proves_nothing_about_a_payment_that_may_have_been_sent_before(life: Life) -> None:
    life.limits = PATIENT
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["dropped", "unreachable", "unreachable", "true"]))
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert await rig.state(invoice[1]) == "settled"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("no_route", Reason.PAYMENT_FAILED),
        ("fee_limit", Reason.FEE_LIMIT),
        ("insufficient_funds", Reason.INSUFFICIENT_FUNDS),
    ],
)
def test_the_nodes_own_no_is_evidence_and_a_new_attempt_is_allowed(life: Life, said: str, reason: Reason) -> None:
    @virtual
    async def story() -> None:
        async with life.service() as rig:
            await rig.grant("app")
            invoice = life.node.outside_invoice(Script(fails=said))
            await rig.pay("r1", "app", invoice, AMOUNT)
            assert (await rig.answer("r1")).reason is reason
            payment = await rig.store.payment_by_hash(rig.context.node.node_id, invoice[1])
            assert payment.evidence == f"the node says: {said}"
            life.node.scripts[invoice[1]].fails = ""
            await rig.pay("r2", "app", invoice, AMOUNT)
            assert is_paid(await rig.answer("r2"), invoice[1])

    story()


@virtual
async def test_a_payment_in_flight_is_followed_for_as_long_as_it_hangs(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=None, answers=["inflight"]))
        await rig.pay("r1", "app", invoice, AMOUNT, expires_at=rig.clock.now() + 60)
        await rig.clock.sleep(7_200)
        assert rig.told("r1") == []
        assert await rig.state(invoice[1]) == "dispatched"
        life.node.release(invoice[1])
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert life.node.sends == [invoice[1]]


@virtual
async def test_a_fee_above_the_cap_is_booked_and_stops_spending(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 200_000)
        await rig.grant("app", account="shop")
        invoice = life.node.outside_invoice(Script(fee=30_000))
        await rig.pay("r1", "app", invoice, AMOUNT)
        paid = await rig.answer("r1")
        assert paid.fee_msat == 30_000
        (alarm,) = [row.detail for row in await rig.store.events(0, 10) if isinstance(row, Event) and row.detail]
        assert "the account is overdrawn" in alarm
        assert (await rig.store.account("shop")).overdrawn
        assert await rig.available("shop") == 200_000 - AMOUNT - 30_000
        await rig.pay("r2", "app", life.node.outside_invoice(), 1_000)
        assert (await rig.answer("r2")).reason is Reason.INSUFFICIENT_FUNDS


@virtual
async def test_a_payment_of_another_node_is_never_sent_through_this_one(life: Life) -> None:
    async with life.service(Crossings()) as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["never"], settles_after_s=None))
        await rig.pay("r1", "app", invoice, AMOUNT)
    other = FaultyBackend(life.clock)
    other.scripts, life.node = life.node.scripts, other
    async with life.service(start=False) as rig:
        rig.context.node = replace(rig.context.node, node_id="03" + "cd" * 32)
        await rig.engine.start()
        await rig.clock.sleep(600)
        assert other.sends == []
        assert "lookup_payment" not in other.calls
        payment = (await rig.store.open_payments())[0]
        assert payment.payment_hash == invoice[1]
        assert not isinstance(payment.state, Failed)


# ------------------------------------------------------------ what breaks off


@virtual
async def test_a_full_disk_after_the_payment_holds_the_reply_until_the_truth_is_stored(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=5))
        full = KitestringError(Reason.INTERNAL, "the disk is full")
        rig.store.broken = {"RecordPayment": [full] * 20, "Answer": [full] * 5}
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.pay("r2", "app", invoice, AMOUNT)
        await rig.clock.sleep(60)
        assert rig.told("r1") == rig.told("r2") == []
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert is_paid(await rig.answer("r2"), invoice[1])
        assert not rig.store.broken["RecordPayment"]


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


@pytest.mark.parametrize("fails", ["", "no_route"])
def test_who_joined_at_the_last_moment_is_answered_although_the_word_of_the_ledger_got_lost(
    life: Life, fails: str
) -> None:
    """The commit is on disk, but nobody was told, neither of it nor of the request that had joined meanwhile."""

    @virtual
    async def story() -> None:
        async with life.service() as rig:
            await rig.grant("app")
            invoice = life.node.outside_invoice(Script(settles_after_s=2, fails=fails))
            apply, joined = rig.store.apply, asyncio.Event()

            async def join_first(tx: Any) -> Any:
                if isinstance(tx, RecordPayment) and not joined.is_set():
                    joined.set()
                    await rig.pay("r2", "app", invoice, AMOUNT)
                return await apply(tx)

            rig.store.apply = join_first
            rig.store.lost = {"RecordPayment": [KitestringError(Reason.INTERNAL, "the disk is slow")]}
            await rig.pay("r1", "app", invoice, AMOUNT)
            told = [await rig.answer(name) for name in ("r1", "r2")]
            assert {type(answer) for answer in told} == {Refused if fails else Paid}
            assert {answer.reason for answer in told if fails} <= {Reason.PAYMENT_FAILED}
            assert rig.store.lost == {"RecordPayment": []}
            await rig.clock.sleep(60)
            assert (len(rig.told("r1")), len(rig.told("r2"))) == (1, 1)
            assert life.node.sends == [invoice[1]]

    story()


@virtual
async def test_a_payment_that_the_ledger_cannot_find_is_looked_for_again_and_never_given_up(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["never"], settles_after_s=5))
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.clock.sleep(1)
    async with life.service(start=False) as rig:
        read, misses = rig.store.payment, [None] * 3

        async def lost(payment_id: str) -> Any:
            return misses.pop() if misses else await read(payment_id)

        rig.store.payment = lost
        await rig.engine.start()
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert (misses, "the ledger has lost payment" in caplog.text) == ([], True)
        assert life.node.sends == [invoice[1]]


@virtual
async def test_a_payment_that_is_still_open_tells_nobody_an_end(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=None))
        await rig.pay("r1", "app", invoice, AMOUNT)
        payment = await rig.store.payment_by_hash(rig.context.node.node_id, invoice[1])
        await answer_late(rig.engine._answers, payment, await rig.store.request("r1"))
        assert (rig.told("r1"), await rig.store.messages("r1")) == ([], ())


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


# ------------------------------------------------------------ inside one service


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
async def test_a_node_that_tells_a_fee_below_nothing_has_paid_all_the_same(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(fee=-5))
        await rig.pay("r1", "app", invoice, 10_000)
        paid = await rig.answer("r1")
        (payment,) = await rig.store.transactions(Scope(), ListTransactions())
        assert is_paid(paid, invoice[1])
        assert (payment.state.value, payment.fee_msat) == ("settled", paid.fee_msat)
        assert paid.fee_msat >= 0
        (alarm,) = await rig.store.alarms(0, 10)
        assert "a fee of -5 msat cannot be" in alarm.detail


@virtual
@pytest.mark.parametrize("evidence", ["", "\ud800"])
async def test_a_failure_in_words_that_cannot_be_kept_is_a_failure(life: Life, evidence: str) -> None:
    async with life.service() as rig:
        await rig.grant("app")

        async def fail(_order: object) -> Failed:
            return Failed(evidence)

        life.node.replace("pay", fail)
        await rig.pay("r1", "app", life.node.outside_invoice(), 10_000)
        assert isinstance(await rig.answer("r1"), Refused)
