"""Prices that were told a moment ago are remembered, with a bound, and count for nothing where there is no rate."""

from __future__ import annotations

import pytest

from kitestring.base.errors import KitestringError
from kitestring.engine.quoted import HONOURED_S, MAX_TOLD, QuotedRates
from tests.kit.clock import ManualClock
from tests.kit.engine.rates import MarketRates


async def prices(quoted: QuotedRates, currency: str = "EUR") -> list[int]:
    return [int(rate.price) for rate in await quoted.of(currency)]


async def test_the_rate_of_now_comes_first_and_those_of_the_last_minutes_after_it() -> None:
    market = MarketRates(clock := ManualClock())
    quoted = QuotedRates(market, clock)
    assert await prices(quoted) == [100_000]
    clock.advance(60)
    market.price = 101_000
    assert await prices(quoted) == [101_000, 100_000]
    clock.advance(HONOURED_S - 60)
    market.price = 102_000
    assert await prices(quoted) == [102_000, 101_000, 100_000]
    clock.advance(1)
    assert await prices(quoted) == [102_000, 102_000, 101_000]  # the same price, told at another second
    assert await prices(quoted, "USD") == [102_000]
    clock.advance(-3_600)
    assert await prices(quoted) == [102_000]  # of a future that may never come nothing is known


async def test_a_rate_that_is_told_again_is_one_rate_and_they_have_a_bound() -> None:
    market = MarketRates(clock := ManualClock())
    quoted = QuotedRates(market, clock)
    for _ in range(3):
        await quoted.of("EUR")
    assert await prices(quoted) == [100_000]
    for price in range(1, 3 * MAX_TOLD):
        market.price = 100_000 + price
        found = await prices(quoted)
    assert found == list(range(100_000 + 3 * MAX_TOLD - 1, 100_000 + 2 * MAX_TOLD - 1, -1))


async def test_without_a_rate_now_no_earlier_one_is_told() -> None:
    market = MarketRates(clock := ManualClock())
    quoted = QuotedRates(market, clock)
    await quoted.of("EUR")
    market.price = 0
    with pytest.raises(KitestringError, match="nobody tells"):
        await quoted.of("EUR")
