"""Budgets of a grant: several at once, and what is used stays used when they are changed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from kitestring.app.owner.budgets import BudgetAsked, changed_budgets, read_budget, read_budgets, show_budgets
from kitestring.app.owner.desk import Reading
from kitestring.base.budgets import DAY_S, Budget
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import Msat, sat
from kitestring.base.zones import UTC
from tests.kit.changed import replace
from tests.kit.rates import SetRates

DAY = BudgetAsked(limit_msat=500_000, period="day")
TOTAL = BudgetAsked(limit_msat=5_000_000)
WINDOW = BudgetAsked(limit_msat=100_000, period="rolling", length_s=3_600)
NOON = 20_000 * DAY_S + DAY_S // 2


def desk(**used: int) -> Reading:
    """A ledger in which so much of the budgets b0, b1 … is used."""

    async def budget_used(_grant_id: str, _oldest: int, number: int = 0, *, now: int = 0) -> Msat:
        assert now in {0, NOON}
        return Msat(used.get(f"b{number}", 0))

    store, clock = SimpleNamespace(budget_used=budget_used), SimpleNamespace(now=lambda: NOON)
    return cast(Reading, SimpleNamespace(store=store, clock=clock, zone=UTC, rates=SetRates(EUR=50_000)))


def grant(*budgets: Budget) -> Grant:
    return Grant(grant_id="g", name="g", wire="debits", budgets=budgets)


async def refused(*asked: Any, reason: Reason = Reason.MALFORMED) -> KitestringError:
    with pytest.raises(KitestringError) as told:
        read_budgets(desk(), asked)
    assert told.value.reason is reason
    return told.value


async def test_each_budget_has_a_number_of_its_own() -> None:
    assert read_budgets(desk(), [DAY, TOTAL]) == (Budget(sat(500), "day"), Budget(sat(5_000), "never", 0, 1))
    assert read_budget(desk(), WINDOW) == Budget.rolling(sat(100), 3_600)


async def test_two_budgets_of_one_period_are_a_mistake_and_so_is_a_length_without_a_window() -> None:
    assert "the same period" in (await refused(DAY, TOTAL, DAY)).message
    assert "length" in (await refused(BudgetAsked(limit_msat=1, period="day", length_s=60))).message
    assert "length" in (await refused(BudgetAsked(limit_msat=1, period="rolling"))).message


async def test_a_budget_of_the_same_period_goes_on_with_what_is_used_and_a_new_one_begins_at_nothing() -> None:
    before = grant(Budget(sat(9), "day", 0, 3), Budget(sat(9), "week", 0, 4))
    changed = await changed_budgets(desk(b5=1), before, [DAY, TOTAL, WINDOW])
    assert [(one.period, one.budget_id, int(one.limit_msat)) for one in changed] == [
        ("day", 3, 500_000), ("never", 6, 5_000_000), ("rolling", 7, 100_000),
    ]  # fmt: skip
    assert await changed_budgets(desk(), grant(), [TOTAL]) == (Budget(sat(5_000)),)
    assert await changed_budgets(desk(), before, []) == ()


async def test_what_is_left_is_shown_and_never_less_than_nothing() -> None:
    rows = await show_budgets(desk(b0=100_000, b1=7_000_000), grant(*read_budgets(desk(), [DAY, TOTAL])))
    assert [(row["used_msat"], row["left_msat"], row["renews_at"]) for row in rows] == [
        (100_000, 400_000, NOON + DAY_S // 2), (7_000_000, 0, None),
    ]  # fmt: skip


EUROS = BudgetAsked(currency="EUR", limit_minor=1_000, period="day")


async def test_a_budget_in_a_currency_is_kept_in_it_with_what_it_is_worth_on_its_first_day() -> None:
    (made,) = read_budgets(desk(), [EUROS])
    assert made == Budget(sat(20_000), "day", currency="EUR", limit_minor=1_000)
    before = grant(Budget(sat(9), "day", 0, 3))
    assert [one.budget_id for one in await changed_budgets(desk(), before, [EUROS])] == [3]


async def test_what_is_left_of_one_is_shown_at_the_rate_of_now() -> None:
    old = replace((read_budgets(desk(), [EUROS]))[0], limit_msat=sat(5))
    (row,) = await show_budgets(desk(b0=1_000_000), grant(old))
    assert (row["limit_msat"], row["left_msat"]) == (20_000_000, 19_000_000)
    assert (row["currency"], row["limit_minor"]) == ("EUR", 1_000)


async def test_a_limit_is_in_msat_or_in_a_currency_whose_rate_is_known() -> None:
    for wrong in (
        BudgetAsked(), BudgetAsked(currency="EUR"), BudgetAsked(limit_minor=5),
        BudgetAsked(limit_msat=5, currency="EUR"), BudgetAsked(limit_msat=5, limit_minor=5, currency="EUR"),
    ):  # fmt: skip
        assert "a limit in msat, or in minor units of a currency" in (await refused(wrong)).message
    unknown = await refused(BudgetAsked(currency="USD", limit_minor=5), reason=Reason.UNAVAILABLE)
    assert "the rate of USD" in unknown.message
