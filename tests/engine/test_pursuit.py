"""One payment from its claim until its end is known, whatever the node says, does not say, or says late."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.commands import ListTransactions
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import FeedEvent
from kitestring.base.money import Msat
from kitestring.base.outcomes import Paid, Refused
from kitestring.base.payments import Failed
from kitestring.base.store import Scope
from kitestring.base.transactions.payments import RecordPayment
from tests.kit.changed import replace
from tests.kit.clock import VirtualClock, virtual
from tests.kit.engine.crossings import Crossings
from tests.kit.engine.node import ABILITIES, FaultyBackend, Script
from tests.kit.engine.rig import AMOUNT, PATIENT, Life, is_paid

# ------------------------------------------------------------ the node's word


def without(**abilities: bool) -> FaultyBackend:
    return FaultyBackend(VirtualClock(), replace(ABILITIES, **abilities))


@virtual
async def test_a_payment_settles_with_its_true_fee_and_the_budget_keeps_exactly_that(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", budgets=(Budget.total(Msat(100_000)),))
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
        await rig.grant("app", budgets=(Budget.total(Msat(AMOUNT + 10_000)),))
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
        (alarm,) = [row.detail for row in await rig.store.events(0, 10) if isinstance(row, FeedEvent) and row.detail]
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
