"""The default cap on the routing fee is one number for the engine, the rules and the SDK."""

from __future__ import annotations

import pytest

from kitestring.base.money import Msat, sat
from kitestring.engine.limits import Limits
from kitestring.policy.fees import DEFAULT_FEE_MIN_MSAT, DEFAULT_FEE_PPM, default_fee_cap


@pytest.mark.parametrize(
    ("amount", "cap"),
    [(Msat(1), sat(10)), (sat(999), sat(10)), (sat(1_000), sat(10)), (sat(1_001), Msat(10_010)), (sat(5_000), sat(50))],
)
def test_routing_may_cost_one_percent_and_ten_sats_are_always_allowed(amount: Msat, cap: Msat) -> None:
    assert default_fee_cap(amount) == cap


def test_an_engine_that_nobody_has_set_up_allows_the_same() -> None:
    assert (Limits().fee_ppm, Limits().fee_min_msat) == (DEFAULT_FEE_PPM, DEFAULT_FEE_MIN_MSAT)
    assert type(DEFAULT_FEE_MIN_MSAT) is Msat
