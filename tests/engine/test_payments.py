"""What becomes of one payment, whatever the node says, does not say, or says late."""

from __future__ import annotations

import asyncio

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.commands import OWNER_GRANT, GetBalance
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.node import NodeBalance
from kitestring.base.outcomes import Balance, Paid, Refused
from kitestring.base.transactions.owner import Transfer
from kitestring.engine.limits import Limits
from kitestring.engine.node import FAILURE_AGE_S
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.crossings import Crossings
from tests.kit.engine.node import FaultyBackend, Script
from tests.kit.engine.rig import AMOUNT, Life, is_paid

# ------------------------------------------------------------ races and a failing disk


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
async def test_a_paused_connection_begins_no_payment_and_still_hears_what_became_of_its_own(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        paid, hanging = life.node.outside_invoice(), life.node.outside_invoice(Script(settles_after_s=None))
        await rig.pay("r1", "app", paid, AMOUNT)
        await rig.answer("r1")
        await rig.pay("r2", "app", hanging, AMOUNT)
        await rig.clock.sleep(1)
        await rig.change("app", paused_at=rig.clock.now())
        await rig.pay("r3", "app", life.node.outside_invoice(), AMOUNT)
        assert (await rig.answer("r3")).reason is Reason.NOT_PERMITTED
        for number, invoice in enumerate((paid, hanging)):
            await rig.pay(f"again {number}", "app", invoice, AMOUNT)
        assert is_paid(await rig.answer("again 0"), paid[1])
        life.node.release(hanging[1])
        assert is_paid(await rig.answer("r2"), hanging[1])
        assert is_paid(await rig.answer("again 1"), hanging[1])
        assert len(life.node.sends) == 2


@virtual
async def test_a_grant_paused_between_decision_and_claim_pays_nothing(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        old = await rig.engine.grant("app")
        assert old is not None
        await rig.change("app", paused_at=rig.clock.now())
        rig.engine._grants._known["app"] = old  # decided before the news came
        await rig.pay("r1", "app", life.node.outside_invoice(), AMOUNT)
        assert (await rig.answer("r1")).reason is Reason.NOT_PERMITTED
        assert life.node.sends == []


@virtual
async def test_a_pause_outlives_the_service(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        await rig.change("app", paused_at=rig.clock.now())
    async with life.service() as rig:
        await rig.pay("r1", "app", life.node.outside_invoice(), AMOUNT)
        assert (await rig.answer("r1")).reason is Reason.NOT_PERMITTED
        assert life.node.sends == []


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
async def test_an_app_that_asks_for_too_much_hears_nothing_of_the_nodes_balance_and_the_owner_all(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        everything = int((await rig.engine.node_view()).spendable_msat)
        await rig.pay("r1", "app", life.node.outside_invoice(), everything)
        blind = await rig.answer("r1")
        assert blind.message.startswith(f"the balance does not cover {everything // 1000:,} sat + up to ")
        assert blind.details.keys() == {"amount_msat", "fee_cap_msat", "service_fee_msat"}
        held = life.node.outside_invoice(Script(settles_after_s=None))
        await rig.handle("r2", OWNER_GRANT, rig.paying(held, AMOUNT))
        await rig.handle("r3", OWNER_GRANT, rig.paying(life.node.outside_invoice(), everything))
        told = (await rig.answer("r3")).details
        reserved = AMOUNT + int((await rig.store.payment_by_hash(rig.context.node.node_id, held[1])).fee_cap_msat)
        assert (told["reserved_msat"], told["remaining_msat"]) == (reserved, everything - reserved)
        assert 0 < told["would_fit_msat"] < told["remaining_msat"]


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
async def test_an_app_hears_nothing_of_what_other_connections_of_its_account_have_under_way(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 1_000_000)
        for name in ("app", "other"):
            await rig.grant(name, account="shop")
        held = life.node.outside_invoice(Script(settles_after_s=None))
        await rig.pay("r1", "other", held, 400_000, max_fee_msat=Msat(0))
        await rig.pay("r2", "app", life.node.outside_invoice(), 700_000, max_fee_msat=Msat(0))
        told = await rig.answer("r2")
        assert (told.details["remaining_msat"], "reserved_msat" in told.details) == (600_000, False)
        assert "under way" not in told.message


@virtual
async def test_a_refusal_tells_an_app_no_more_of_its_account_than_the_balance_that_it_is_shown(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 500_000)
        await rig.grant("app", account="shop", budgets=(Budget.total(Msat(1_000_000)),))
        await rig.account("bank", 2_000_000)
        await rig.pay("r1", "app", life.node.outside_invoice(Script(fee=0)), 450_000, max_fee_msat=Msat(0))
        assert isinstance(await rig.answer("r1"), Paid)
        await rig.write(Transfer("more", "bank", "shop", Msat(800_000), "", rig.clock.now()))
        assert await rig.engine.ask("app", GetBalance()) == Balance(Msat(550_000))
        await rig.pay("r2", "app", life.node.outside_invoice(), 900_000, max_fee_msat=Msat(0))
        told = await rig.answer("r2")
        assert told.reason is Reason.OVER_BUDGET
        assert "850" not in told.message


@virtual
async def test_payments_at_the_same_time_never_reserve_more_than_the_budget(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", budgets=(Budget.total(Msat(10 * 11_000)),))
        invoices = [life.node.outside_invoice(Script(settles_after_s=3, fee=1_000)) for _ in range(25)]
        await asyncio.gather(
            *(rig.pay(f"r{i}", "app", inv, 10_000, max_fee_msat=Msat(1_000)) for i, inv in enumerate(invoices))
        )
        answers = [await rig.answer(f"r{i}") for i in range(25)]
        assert sum(isinstance(answer, Paid) for answer in answers) == 10
        assert {a.reason for a in answers if isinstance(a, Refused)} == {Reason.OVER_BUDGET}


# ------------------------------------------------------------ how many at once


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


@pytest.mark.parametrize("limits", [Limits(open_payments=11), Limits(open_payments_per_connection=5)])
def test_of_many_handled_together_no_more_begin_than_the_share_of_their_connection(life: Life, limits: Limits) -> None:
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


# ------------------------------------------------------------ the same invoice


@virtual
async def test_the_same_invoice_twice_by_one_grant_joins_and_then_gets_the_same_preimage(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", budgets=(Budget.total(Msat(70_000)),))
        invoice = life.node.outside_invoice(Script(settles_after_s=10))
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.pay("r2", "app", invoice, AMOUNT)
        first, second = await rig.answer("r1"), await rig.answer("r2")
        await rig.pay("r3", "app", invoice, AMOUNT)
        assert first == second
        assert await rig.answer("r3") == replace(first, is_old=True)
        assert is_paid(first, invoice[1])
        assert life.node.sends == [invoice[1]]


@virtual
async def test_another_grant_gets_invoice_taken_and_no_preimage(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        await rig.grant("other")
        invoice = life.node.outside_invoice(Script(settles_after_s=10))
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.pay("r2", "other", invoice, AMOUNT)
        assert await rig.answer("r2") == Refused(Reason.INVOICE_TAKEN)
        await rig.answer("r1")
        await rig.pay("r3", "other", invoice, AMOUNT)
        assert await rig.answer("r3") == Refused(Reason.INVOICE_TAKEN)


@virtual
async def test_who_joined_a_payment_that_fails_hears_the_same_failure(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=10, fails="no_route"))
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.pay("r2", "app", invoice, AMOUNT)
        assert (await rig.answer("r1")).reason is (await rig.answer("r2")).reason is Reason.PAYMENT_FAILED


@virtual
async def test_an_expired_invoice_is_refused_but_a_paid_one_answers_with_its_preimage(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        expires_at = rig.clock.now() + 60
        await rig.pay("r1", "app", invoice, AMOUNT, expires_at=expires_at)
        paid = await rig.answer("r1")
        await rig.clock.sleep(120)
        await rig.pay("r2", "app", invoice, AMOUNT, expires_at=expires_at)
        assert await rig.answer("r2") == replace(paid, is_old=True)
        await rig.pay("r3", "app", life.node.outside_invoice(), AMOUNT, expires_at=expires_at)
        assert (await rig.answer("r3")).reason is Reason.EXPIRED_INVOICE


@virtual
async def test_an_expired_invoice_is_called_unpaid_only_where_no_payment_of_it_may_still_arrive(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=300))
        expires_at = rig.clock.now() + 60
        await rig.pay("r1", "app", invoice, AMOUNT, expires_at=expires_at)
        await rig.clock.sleep(120)
        await rig.pay("r2", "app", invoice, AMOUNT + 1, expires_at=expires_at)
        assert await rig.answer("r2") == Refused(Reason.INVOICE_TAKEN)


def exchange_node(life: Life) -> tuple[FaultyBackend, FaultyBackend]:
    """The next service stands on another node, which knows the same payees: the one before, and it."""
    before, life.node = life.node, FaultyBackend(life.clock)
    life.node.there, life.node.scripts = "03" + "cd" * 32, before.scripts
    life.node._preimages = before._preimages
    return before, life.node


@virtual
@pytest.mark.parametrize("waits_s", [1, 120], ids=["payable", "expired"])
async def test_what_the_node_before_has_paid_is_answered_and_not_paid_by_the_next(life: Life, waits_s: int) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        await rig.grant("other")
        invoice, expires_at = life.node.outside_invoice(), life.clock.now() + 60
        await rig.pay("r1", "app", invoice, AMOUNT, expires_at=expires_at)
        paid = await rig.answer("r1")
    before, other = exchange_node(life)
    async with life.service() as rig:
        await rig.clock.sleep(waits_s)
        await rig.pay("r2", "app", invoice, AMOUNT, expires_at=expires_at)
        assert await rig.answer("r2") == replace(paid, is_old=True)
        await rig.pay("r3", "other", invoice, AMOUNT, expires_at=rig.clock.now() + 60)
        assert await rig.answer("r3") == Refused(Reason.INVOICE_TAKEN)
        assert (len(before.sends), other.sends) == (1, [])
    life.audit()


@virtual
@pytest.mark.parametrize("waits_s", [1, 120], ids=["payable", "expired"])
async def test_what_the_node_before_may_have_paid_is_not_paid_by_the_next_and_not_called_unpaid(
    life: Life, waits_s: int
) -> None:
    expires_at = life.clock.now() + 60
    async with life.service(Crossings()) as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(answers=["never"], settles_after_s=None))
        await rig.pay("r1", "app", invoice, AMOUNT, expires_at=expires_at)
        await rig.until(lambda: _has_sent(life))
    before, other = exchange_node(life)
    async with life.service() as rig:
        await rig.clock.sleep(waits_s)
        await rig.pay("r2", "app", invoice, AMOUNT, expires_at=expires_at)
        await rig.pay("r3", "app", invoice, AMOUNT + 1, expires_at=rig.clock.now() + 60)
        assert await rig.answer("r3") == Refused(Reason.INVOICE_TAKEN)
        await rig.clock.sleep(600)
        assert (rig.told("r2"), len(before.sends), other.sends) == ([], 1, [])
        (payment,) = await rig.store.open_payments()
        await rig.engine.resolve(payment.payment_id, "the node is gone")
        assert {(await rig.answer(name)).reason for name in ("r1", "r2")} == {Reason.INTERNAL}
    life.audit()


async def _has_sent(life: Life) -> bool:
    return len(life.node.sends) == 1


@virtual
async def test_a_paid_invoice_answers_also_while_the_node_is_away(life: Life) -> None:
    life.limits = Limits(view_age_s=0)
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        await rig.pay("r1", "app", invoice, AMOUNT)
        paid = await rig.answer("r1")
        await rig.clock.sleep(60)
        life.node.offline = True
        await rig.pay("r2", "app", invoice, AMOUNT)
        assert await rig.answer("r2") == replace(paid, is_old=True)
        await rig.pay("r3", "app", life.node.outside_invoice(), AMOUNT)
        assert (await rig.answer("r3")).reason is Reason.UNAVAILABLE


# ------------------------------------------------------------ whose connection


@virtual
async def test_a_payment_of_a_connection_that_is_not_there_is_refused_and_the_refusal_kept(life: Life) -> None:
    async with life.service() as rig:
        invoice = life.node.outside_invoice()
        for _ in range(2):
            await rig.pay("r1", "nobody", invoice, AMOUNT)
        assert rig.told("r1") == [Refused(Reason.CONNECTION_ENDED)] * 2
        assert (life.node.sends, "balance" in life.node.calls) == ([], False)


@virtual
async def test_a_connection_that_vanishes_between_decision_and_claim_pays_nothing(life: Life) -> None:
    async with life.service() as rig:
        rig.engine._grants._known["ghost"] = Grant(grant_id="ghost", name="ghost", wire="nwc")
        await rig.pay("r1", "ghost", life.node.outside_invoice(), AMOUNT)
        assert (await rig.answer("r1")).reason is Reason.CONNECTION_ENDED
        assert life.node.sends == []


@virtual
async def test_a_copy_of_an_answered_request_gets_the_same_answer_also_while_the_node_is_away(life: Life) -> None:
    life.limits = Limits(view_age_s=0)
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        await rig.pay("r1", "app", invoice, AMOUNT)
        paid = await rig.answer("r1")
        await rig.clock.sleep(60)
        life.node.offline = True
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert rig.told("r1") == [paid, paid]
