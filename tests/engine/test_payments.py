"""What becomes of one payment, whatever the node says, does not say, or says late."""

from __future__ import annotations

import asyncio

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.events import Event
from kitestring.base.grants import Budget
from kitestring.base.money import Msat
from kitestring.base.node import NodeBalance
from kitestring.base.outcomes import Paid, Refused
from kitestring.base.payments import Failed
from kitestring.engine.node import FAILURE_AGE_S
from tests.kit.changed import replace
from tests.kit.clock import VirtualClock, virtual
from tests.kit.engine.crossings import Crossings
from tests.kit.engine.node import ABILITIES, FaultyBackend, Script
from tests.kit.engine.rig import AMOUNT, Life, is_paid


def without(**abilities: bool) -> FaultyBackend:
    return FaultyBackend(VirtualClock(), replace(ABILITIES, **abilities))


# ------------------------------------------------------------ the node's word


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
        invoice = life.node.outside_invoice(Script(answers=["dropped", "dropped", "true"]))
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert life.node.calls.count("pay") == 3
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


# ------------------------------------------------------------ races and a failing disk


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
async def test_a_full_disk_before_the_payment_changes_nothing_and_sends_nothing(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        rig.store.broken = {"ClaimPayment": [KitestringError(Reason.INTERNAL, "the disk is full")]}
        with pytest.raises(KitestringError):
            await rig.pay("r1", "app", invoice, AMOUNT)
        assert life.node.sends == []
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert is_paid(await rig.answer("r1"), invoice[1])


@virtual
async def test_a_grant_revoked_between_decision_and_claim_pays_nothing(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        old = await rig.engine.grant("app")
        assert old is not None
        await rig.change("app", revoked_at=rig.clock.now())
        rig.engine._grants._known["app"] = old  # decided before the news came
        await rig.pay("r1", "app", life.node.outside_invoice(), AMOUNT)
        assert (await rig.answer("r1")).reason is Reason.CONNECTION_ENDED
        assert life.node.sends == []


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


# ------------------------------------------------------------ whose money


@virtual
async def test_an_old_view_of_the_node_is_asked_again_before_the_owner_is_refused(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        shop_invoice = await rig.invoice("i1", "app", 900_000_000)
        await rig.pay("r1", "app", life.node.outside_invoice(), 600_000_000)
        await rig.answer("r1")
        life.node.pay_in(shop_invoice[1])
        await rig.clock.sleep(5)
        await rig.pay("r2", "app", life.node.outside_invoice(), 600_000_000)
        assert isinstance(await rig.answer("r2"), Paid)


@virtual
async def test_a_node_that_never_tells_its_balance_refuses_and_holds_nobody_up_for_ever(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        balance = life.node.balance

        async def never() -> NodeBalance:
            await asyncio.Event().wait()
            return await balance()

        life.node.replace("balance", never)
        waiting = [asyncio.create_task(rig.pay(f"r{n}", "app", life.node.outside_invoice(), AMOUNT)) for n in range(3)]
        assert (await rig.answer("r0")).reason is Reason.UNAVAILABLE
        life.node.replace("balance", balance)
        await asyncio.gather(*waiting)
        await rig.clock.sleep(FAILURE_AGE_S + 1)
        await rig.pay("r9", "app", life.node.outside_invoice(), AMOUNT)
        assert isinstance(await rig.answer("r9"), Paid)


@virtual
async def test_a_sub_account_cannot_go_below_zero_and_its_money_is_not_the_owners(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 999_000_000)
        await rig.grant("till", account="shop")
        await rig.grant("app")
        await rig.pay("r1", "app", life.node.outside_invoice(), 2_000_000)
        assert (await rig.answer("r1")).reason is Reason.INSUFFICIENT_FUNDS
        await rig.pay("r2", "till", life.node.outside_invoice(), 999_000_001)
        assert (await rig.answer("r2")).reason is Reason.INSUFFICIENT_FUNDS
        assert await rig.available("shop") == 999_000_000
        await rig.pay("r3", "till", life.node.outside_invoice(), 900_000_000, max_fee_msat=Msat(5_000))
        assert isinstance(await rig.answer("r3"), Paid)


@virtual
async def test_payments_at_the_same_time_never_reserve_more_than_the_budget(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", budget=Budget.total(Msat(10 * 11_000)))
        invoices = [life.node.outside_invoice(Script(settles_after_s=3, fee=1_000)) for _ in range(25)]
        await asyncio.gather(
            *(rig.pay(f"r{i}", "app", inv, 10_000, max_fee_msat=Msat(1_000)) for i, inv in enumerate(invoices))
        )
        answers = [await rig.answer(f"r{i}") for i in range(25)]
        assert sum(isinstance(answer, Paid) for answer in answers) == 10
        assert {a.reason for a in answers if isinstance(a, Refused)} == {Reason.OVER_BUDGET}


# ------------------------------------------------------------ the end of a run


@virtual
async def test_stop_gives_what_is_in_flight_its_grace_and_tells_what_stays_open(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        soon, late = (life.node.outside_invoice(Script(settles_after_s=s)) for s in (5, 500))
        await rig.pay("r1", "app", soon, AMOUNT)
        await rig.pay("r2", "app", late, AMOUNT)
        assert await rig.engine.stop(10) == 1
        assert is_paid(await rig.answer("r1"), soon[1])
        assert rig.told("r2") == []
    async with life.service() as rig:
        assert is_paid(await rig.answer("r2"), late[1])
        assert life.node.sends == [soon[1], late[1]]


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
