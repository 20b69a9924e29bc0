"""Balances and budgets as NIP-47 tells them."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.money import Msat
from kitestring.base.outcomes import Balance, BudgetState
from tests.kit.clock import NOW
from tests.kit.wire.nwc import response


@pytest.mark.parametrize(
    ("state", "result"),
    [
        (BudgetState(), {}),
        (
            BudgetState(Budget.total(Msat(0))),
            {"used_budget": 0, "total_budget": 0, "renewal_period": "never"},
        ),
        (
            BudgetState(Budget.rolling(Msat(9_000), 3_600), Msat(9_001), NOW),
            {"used_budget": 9_001, "total_budget": 9_000, "renewal_period": "daily", "renews_at": NOW},
        ),
    ],
)
def test_a_budget_of_nothing_is_told_as_one_and_none_as_nothing(state: BudgetState, result: dict[str, Any]) -> None:
    assert response("get_budget", state)["result"] == result


def test_a_balance_is_never_negative() -> None:
    assert response("get_balance", Balance(Msat(-5)))["result"] == {"balance": 0}
