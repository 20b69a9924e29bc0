"""The feed and the outbox move on by values that claim nothing."""

from __future__ import annotations

import pytest

from kitestring.base.transactions import feed
from tests.kit.transactions import claims, never_changes_and_cannot_be_called, transactions_of, values_of


@pytest.mark.parametrize("kind", values_of(feed))
def test_a_value_never_changes_and_holds_nothing_that_can_be_called(kind: type) -> None:
    assert never_changes_and_cannot_be_called(kind)


def test_nothing_of_it_claims_a_request() -> None:
    assert transactions_of(feed)
    assert claims(feed) == []
