"""The rates at which offers are priced: the present one, and those at which somebody was told a price a moment ago.

A payer of an offer has a new key for each request, so that nobody can tell who was told which price. Whoever names a
price that was told to anybody in the last minutes is sold it: an invoice keeps its price for an hour as well.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from kitestring.base.currency import ExchangeRate
from kitestring.base.ports import Clock, CurrencyRates

#: Seconds for which a price that was told is sold: time to read it, and to say yes.
HONOURED_S: Final = 300
#: Rates of one currency that are remembered. Sources are asked at most once a minute; their number is that of ISO 4217.
MAX_TOLD: Final = 8


class QuotedRates:
    """Remembers in memory alone: after a restart whoever names an old price is told the present one."""

    def __init__(self, rates: CurrencyRates, clock: Clock) -> None:
        self._rates: Final = rates
        self._clock: Final = clock
        self._told: Final = defaultdict[str, dict[ExchangeRate, int]](dict)

    async def of(self, currency: str) -> tuple[ExchangeRate, ...]:
        """The rate now, and after it those that were so in the last :data:`HONOURED_S` seconds, the latest first.

        Raises KitestringError, as :meth:`CurrencyRates.rate` does: where there is no rate now, an old price is none.
        """
        rate, now = await self._rates.rate(currency), self._clock.now()
        told = self._told[currency]
        told.pop(rate, None)
        kept = [(one, at) for one, at in told.items() if 0 <= now - at <= HONOURED_S][1 - MAX_TOLD :]
        told.clear()
        told.update([*kept, (rate, now)])
        return tuple(reversed(told))
