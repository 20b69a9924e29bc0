"""What the owner may write: all of it, or nothing, under one claim."""

from __future__ import annotations

from typing import get_args

import pytest

from kitestring.base.transactions import owner
from tests.kit.transactions import claims, never_changes_and_cannot_be_called, values_of


@pytest.mark.parametrize("kind", values_of(owner))
def test_a_value_never_changes_and_holds_nothing_that_can_be_called(kind: type) -> None:
    assert never_changes_and_cannot_be_called(kind)


def test_every_value_claims_a_request_or_is_one_of_the_writes() -> None:
    assert claims(owner) == [owner.ManageOffers, owner.EnrollKey, owner.Execute]
    assert set(values_of(owner)) - set(claims(owner)) == set(get_args(owner.Write))
