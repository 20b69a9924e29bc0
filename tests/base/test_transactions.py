"""Transactions as values: a store can apply them later, elsewhere, in a batch, and nobody can change them meanwhile."""

from __future__ import annotations

from enum import Enum
from typing import Any, get_args, get_origin

import pytest

from kitestring.base import transactions
from kitestring.base.money import Msat
from kitestring.base.transactions import Committed, Tx, Write
from tests.kit.values import is_frozen, is_value, parts

VALUES = [one for one in vars(transactions).values() if is_value(one) and one.__module__ == transactions.__name__]
TRANSACTIONS = [one for one in VALUES if issubclass(one, Tx) and one is not Tx]


def answers(tx: Any) -> set[type]:
    """What a store may answer to it, as its type says."""
    (base,) = [one for one in tx.__orig_bases__ if get_origin(one) is Tx]
    (answer,) = get_args(base)
    return set(get_args(answer)) or {answer}


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_never_changes_and_holds_nothing_that_can_be_called(kind: type) -> None:
    assert is_frozen(kind)
    plain = {one for one in parts(kind) if not is_value(one) and not issubclass(one, Enum)}
    assert plain <= {int, str, bytes, bool, Msat, type(None), tuple, frozenset}


def test_every_transaction_names_its_answers_and_every_answer_belongs_to_one() -> None:
    assert len(TRANSACTIONS) >= 10
    named = set().union(*(answers(tx) for tx in TRANSACTIONS))
    assert named == set(VALUES) - set(TRANSACTIONS) - set(get_args(Write)) - {Tx, Committed}


def test_what_claims_a_request_can_also_find_it_claimed_or_finished() -> None:
    claims = [tx for tx in TRANSACTIONS if transactions.Claimed in answers(tx)]
    assert claims
    for tx in claims:
        assert transactions.Finished in answers(tx)
        assert transactions.Denied in answers(tx)
