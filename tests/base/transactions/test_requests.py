"""Requests that are answered or refused without a claim."""

from __future__ import annotations

import pytest

from kitestring.base.transactions import requests
from tests.kit.transactions import claims, never_changes_and_cannot_be_called, transactions_of, values_of


@pytest.mark.parametrize("kind", values_of(requests))
def test_a_value_never_changes_and_holds_nothing_that_can_be_called(kind: type) -> None:
    assert never_changes_and_cannot_be_called(kind)


def test_nothing_of_it_claims_a_request() -> None:
    assert transactions_of(requests)
    assert claims(requests) == []
