"""The rate of a currency out of what its sources told: when it may be used, and when nothing may be priced on it.

A wrong rate sells for a tenth of the price or asks for ten times of it. So sources that disagree, one source alone
where several are set, a price that leaps, and an old one give no rate at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from statistics import median
from typing import Final

import msgspec

from kitestring.base.currency import ExchangeRate, show_price
from kitestring.base.errors import Reason
from kitestring.base.outcomes import Refused

#: Prices of two sources that differ by more than this contradict each other.
MAX_SPREAD_PERCENT: Final = 3
#: Sources that must have answered, where as many are set.
NEEDED_SOURCES: Final = 2
#: Two rates within :data:`MAX_AGE_S` that differ by more than this: what moves so far in ten minutes is rather a fault
#: of the source than the market.
MAX_LEAP_PERCENT: Final = 25
#: Seconds for which a rate may be used when no newer one is to be had.
MAX_AGE_S: Final = 600


class Quote(msgspec.Struct, frozen=True):
    """The answer of one source: the ``price`` of a bitcoin in the major unit, or the ``trouble`` why there is none."""

    source: str
    price: Decimal | None = None
    trouble: str = ""


def judge(
    currency: str, answers: Sequence[Quote], at: int, before: ExchangeRate | None = None
) -> ExchangeRate | Refused:
    """The rate of ``currency`` after these answers, which were asked for at ``at`` (Unix seconds): the median.

    ``before`` is the last good one: it stays in use while too few answer, and a new one is compared with it.
    """
    prices = {told.source: Fraction(told.price) for told in answers if told.price is not None}
    last = before if before is not None and is_usable(before, at) else None
    if len(prices) < min(NEEDED_SOURCES, max(1, len(answers))):
        return last or _too_few(currency, answers, len(prices))
    low, high = min(prices, key=prices.__getitem__), max(prices, key=prices.__getitem__)
    if _differ(prices[low], prices[high], MAX_SPREAD_PERCENT):
        pair = f"{low} tells {show_price(prices[low])} and {high} {show_price(prices[high])}"
        return _stale(currency, f"{pair}, which differ by more than {MAX_SPREAD_PERCENT} %")
    price = Fraction(median(prices.values()))
    if last is not None and _differ(last.price, price, MAX_LEAP_PERCENT):
        leap = f"from {show_price(last.price)} to {show_price(price)} within {at - last.at} s"
        return _stale(currency, f"it has leapt {leap}, which has to last {MAX_AGE_S // 60} minutes to be believed")
    return ExchangeRate.of_price(currency, price, at, tuple(prices))


def is_usable(rate: ExchangeRate, now: int) -> bool:
    """Whether it may be priced with this rate. One from the future, after a step of the clock, is as good as old."""
    return 0 <= now - rate.at <= MAX_AGE_S


def in_use(rate: ExchangeRate, now: int) -> ExchangeRate | Refused:
    """The rate, or the refusal to price anything at it because it is too old."""
    if is_usable(rate, now):
        return rate
    return _stale(rate.currency, f"it was told {now - rate.at} s ago, and {MAX_AGE_S} s are the limit")


def spread_percent(answers: Sequence[Quote]) -> Fraction | None:
    """By how much the highest price is above the lowest; None where fewer than two told one."""
    prices = [Fraction(told.price) for told in answers if told.price is not None]
    return (max(prices) / min(prices) - 1) * 100 if len(prices) > 1 else None


def _differ(one: Fraction, other: Fraction, percent: int) -> bool:
    return max(one, other) * 100 > min(one, other) * (100 + percent)


def _too_few(currency: str, answers: Sequence[Quote], count: int) -> Refused:
    if not answers:
        return _refused(f"the rate of {currency} is not known: no source of rates is set")
    if len(answers) == 1:
        return _refused(
            f"the rate of {currency} is not known: {answers[0].source} tells no price: {answers[0].trouble}"
        )
    told = f"{count} of {len(answers)} sources told it, and {NEEDED_SOURCES} are needed"
    return _refused(f"the rate of {currency} is not known: {told}")


def _stale(currency: str, why: str) -> Refused:
    return _refused(f"the rate of {currency} is stale: {why}")


def _refused(sentence: str) -> Refused:
    """A temporary failure on every wire (code 2 of CLINK Offers): nothing is sold at a price in it meanwhile."""
    return Refused(Reason.UNAVAILABLE, sentence)
