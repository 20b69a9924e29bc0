"""What a store answers are values too, and each belongs to a transaction."""

from __future__ import annotations

import pytest

from kitestring.base.transactions import answers
from kitestring.base.transactions.answers import Tx
from tests.kit.transactions import answers as answers_of
from tests.kit.transactions import files, never_changes_and_cannot_be_called, transactions_of, values_of


@pytest.mark.parametrize("kind", values_of(answers))
def test_a_value_never_changes_and_holds_nothing_that_can_be_called(kind: type) -> None:
    assert never_changes_and_cannot_be_called(kind)


def test_every_transaction_names_its_answers_and_every_answer_belongs_to_one() -> None:
    promised = [answers_of(tx) for file in files() for tx in transactions_of(file)]
    assert len(promised) >= 10
    assert set().union(*promised) == set(values_of(answers)) - {Tx}
