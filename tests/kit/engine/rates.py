"""Rates that a test sets."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from kitestring.base.currency import ExchangeRate
from kitestring.base.errors import KitestringError, Reason


class MarketRates:
    """Tells ``price`` for a bitcoin in whatever currency, as of now; 0 = nobody knows. ``asked`` are the currencies."""

    def __init__(self, clock: Any, price: int = 100_000) -> None:
        self.clock, self.price = clock, price
        self.asked: list[str] = []

    async def rate(self, currency: str) -> ExchangeRate:
        self.asked.append(currency)
        return self.known(currency)

    def known(self, currency: str) -> ExchangeRate:
        if not self.price:
            raise KitestringError(Reason.UNAVAILABLE, "nobody tells")
        return ExchangeRate.of_price(currency, Fraction(self.price), self.clock.now(), ("set",))
