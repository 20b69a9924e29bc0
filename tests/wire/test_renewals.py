"""The words of NIP-47 for the period of a budget."""

from __future__ import annotations

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.money import sat
from kitestring.wire.renewals import read_period, renewal_word

DAY_S = 86_400


@pytest.mark.parametrize(
    ("budget", "word"),
    [
        (Budget.total(sat(1)), "never"),
        (Budget.daily(sat(1)), "daily"),
        (Budget.weekly(sat(1)), "weekly"),
        (Budget.monthly(sat(1)), "monthly"),
        (Budget.yearly(sat(1)), "yearly"),
    ],
)
def test_a_calendar_period_has_one_word_and_is_read_from_it(budget: Budget, word: str) -> None:
    assert renewal_word(budget) == word
    assert read_period(word) == budget.period


@pytest.mark.parametrize(
    ("seconds", "word"),
    [
        (60, "daily"),
        (DAY_S, "daily"),
        (DAY_S + 1, "weekly"),
        (7 * DAY_S, "weekly"),
        (8 * DAY_S, "monthly"),
        (30 * DAY_S, "monthly"),
        (31 * DAY_S, "monthly"),
        (32 * DAY_S, "yearly"),
        (366 * DAY_S, "yearly"),
    ],
)
def test_a_rolling_budget_is_told_with_a_period_that_is_not_shorter(seconds: int, word: str) -> None:
    assert renewal_word(Budget.rolling(sat(1), seconds)) == word


@pytest.mark.parametrize("word", ["", "hourly", "Daily"])
def test_a_word_that_nobody_knows_promises_no_renewal(word: str) -> None:
    assert read_period(word) == "never"
