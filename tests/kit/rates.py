"""Rates of currencies as a test sets them."""

from __future__ import annotations

import asyncio
from fractions import Fraction

from kitestring.base.currency import ExchangeRate
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.ports import Clock
from tests.kit.clock import NOW


def rate_of(price: int, currency: str = "EUR") -> ExchangeRate:
    """The rate at which a bitcoin costs ``price`` of the major unit."""
    return ExchangeRate.of_price(currency, Fraction(price), NOW, ("test",))


class SetRates:
    """A bitcoin costs as much as ``prices`` say, by currency; any other rate is not known."""

    def __init__(self, **prices: int) -> None:
        self.prices = prices
        self.asked: list[str] = []

    async def rate(self, currency: str) -> ExchangeRate:
        self.asked.append(currency)
        return self.known(currency)

    def known(self, currency: str) -> ExchangeRate:
        if currency not in self.prices:
            raise KitestringError(Reason.UNAVAILABLE, f"the rate of {currency} is stale: its sources contradict")
        return rate_of(self.prices[currency], currency)

    async def close(self) -> None:
        """Nothing is asked behind anybody."""


class HangingRates(SetRates):
    """Whoever asks waits until ``answers`` is set; nothing is known before."""

    def __init__(self, **prices: int) -> None:
        super().__init__(**prices)
        self.answers = asyncio.Event()
        self.waiting = asyncio.Event()

    async def rate(self, currency: str) -> ExchangeRate:
        self.waiting.set()
        await self.answers.wait()
        return await super().rate(currency)


class SlowRates(SetRates):
    """Whoever asks waits ``delay_s`` seconds of ``clock``."""

    def __init__(self, clock: Clock, delay_s: float, **prices: int) -> None:
        super().__init__(**prices)
        self._clock, self._delay_s = clock, delay_s

    async def rate(self, currency: str) -> ExchangeRate:
        await self._clock.sleep(self._delay_s)
        return await super().rate(currency)
