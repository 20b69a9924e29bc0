"""A payment is claimed with all that is decided before, and recorded with all that follows."""

from __future__ import annotations

import pytest

from kitestring.base.transactions import payments
from tests.kit.transactions import claims, never_changes_and_cannot_be_called, values_of


@pytest.mark.parametrize("kind", values_of(payments))
def test_a_value_never_changes_and_holds_nothing_that_can_be_called(kind: type) -> None:
    assert never_changes_and_cannot_be_called(kind)


def test_payments_and_bundles_are_what_is_claimed() -> None:
    assert claims(payments) == [payments.ClaimPayment, payments.ClaimBundle]
