"""A budget in euros is worth what a euro is worth when the payment is decided, and nothing while nobody knows."""

from __future__ import annotations

import pytest

from kitestring.base.approvals import ApprovalKind, Ruling
from kitestring.base.budgets import Budget
from kitestring.base.commands import GetBudget
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import BudgetState, Granted, Paid, Refused
from kitestring.engine.rated import as_known, as_shown, at_rate, at_rates
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.rig import AMOUNT, Life
from tests.kit.rates import HangingRates, SetRates, SlowRates, rate_of

#: Ten thousand sats at 100,000 EUR for a bitcoin.
TEN_EUR = Budget.in_currency("10.00", "EUR", "day").at(rate_of(100_000))


async def test_a_grant_without_a_currency_is_returned_as_it_is_and_nobody_is_asked() -> None:
    rates, plain = SetRates(), Grant(grant_id="g", name="g", wire="nwc", budgets=(Budget.daily(sat(5)),))
    assert await at_rates(rates, plain) is plain
    assert rates.asked == []


async def test_each_limit_in_a_currency_is_the_one_of_now_rounded_down() -> None:
    both = Grant(grant_id="g", name="g", wire="nwc", budgets=(Budget.total(sat(5)), TEN_EUR))
    found = await at_rates(SetRates(EUR=30_000), both)
    assert [one.limit_msat for one in found.budgets] == [sat(5), Msat(33_333_333)]
    assert found.budgets[1].terms == TEN_EUR.terms


async def test_one_that_is_only_shown_keeps_its_old_limit_where_the_rate_is_not_known() -> None:
    one = Grant(grant_id="g", name="g", wire="nwc", budgets=(TEN_EUR,))
    assert as_known(SetRates(), one) == await as_shown(SetRates(), one) == (TEN_EUR,)
    for (found,) in (as_known(SetRates(EUR=50_000), one), await as_shown(SetRates(EUR=50_000), one)):
        assert found.limit_msat == sat(20_000)
    with pytest.raises(KitestringError):
        await at_rate(SetRates(), TEN_EUR)


@virtual
async def test_what_fits_today_may_not_fit_tomorrow_and_the_refusal_says_both_amounts(life: Life) -> None:
    async with life.service() as rig:
        rig.context.rates = rates = SetRates(EUR=100_000)
        await rig.grant("app", budgets=(replace(TEN_EUR, limit_minor=10),))  # 10 cent: 100 sat
        await rig.handle("fits", "app", rig.paying(life.node.outside_invoice(), AMOUNT))
        assert isinstance(await rig.answer("fits"), Paid)
        rates.prices["EUR"] = 200_000
        await rig.handle("too much", "app", rig.paying(life.node.outside_invoice(), AMOUNT))
        refused = await rig.answer("too much")
        assert refused.reason is Reason.OVER_BUDGET
        assert "the budget of 0.10 EUR (50 sat now) per day does not cover 50 sat + fees" in refused.message
        rates.prices["EUR"] = 50_000
        await rig.handle("again", "app", rig.paying(life.node.outside_invoice(), AMOUNT))
        assert isinstance(await rig.answer("again"), Paid)
        assert await rig.store.budget_used("app", 0) == 2 * (AMOUNT + 1_000)
        rig.life.audit()


@virtual
async def test_nothing_is_spent_on_a_rate_that_nobody_knows_and_what_was_paid_keeps_its_answer(life: Life) -> None:
    async with life.service() as rig:
        rig.context.rates = rates = SetRates(EUR=100_000)
        await rig.grant("app", budgets=(TEN_EUR,))
        invoice = life.node.outside_invoice()
        await rig.handle("paid", "app", rig.paying(invoice, AMOUNT))
        paid = await rig.answer("paid")
        rates.prices.clear()
        await rig.handle("other", "app", rig.paying(life.node.outside_invoice(), AMOUNT))
        refused = await rig.answer("other")
        assert isinstance(refused, Refused)
        assert refused.reason is Reason.UNAVAILABLE
        assert refused.message == "a budget is in a currency whose rate is not known at the moment: try again later"
        await rig.handle("the same invoice", "app", rig.paying(invoice, AMOUNT))
        assert await rig.answer("the same invoice") == replace(paid, is_old=True)
        assert len(life.node.paid_out()) == 1


@virtual
async def test_an_app_sees_its_budget_at_the_rate_of_now_or_at_that_of_its_first_day(life: Life) -> None:
    async with life.service() as rig:
        rig.context.rates = rates = SetRates(EUR=50_000)
        await rig.grant("app", budgets=(TEN_EUR,), methods="get_budget")
        state = await rig.engine.ask("app", GetBudget())
        assert isinstance(state, BudgetState)
        assert state.budget is not None
        assert state.budget.limit_msat == sat(20_000)
        rates.prices.clear()
        state = await rig.engine.ask("app", GetBudget())
        assert isinstance(state, BudgetState)
        assert state.budget == TEN_EUR


