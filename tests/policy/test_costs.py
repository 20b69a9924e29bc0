"""What a payment may cost with its fees, and the largest one that a sum covers."""

from __future__ import annotations

from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.commands import PayInvoice
from kitestring.base.destinations import Bolt11
from kitestring.base.grants import Grant
from kitestring.base.money import Msat, sat
from kitestring.policy.costs import Cost, cost_of, fits_within
from kitestring.policy.fees import ServiceFee
from tests.kit.changed import replace

GRANT = Grant(grant_id="g1", name="app", wire="nwc", account_id="shop")
OWNER = Grant(grant_id="owner", name="owner", wire="owner")
PAY = PayInvoice(destination=Bolt11("lnbcrt1"), payment_hash="ab" * 32, amount_msat=sat(100))


def test_a_payment_costs_its_amount_and_at_most_its_fees_and_inside_the_service_no_more_than_its_amount() -> None:
    takes = ServiceFee(sat(2))
    assert cost_of(PAY, GRANT, service_fee=takes) == Cost(sat(100), sat(10), sat(2))
    assert cost_of(PAY, GRANT, service_fee=takes).total_msat == sat(112)
    assert cost_of(PAY, GRANT, service_fee=takes, internal=True) == Cost(sat(100))
    assert cost_of(PAY, OWNER, service_fee=takes) == Cost(sat(100), sat(10))


def test_what_it_costs_is_named_in_whole_msat() -> None:
    assert Cost(sat(1), Msat(5), sat(2)).members == {"amount_msat": 1_000, "fee_cap_msat": 5, "service_fee_msat": 2_000}


def test_nothing_fits_into_less_than_the_least_fee_and_one_sat() -> None:
    assert fits_within(sat(10), PAY, partial(cost_of, grant=OWNER)) == 0
    assert fits_within(sat(11), PAY, partial(cost_of, grant=OWNER)) == sat(1)
    assert fits_within(Msat(-5), PAY, partial(cost_of, grant=OWNER)) == 0


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 10**12), st.none() | st.integers(0, 10**9), st.integers(0, 100_000), st.integers(0, 10**6),
    st.integers(0, 1_000), st.sampled_from([GRANT, OWNER, replace(GRANT, fee_cap_msat=sat(3))]),
)  # fmt: skip
def test_what_fits_is_covered_and_one_sat_more_is_not(
    room: int, max_fee: int | None, ppm: int, floor: int, bps: int, grant: Grant
) -> None:
    command = replace(PAY, max_fee_msat=None if max_fee is None else Msat(max_fee))
    cost = partial(cost_of, grant=grant, fee_ppm=ppm, fee_min_msat=floor, service_fee=ServiceFee(sat(1), bps))
    most = fits_within(Msat(room), command, cost)
    assert most == 0 or cost(replace(command, amount_msat=most)).total_msat <= room
    assert cost(replace(command, amount_msat=most + sat(1))).total_msat > room
