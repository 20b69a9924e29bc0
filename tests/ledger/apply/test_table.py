"""Every transaction has exactly one function that applies it, and that answers what the transaction promises."""

from __future__ import annotations

import types
import typing
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from kitestring.base.transactions.answers import Tx
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.apply.table import APPLY
from tests.kit.transactions import files, transactions_of

TRANSACTIONS = {tx for file in files() for tx in transactions_of(file)}


def members(kind: Any) -> set[type]:
    """The classes that a union, or a class alone, stands for."""
    if get_origin(kind) in (typing.Union, types.UnionType):
        return set().union(*(members(arg) for arg in get_args(kind)))
    return {kind}


def test_every_transaction_is_applied_by_a_function_of_its_own() -> None:
    assert set(APPLY) == TRANSACTIONS
    assert len(set(APPLY.values())) == len(APPLY)


@pytest.mark.parametrize("kind", APPLY)
def test_the_function_takes_this_transaction_and_answers_nothing_that_it_does_not_promise(kind: Any) -> None:
    hints = get_type_hints(APPLY[kind])
    answer = hints.pop("return")
    assert list(hints.values()) == [Batch, kind]
    (base,) = [one for one in kind.__orig_bases__ if get_origin(one) is Tx]
    assert members(answer) <= members(get_args(base)[0])
