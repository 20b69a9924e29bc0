"""Outcomes: every answer there is, as values that can be passed around without changing."""

from __future__ import annotations

from typing import get_args

import pytest

from kitestring.base import outcomes
from kitestring.base.budgets import Budget
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import ZERO, Msat
from kitestring.base.outcomes import (
    BudgetState,
    Direction,
    Found,
    Invoiced,
    Listed,
    Outcome,
    Refused,
    Transaction,
    TransactionState,
)
from tests.kit.values import is_frozen, is_value

VALUES = [one for one in vars(outcomes).values() if is_value(one) and one.__module__ == outcomes.__name__]


@pytest.mark.parametrize("kind", VALUES)
def test_an_outcome_never_changes(kind: type) -> None:
    assert is_frozen(kind)


def test_every_answer_is_one_of_the_outcomes() -> None:
    assert set(get_args(Outcome)) == set(VALUES) - {Transaction}


def test_two_refusals_do_not_share_their_details() -> None:
    first, second = Refused(Reason.BUSY), Refused(Reason.BUSY)
    first.details["retry_after"] = 1
    assert second.details == {}


def test_a_payment_that_is_not_settled_shows_no_proof_and_belongs_to_the_owner_unless_it_is_said() -> None:
    pending = Transaction(Direction.INCOMING, TransactionState.PENDING, "aa" * 32, ZERO, ZERO, 0)
    assert (pending.preimage, pending.settled_at, pending.account, pending.connection_id) == ("", None, "owner", "")
    assert Found(pending).transaction == Invoiced(pending).transaction == Listed((pending,)).transactions[0]


def test_a_failure_becomes_a_refusal_that_tells_the_same_and_keeps_private_what_was_private() -> None:
    failure = KitestringError(Reason.UNAVAILABLE, "it is away", private="https://10.0.0.7 refused", retry_after=5)
    assert Refused.of(failure) == Refused(
        Reason.UNAVAILABLE, "it is away", {"retry_after": 5}, "https://10.0.0.7 refused"
    )
    assert "10.0.0.7" not in str(failure)


def test_what_is_left_of_a_budget_may_be_less_than_nothing_and_of_none_is_no_number() -> None:
    assert BudgetState().left_msat is None
    assert BudgetState(Budget.daily(Msat(5)), Msat(7)).left_msat == -2
