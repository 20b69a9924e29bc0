"""Budgets as owners write them."""

from __future__ import annotations

import pytest

from kitestring.base.budgets import DAY_S, Budget
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