@virtual
async def test_a_debit_that_the_owner_has_approved_within_euros_is_held_against_them_from_then_on(life: Life) -> None:
    async with life.service() as rig:
        rig.context.rates = rates = SetRates(EUR=100_000)
        await rig.pointer("till")
        await rig.debit("first", "aa" * 32, life.node.outside_invoice())
        await rig.decide(Ruling.BUDGET, budget=replace(TEN_EUR, limit_minor=10))
        assert isinstance(await rig.answer("first"), Paid)
        rates.prices["EUR"] = 200_000
        await rig.debit("second", "aa" * 32, life.node.outside_invoice())
        refused = await rig.answer("second")
        assert refused.reason is Reason.OVER_BUDGET
        rates.prices.clear()
        await rig.debit("third", "aa" * 32, life.node.outside_invoice())
        refused = await rig.answer("third")
        assert (refused.reason, "sources" in refused.message) == (Reason.UNAVAILABLE, False)
        await rig.debit("fourth", "bb" * 32, life.node.outside_invoice())
        with pytest.raises(KitestringError, match="its sources contradict"):  # the owner hears why
            await rig.decide(Ruling.BUDGET, budget=TEN_EUR)
        rig.life.audit()


@virtual
async def test_a_yes_is_dated_by_the_time_at_which_its_rate_was_told(life: Life) -> None:
    async with life.service() as rig:
        rig.context.rates = SlowRates(rig.clock, 20, EUR=100_000)
        await rig.pointer("till")
        asked_at = rig.clock.now()
        await rig.debit("r", "aa" * 32, life.node.outside_invoice())
        decided = await rig.decide(Ruling.BUDGET, budget=TEN_EUR)
        payment = await rig.store.payment(decided.approval_id)
        assert payment.created_at == asked_at + 20


@virtual
async def test_a_request_is_not_paid_that_has_waited_too_long_for_rates_and_several_are_asked_together(
    life: Life,
) -> None:
    async with life.service() as rig:
        await rig.account("kids", AMOUNT * 10)
        in_dollars = Budget.in_currency("10.00", "USD", "week")
        await rig.grant("app", account="kids", budgets=(TEN_EUR, replace(in_dollars, budget_id=1)))
        for delay_s, paid in ((20, True), (31, False)):
            rig.context.rates = SlowRates(rig.clock, delay_s, EUR=100_000, USD=100_000)
            name = f"after {delay_s} s"
            await rig.handle(name, "app", rig.paying(life.node.outside_invoice(), AMOUNT))
            answer = await rig.answer(name)
            assert isinstance(answer, Paid) is paid
        assert (answer.reason, "not known" in answer.message) == (Reason.UNAVAILABLE, True)
        assert len(life.node.paid_out()) == 1


@virtual
async def test_a_key_that_asks_for_more_than_its_euros_are_worth_now_asks_the_owner(life: Life) -> None:
    async with life.service() as rig:
        rig.context.rates = rates = SetRates(EUR=100_000)
        await rig.pointer("till")
        await rig.allow("till", "aa" * 32, replace(TEN_EUR, period="never"))
        await rig.debit("fits", "aa" * 32, budget=Budget.total(sat(10_000)))
        assert isinstance(await rig.answer("fits"), Granted)
        rates.prices["EUR"] = 200_000
        await rig.debit("too much", "aa" * 32, budget=Budget.total(sat(10_000)))
        assert [one.kind for one in await rig.store.approvals(limit=9)] == [ApprovalKind.BUDGET]


@virtual
async def test_an_app_whose_link_was_exchanged_while_the_rate_was_asked_for_pays_nothing(life: Life) -> None:
    async with life.service() as rig:
        rig.context.rates = rates = HangingRates(EUR=100_000)
        await rig.grant("app", caller="ee" * 32, budgets=(TEN_EUR,))
        waiting = rig.context.spawn(
            rig.handle("r", "app", rig.paying(life.node.outside_invoice(), AMOUNT), app="ee" * 32)
        )
        await rates.waiting.wait()
        await rig.change("app", caller="0a" * 32)
        rates.answers.set()
        await waiting
        assert (await rig.answer("r")).reason is Reason.CONNECTION_ENDED
        await rig.handle("s", "app", rig.paying(life.node.outside_invoice(), AMOUNT), app="0a" * 32)
        assert isinstance(await rig.answer("s"), Paid)
        assert len(life.node.paid_out()) == 1
