"""A question is claimed like a payment, and a decision is said once."""

from __future__ import annotations

import pytest

from kitestring.base.transactions import approvals
from kitestring.base.transactions.answers import AlreadyDecided
from tests.kit.transactions import answers, claims, never_changes_and_cannot_be_called, values_of


@pytest.mark.parametrize("kind", values_of(approvals))
def test_a_value_never_changes_and_holds_nothing_that_can_be_called(kind: type) -> None:
    assert never_changes_and_cannot_be_called(kind)


def test_a_question_is_claimed_whether_it_is_new_or_asks_for_the_same() -> None:
    assert claims(approvals) == [approvals.AskOwner, approvals.AwaitApproval]


def test_a_decision_that_comes_second_learns_how_it_ended() -> None:
    assert AlreadyDecided in answers(approvals.Decide)
