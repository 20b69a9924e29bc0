"""The default cap on the routing fee is one number for the engine, the rules and the SDK; the service's own fee is what
its beacon says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitestring.base.money import MAX_SATS, Msat, sat
from kitestring.codec.beacon import BeaconFees
from kitestring.engine.limits import Limits
from kitestring.policy.fees import (
    DEFAULT_FEE_MIN_MSAT,
    DEFAULT_FEE_PPM,
    MAX_SERVICE_BPS,
    NO_SERVICE_FEE,
    ServiceFee,
    default_fee_cap,
)

floors = st.integers(0, 10_000)
points = st.integers(0, MAX_SERVICE_BPS)


@pytest.mark.parametrize(
    ("amount", "cap"),
    [(Msat(1), sat(10)), (sat(999), sat(10)), (sat(1_000), sat(10)), (sat(1_001), Msat(10_010)), (sat(5_000), sat(50))],
)
def test_routing_may_cost_one_percent_and_ten_sats_are_always_allowed(amount: Msat, cap: Msat) -> None:
    assert default_fee_cap(amount) == cap


def test_an_engine_that_nobody_has_set_up_allows_the_same() -> None:
    assert (Limits().fee_ppm, Limits().fee_min_msat) == (DEFAULT_FEE_PPM, DEFAULT_FEE_MIN_MSAT)
    assert type(DEFAULT_FEE_MIN_MSAT) is Msat


# ------------------------------------------------------------ the service's own fee


@pytest.mark.parametrize(
    ("floor", "bps", "amount", "fee"),
    [
        (0, 0, sat(1_000_000), 0),
        (5, 0, Msat(1), 5),
        (5, 25, sat(2_000), 5),
        (5, 25, sat(2_001), 6),
        (0, 25, sat(400), 1),
        (0, 25, Msat(400_001), 2),
        (0, 1, Msat(1), 1),
        (10_000, 1_000, sat(99_999), 10_000),
        (10_000, 1_000, sat(100_001), 10_001),
    ],
)
def test_the_service_takes_the_larger_of_its_floor_and_its_share_in_whole_sats_rounded_up(
    floor: int, bps: int, amount: Msat, fee: int
) -> None:
    taken = ServiceFee(sat(floor), bps).of(amount)
    assert (taken, type(taken)) == (sat(fee), Msat)


@given(floors, points, st.integers(1, MAX_SATS))
def test_what_is_taken_is_what_everybody_computes_from_the_beacon(floor: int, bps: int, amount_sats: int) -> None:
    assert ServiceFee(sat(floor), bps).of(sat(amount_sats)) == sat(BeaconFees(floor, bps).fee_sats(amount_sats))


@given(floors, points, st.integers(0, 10**12))
def test_the_amount_within_a_room_fits_with_its_fee_and_one_msat_more_does_not(floor: int, bps: int, room: int) -> None:
    fee = ServiceFee(sat(floor), bps)
    amount = fee.amount_within(Msat(room))
    assert amount >= 0
    assert not amount or amount + fee.of(amount) <= room
    more = amount + 1
    assert more + fee.of(more) > room


def test_without_a_fee_all_of_the_room_is_for_the_amount() -> None:
    assert NO_SERVICE_FEE.amount_within(Msat(1_234)) == 1_234
    assert Limits().service_fee == NO_SERVICE_FEE
