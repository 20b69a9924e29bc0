"""Which rate comes of which answers, and when there is none."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitestring.base.currency import ExchangeRate
from kitestring.base.errors import Reason
from kitestring.base.money import sat
from kitestring.base.outcomes import Refused
from kitestring.policy.exchange import MAX_AGE_S, Quote, in_use, judge, spread_percent
from kitestring.wire.serve.offers import CODES
from tests.kit.clock import NOW, STEPS_S


def told(*prices: str | None) -> list[Quote]:
    """Answers of the sources a, b, c …; None = none."""
    names = "abcdefgh"
    return [
        Quote(names[number], None if price is None else Decimal(price), "" if price else "down")
        for number, price in enumerate(prices)
    ]


def rate(*prices: str | None, at: int = NOW, before: ExchangeRate | None = None) -> ExchangeRate:
    found = judge("EUR", told(*prices), at, before)
    assert isinstance(found, ExchangeRate), found
    return found


def why(*prices: str | None, at: int = NOW, before: ExchangeRate | None = None) -> str:
    found = judge("EUR", told(*prices), at, before)
    assert isinstance(found, Refused), found
    assert found.reason is Reason.UNAVAILABLE
    return found.message


@pytest.mark.parametrize(
    ("prices", "price"),
    [
        (("97000",), 97_000),
        (("97000", "97100"), 97_050),
        (("97000", "97100", "99000"), 97_100),
        (("97000", "97100", "97300", "99000"), 97_200),
        ((None, "97000", None, "97100"), 97_050),
    ],
)
def test_the_rate_is_the_median_of_those_that_answer(prices: tuple[str | None, ...], price: int) -> None:
    found = rate(*prices)
    assert found.price == price
    assert found.at == NOW
    assert found.sources == tuple(one.source for one in told(*prices) if one.price)


def test_a_median_between_two_prices_is_exact() -> None:
    assert rate("97000", "97000.01").price == Fraction("97000.005")


@pytest.mark.parametrize("prices", [("100000", "103000"), ("100000", "101000", "102000", "103000")])
def test_prices_that_differ_by_3_percent_agree(prices: tuple[str, ...]) -> None:
    assert rate(*prices)


@pytest.mark.parametrize(
    "prices",
    [
        ("100000", "103000.1"),
        ("97000", "9700"),
        ("97000", "970000"),
        ("97000", "97001", "97002", "97003", "9700"),
        ("97000", "97001", "97002", "97003", "970000"),
    ],
)
def test_on_prices_of_which_two_differ_by_more_nothing_is_priced(prices: tuple[str, ...]) -> None:
    last = rate("97000", "97000", at=NOW - 60)
    for before in (None, last):
        sentence = why(*prices, before=before)
        assert sentence.startswith("the rate of EUR is stale: ")
        assert sentence.endswith(", which differ by more than 3 %")
    assert why("97000", "9700") == (
        "the rate of EUR is stale: b tells 9,700 and a 97,000, which differ by more than 3 %"
    )


@given(st.lists(st.integers(97_000, 99_000), min_size=2, max_size=8), st.sampled_from([10, 100]), st.booleans())
def test_no_source_that_lies_by_a_factor_moves_the_rate(honest: list[int], factor: int, up: bool) -> None:
    lie = Decimal(honest[0] * factor) if up else Decimal(honest[0]) / factor
    answers = [*told(*map(str, honest[:7])), Quote("liar", lie)]
    assert isinstance(judge("EUR", answers, NOW), Refused)


@pytest.mark.parametrize("prices", [(None, None), ("97000", None), (None, None, None, None, "97000")])
def test_one_source_alone_is_not_believed_where_several_are_set(prices: tuple[str | None, ...]) -> None:
    count = sum(price is not None for price in prices)
    assert why(*prices) == (f"the rate of EUR is not known: {count} of {len(prices)} sources told it, and 2 are needed")


def test_one_source_is_believed_where_the_owner_has_set_no_other() -> None:
    assert rate("97000").price == 97_000
    assert why(None) == "the rate of EUR is not known: a tells no price: down"
    assert why() == "the rate of EUR is not known: no source of rates is set"


@pytest.mark.parametrize("prices", [(None, None), ("97000", None), (None,)])
@pytest.mark.parametrize(
    ("age_s", "usable"), [(0, True), (60, True), (MAX_AGE_S, True), (MAX_AGE_S + 1, False), (-1, False)]
)
def test_while_too_few_answer_the_last_rate_is_used_until_it_is_too_old(
    prices: tuple[str | None, ...], age_s: int, usable: bool
) -> None:
    last = rate("96000", "96000", at=NOW - age_s)
    if usable:
        assert rate(*prices, before=last) is last
    else:
        assert "is not known" in why(*prices, before=last)


@pytest.mark.parametrize("price", ["9700", "970000", "70000", "125000"])
def test_a_rate_that_leaps_is_not_believed_before_it_has_lasted(price: str) -> None:
    last = rate("97000", "97000", at=NOW - MAX_AGE_S)
    sentence = why(price, price, before=last)
    assert sentence.startswith("the rate of EUR is stale: it has leapt from 97,000 to ")
    assert sentence.endswith(" within 600 s, which has to last 10 minutes to be believed")
    assert rate(price, price, at=NOW + 1, before=last).price == int(price)


@pytest.mark.parametrize("price", ["77600", "97000", "121250"])
def test_a_rate_that_moves_within_reason_is_the_new_one(price: str) -> None:
    assert rate(price, price, before=rate("97000", "97000", at=NOW - 60)).price == int(price)


@pytest.mark.parametrize("seconds", [*STEPS_S, *(-step for step in STEPS_S)])
def test_no_step_of_the_clock_makes_an_old_rate_young(seconds: int) -> None:
    found = in_use(rate("97000"), NOW + seconds)
    assert isinstance(found, ExchangeRate) == (0 <= seconds <= MAX_AGE_S)


def test_a_rate_that_is_too_old_says_so() -> None:
    found = in_use(rate("97000"), NOW + 601)
    assert isinstance(found, Refused)
    assert found.message == "the rate of EUR is stale: it was told 601 s ago, and 600 s are the limit"


def test_whoever_asks_an_offer_meanwhile_is_told_of_a_temporary_failure() -> None:
    found = judge("EUR", told("97000", "9700"), NOW)
    assert isinstance(found, Refused)
    assert CODES[found.reason] == 2


def test_the_spread_is_that_of_the_highest_price_over_the_lowest() -> None:
    assert spread_percent(told("100000", None, "103000", "101000")) == 3
    assert spread_percent(told("100000")) is None  # one alone differs from nobody
    assert spread_percent(told(None)) is None


def test_a_rate_of_this_rule_prices_an_amount() -> None:
    assert rate("100000", "100000").to_pay(200) == sat(2_000)
