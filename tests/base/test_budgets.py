"""Budgets as owners write them."""

from __future__ import annotations

import pytest

from kitestring.base.budgets import DAY_S, Budget, per_period
from kitestring.base.money import sat


@pytest.mark.parametrize(
    ("budget", "period", "length_s"),
    [
        (Budget.daily(sat(5)), "day", 0),
        (Budget.weekly(sat(5)), "week", 0),
        (Budget.monthly(sat(5)), "month", 0),
        (Budget.yearly(sat(5)), "year", 0),
        (Budget.total(sat(5)), "never", 0),
        (Budget(sat(5)), "never", 0),
        (Budget.rolling(sat(5)), "rolling", 86_400),
        (Budget.rolling(sat(5), 3_600), "rolling", 3_600),
    ],
)
def test_a_budget_has_a_limit_and_the_period_it_is_named_after(budget: Budget, period: str, length_s: int) -> None:
    assert (budget.limit_msat, budget.period, budget.length_s) == (5_000, period, length_s)
    assert DAY_S == 86_400


@pytest.mark.parametrize(
    ("period", "length_s", "words"),
    [
        ("week", 0, "per week"),
        ("rolling", 7 * DAY_S, "in any 7d"),
        ("rolling", DAY_S, "in any 24h"),
        ("rolling", 36 * 3_600, "in any 36h"),
        ("rolling", 5_400, "in any 90min"),
        ("rolling", 61, "in any 61s"),
        ("never", 0, "in total"),
    ],
)
def test_a_week_by_the_calendar_and_any_seven_days_are_told_apart(period: str, length_s: int, words: str) -> None:
    assert per_period(period, length_s) == words
