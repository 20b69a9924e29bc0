"""Currencies of ISO 4217, amounts in them, and what an amount is worth in msat. No floats anywhere.

An amount is a whole number of minor units: 350 is 3.50 EUR, 350 JPY, and 0.350 KWD.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction
from types import MappingProxyType
from typing import Final

import msgspec

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import MAX_MSAT, MAX_SATS, MAX_WHOLE, MSAT_PER_SAT, Msat, sat

#: Codes by the number of decimals. Funds and units of account, metals and codes of tests are left out: nobody pays in
#: them.
_CODES: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC "
    "CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
    "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD "
    "NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN "
    "SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
}
#: Decimals of each currency.
EXPONENTS: Final[Mapping[str, int]] = MappingProxyType(
    {code: exponent for exponent, codes in _CODES.items() for code in codes.split()}
)
MSAT_PER_BTC: Final = 100_000_000 * MSAT_PER_SAT
#: Digits of a price that count. No market is that exact, and numerator and denominator of a rate fit into 64 bits.
PRICE_DIGITS: Final = 9
#: What one bitcoin may cost in any currency: less or more is a mistake, such as the inverse.
MIN_PRICE, MAX_PRICE = Decimal(100), Decimal(10) ** 13
_ROUNDING: Final = Context(prec=PRICE_DIGITS, rounding=ROUND_HALF_EVEN)
_AMOUNT: Final = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,15}))?", re.ASCII)


def decimals_of(currency: str) -> int:
    """The decimals of a currency by its code. Raises KitestringError (malformed) when there is none of that code."""
    found = EXPONENTS.get(currency)
    if found is None:
        sentence = f"there is no currency {currency[:16]!r}: write its code of three letters, such as EUR"
        raise KitestringError(Reason.MALFORMED, sentence)
    return found


def read_amount(text: str, currency: str) -> int:
    """The minor units in a decimal such as ``3.50``, from 1 to 2^53 − 1. Raises KitestringError (malformed)."""
    decimals = decimals_of(currency)
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise KitestringError(Reason.MALFORMED, f"an amount in {currency} is written as {show_amount(350, currency)}")
    fraction = found[2] or ""
    if len(fraction) > decimals:
        raise KitestringError(Reason.MALFORMED, f"{currency} has {decimals or 'no'} decimals: name no smaller part")
    minor = int(found[1] + fraction.ljust(decimals, "0"))
    if not 0 < minor <= MAX_WHOLE:
        raise KitestringError(Reason.MALFORMED, f"an amount in {currency} is more than 0 and has at most 15 digits")
    return minor


def show_amount(minor: int, currency: str) -> str:
    """``1,234.50 EUR``, for people."""
    decimals = decimals_of(currency)
    whole, rest = divmod(minor, 10**decimals)
    return f"{whole:,}.{rest:0{decimals}d} {currency}" if decimals else f"{whole:,} {currency}"


def rounded_price(price: Decimal) -> Decimal:
    """A price of one bitcoin with the digits that count. Raises KitestringError for what cannot be one."""
    if not price.is_finite() or not MIN_PRICE <= price <= MAX_PRICE:
        raise KitestringError(Reason.MALFORMED, f"{str(price)[:40]} is no price of a bitcoin")
    return _ROUNDING.plus(price)


class ExchangeRate(msgspec.Struct, frozen=True):
    """``minor`` minor units of ``currency`` are worth exactly ``msat``, as ``sources`` told at ``at`` (Unix seconds).

    It is kept beside whatever was priced with it: nothing is priced twice at two rates.
    """

    currency: str
    msat: int
    minor: int
    at: int
    sources: tuple[str, ...]

    @classmethod
    def of_price(cls, currency: str, price: Fraction, at: int, sources: tuple[str, ...]) -> ExchangeRate:
        """The rate at which one bitcoin costs ``price`` of the currency's major unit."""
        msat_per_minor = MSAT_PER_BTC / (price * 10 ** decimals_of(currency))
        return cls(currency, msat_per_minor.numerator, msat_per_minor.denominator, at, sources)

    @property
    def price(self) -> Fraction:
        """The price of one bitcoin, in the major unit."""
        return Fraction(MSAT_PER_BTC * self.minor, self.msat * 10 ** decimals_of(self.currency))

    def at_most(self, minor: int) -> Msat:
        """The value of so many minor units, rounded down to whole msat and at most all bitcoin: what somebody may spend
        is never more than they were allowed."""
        return Msat(min(minor * self.msat // self.minor, MAX_MSAT))

    def to_pay(self, minor: int) -> Msat:
        """The amount that a payer pays for so many minor units: rounded up to a whole sat.

        Raises KitestringError (amount out of range) for nothing, and for more than all bitcoin.
        """
        sats = -(-minor * self.msat // (self.minor * MSAT_PER_SAT))
        if not 0 < sats <= MAX_SATS:
            raise KitestringError(
                Reason.AMOUNT_OUT_OF_RANGE, f"{show_amount(minor, self.currency)} is no amount to pay"
            )
        return sat(sats)

    def worth(self, amount_msat: Msat) -> int:
        """The minor units that an amount is worth, rounded to the nearest: to be shown, never to be paid."""
        return (2 * int(amount_msat) * self.minor + self.msat) // (2 * self.msat)

    def paid_for(self, amount_msat: Msat) -> int:
        """The minor units that an amount pays for, rounded down: the inverse of :meth:`to_pay` wherever a minor unit
        is worth a sat or more."""
        return int(amount_msat) * self.minor // self.msat


def show_price(price: Fraction | Decimal) -> str:
    """A price of one bitcoin with the digits that count, for people: ``97,012.34``."""
    exact = Fraction(price)
    with localcontext(_ROUNDING):
        number = Decimal(exact.numerator) / Decimal(exact.denominator)
    return f"{number.normalize(_ROUNDING):,f}"


def show_rate(rate: ExchangeRate) -> str:
    """``1 BTC = 97,012 EUR``, for people."""
    return f"1 BTC = {show_price(rate.price)} {rate.currency}"
