"""Amounts in currencies and what they are worth, exactly."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitestring.base.currency import (
    EXPONENTS,
    MAX_PRICE,
    MIN_PRICE,
    ExchangeRate,
    decimals_of,
    read_amount,
    rounded_price,
    show_amount,
    show_price,
    show_rate,
)
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import MAX_SATS, MAX_WHOLE, Msat, sat
from tests.kit.clock import NOW

EUR = ExchangeRate.of_price("EUR", Fraction(100_000), NOW, ("a", "b"))
#: All digits that count, from the smallest price to the largest.
_PRICES = st.builds(
    lambda digits, power: Decimal(digits).scaleb(power), st.integers(10**8, 10**9 - 1), st.integers(-6, 4)
)


@pytest.mark.parametrize(
    ("currency", "decimals"),
    [("JPY", 0), ("KRW", 0), ("CLP", 0), ("ISK", 0), ("UGX", 0), ("VND", 0), ("XOF", 0), ("EUR", 2), ("USD", 2),
     ("MGA", 2), ("HUF", 2), ("KWD", 3), ("BHD", 3), ("TND", 3), ("OMR", 3)],
)  # fmt: skip
def test_a_currency_has_the_decimals_of_iso_4217(currency: str, decimals: int) -> None:
    assert decimals_of(currency) == decimals


def test_every_code_has_three_letters_and_stands_once() -> None:
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in EXPONENTS)
    assert len(EXPONENTS) == 16 + 132 + 7


@pytest.mark.parametrize("code", ["", "eur", "EURO", "BTC", "XAU", "XXX", "CHW", "E\x1bR", "EUR "])
def test_what_is_no_currency_is_refused_in_one_sentence(code: str) -> None:
    with pytest.raises(KitestringError, match="such as EUR") as caught:
        decimals_of(code)
    assert caught.value.reason is Reason.MALFORMED
    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("3.50", "EUR", 350), ("3.5", "EUR", 350), ("3", "EUR", 300), ("0.01", "EUR", 1), ("350", "JPY", 350),
     ("0.001", "KWD", 1), ("1.2", "KWD", 1_200), ("007", "EUR", 700), ("90071992547409.91", "EUR", MAX_WHOLE)],
)  # fmt: skip
def test_an_amount_is_read_as_minor_units(text: str, currency: str, minor: int) -> None:
    assert read_amount(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [("", "EUR"), ("0", "EUR"), ("0.00", "EUR"), ("-1", "EUR"), ("+1", "EUR"), ("1,5", "EUR"), ("1,000", "EUR"),
     ("1.", "EUR"), (".5", "EUR"), ("1e3", "EUR"), ("NaN", "EUR"), ("0.001", "EUR"), ("1.0", "JPY"), ("1.0001", "KWD"),
     ("٣", "EUR"),
     ("90071992547409.92", "EUR"), ("9" * 16, "JPY"), ("1 ", "EUR"), ("3.50EUR", "EUR"), ("9" * 10_000, "EUR")],
)  # fmt: skip
def test_what_is_no_amount_of_a_currency_is_refused(text: str, currency: str) -> None:
    with pytest.raises(KitestringError) as caught:
        read_amount(text, currency)
    assert caught.value.reason is Reason.MALFORMED
    assert len(caught.value.message) < 100


def test_an_amount_is_shown_with_the_decimals_of_its_currency() -> None:
    shown = [show_amount(1_234_567, currency) for currency in ("JPY", "EUR", "KWD")]
    assert shown == ["1,234,567 JPY", "12,345.67 EUR", "1,234.567 KWD"]
    assert show_amount(5, "EUR") == "0.05 EUR"


@given(st.sampled_from(sorted(EXPONENTS)), st.integers(1, 10**14))
def test_an_amount_is_read_as_it_is_shown(currency: str, minor: int) -> None:
    assert read_amount(show_amount(minor, currency).removesuffix(f" {currency}").replace(",", ""), currency) == minor


@pytest.mark.parametrize(("minor", "sats"), [(1, 10), (350, 3_500), (100, 1_000)])
def test_what_divides_is_exact(minor: int, sats: int) -> None:
    assert EUR.to_pay(minor) == sat(sats)


def test_what_a_payer_pays_is_rounded_up_to_a_whole_sat() -> None:
    rate = ExchangeRate.of_price("EUR", Fraction(97_012), NOW, ("a",))
    assert rate.to_pay(350) == sat(3_608)  # 3,607.8…
    assert rate.to_pay(1) == sat(11)  # 10.3…
    assert ExchangeRate.of_price("JPY", Fraction(10**10), NOW, ()).to_pay(1) == sat(1)  # a hundredth of a sat


def test_the_worth_of_an_amount_is_the_nearest_minor_unit() -> None:
    rate = ExchangeRate.of_price("EUR", Fraction(97_012), NOW, ("a",))  # 10.3 sat for a cent
    worth = {sats: rate.worth(sat(sats)) for sats in (0, 5, 6, 3_608, 10**8)}
    assert worth == {0: 0, 5: 0, 6: 1, 3_608: 350, 10**8: 9_701_200}


@given(st.sampled_from(["JPY", "EUR", "KWD"]), _PRICES, st.integers(1, 10**9))
def test_the_sats_are_the_least_that_are_worth_the_amount(currency: str, price: Decimal, minor: int) -> None:
    rate = ExchangeRate.of_price(currency, Fraction(price), NOW, ())
    value = Fraction(minor, 10 ** decimals_of(currency)) / Fraction(price) * 10**8
    if value <= MAX_SATS:
        sats = rate.to_pay(minor).sats_down()
        assert sats - 1 < value <= sats


@given(st.sampled_from(["JPY", "EUR", "KWD"]), _PRICES, st.integers(0, 30))
def test_a_rate_of_two_sources_that_agree_keeps_its_price_and_fits_into_64_bits(
    currency: str, one: Decimal, apart_permille: int
) -> None:
    assert MIN_PRICE <= one <= MAX_PRICE
    other = rounded_price(min(one * (1000 + apart_permille) / 1000, MAX_PRICE))
    price = (Fraction(one) + Fraction(other)) / 2
    rate = ExchangeRate.of_price(currency, price, NOW, ("a",))
    assert rate.price == price
    assert 0 < rate.msat < 2**63
    assert 0 < rate.minor < 2**63
    assert msgspec.json.decode(msgspec.json.encode(rate), type=ExchangeRate) == rate


@pytest.mark.parametrize("minor", [0, -5, 10**18])
def test_nothing_and_more_than_all_bitcoin_are_no_amounts_to_pay(minor: int) -> None:
    with pytest.raises(KitestringError) as caught:
        EUR.to_pay(minor)
    assert caught.value.reason is Reason.AMOUNT_OUT_OF_RANGE


def test_an_amount_to_pay_is_money() -> None:
    assert isinstance(EUR.to_pay(1), Msat)


@pytest.mark.parametrize(
    "text", ["NaN", "sNaN", "Infinity", "-Infinity", "-97000", "0", "0.00001", "99", "1e14", "1e999999"]
)
def test_what_no_bitcoin_can_cost_is_no_price(text: str) -> None:
    with pytest.raises(KitestringError, match="no price of a bitcoin"):
        rounded_price(Decimal(text))


def test_a_price_has_nine_digits() -> None:
    assert rounded_price(Decimal("97012.3456789012")) == Decimal("97012.3457")
    assert rounded_price(Decimal(100)) == 100


@pytest.mark.parametrize(
    ("price", "shown"),
    [(Fraction(97_012), "97,012"), (Fraction(194_025, 2), "97,012.5"), (Decimal("97012.340"), "97,012.34"),
     (Fraction(10**13), "10,000,000,000,000"), (Fraction(1_000_000, 3), "333,333.333")],
)  # fmt: skip
def test_a_price_is_shown_without_an_exponent(price: Fraction | Decimal, shown: str) -> None:
    assert show_price(price) == shown


@given(st.integers(1, 10**9), st.integers(10_000, 500_000))
def test_what_an_amount_pays_for_is_the_price_again_wherever_a_minor_unit_is_worth_a_sat(
    minor: int, price: int
) -> None:
    rate = ExchangeRate.of_price("EUR", Fraction(price), 0, ("one",))
    assert rate.paid_for(rate.to_pay(minor)) == minor


def test_a_rate_is_shown_as_the_price_of_a_bitcoin() -> None:
    assert show_rate(ExchangeRate.of_price("EUR", Fraction(9701234, 100), 0, ())) == "1 BTC = 97,012.34 EUR"
