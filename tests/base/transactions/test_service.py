"""What the service notes about itself is never refused."""

from __future__ import annotations

import pytest

from kitestring.base.transactions import service
from kitestring.base.transactions.answers import Done
from tests.kit.transactions import answers, never_changes_and_cannot_be_called, transactions_of, values_of


@pytest.mark.parametrize("kind", values_of(service))
def test_a_value_never_changes_and_holds_nothing_that_can_be_called(kind: type) -> None:
    assert never_changes_and_cannot_be_called(kind)


def test_what_is_noted_is_done() -> None:
    assert [answers(tx) for tx in transactions_of(service)] == [{Done}] * 3
