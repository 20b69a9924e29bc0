"""Budgets: how much may be spent in which time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from kitestring.base.currency import ExchangeRate, read_amount
from kitestring.base.money import Msat, need_msat

DAY_S: Final = 86_400
#: Budgets of one grant: a day, a week, a month, and in all.
MAX_BUDGETS: Final = 4
Period = Literal["rolling", "day", "week", "month", "year", "never"]
_UNITS_S: Final = {"h": 3_600, "min": 60, "s": 1}


@dataclass(frozen=True, slots=True)
class Budget:
    """At most ``limit_msat`` (fees and open reservations included) in one period.

    ``rolling`` counts the last ``length_s`` seconds; ``day``, ``week`` (from Monday), ``month`` and ``year`` are
    calendar periods of the owner's time zone (UTC unless it is set); ``never`` is a budget that does not renew.
    ``budget_id`` tells the budgets of one grant apart: what is used is counted under it, whatever becomes of the limit.

    A budget in another currency is ``limit_minor`` minor units of ``currency``; its ``limit_msat`` is what these were
    worth when it was made. What is spent is counted in msat, and compared with what the limit is worth when a payment
    is decided: see :meth:`at`.
    """

    limit_msat: Msat
    period: Period = "never"
    length_s: int = 0
    budget_id: int = 0
    currency: str = ""
    limit_minor: int = 0

    @property
    def terms(self) -> tuple[object, ...]:
        """The words of its owner: two budgets of the same terms differ by their numbers and by the rates of two days at
        most."""
        limit = (self.currency, self.limit_minor) if self.currency else int(self.limit_msat)
        return limit, self.period, self.length_s

    def at(self, rate: ExchangeRate) -> Budget:
        """The same with its limit in msat at this rate of its currency."""
        return replace(self, limit_msat=rate.at_most(self.limit_minor))

    @classmethod
    def in_currency(cls, amount: str, currency: str, period: Period = "never", length_s: int = 0) -> Budget:
        """A limit such as ``"3.50"`` of ``"EUR"``, to be given to the service, which knows the rate. Raises
        KitestringError (malformed)."""
        return cls(Msat(0), period, length_s, currency=currency, limit_minor=read_amount(amount, currency))

    @classmethod
    def daily(cls, limit: Msat) -> Budget:
        """Renews at midnight."""
        return cls(need_msat(limit), "day")

    @classmethod
    def weekly(cls, limit: Msat) -> Budget:
        """Renews on Monday at midnight."""
        return cls(need_msat(limit), "week")

    @classmethod
    def monthly(cls, limit: Msat) -> Budget:
        """Renews on the first day of a month at midnight."""
        return cls(need_msat(limit), "month")

    @classmethod
    def yearly(cls, limit: Msat) -> Budget:
        """Renews on 1 January at midnight."""
        return cls(need_msat(limit), "year")

    @classmethod
    def total(cls, limit: Msat) -> Budget:
        """Never renews."""
        return cls(need_msat(limit), "never")

    @classmethod
    def rolling(cls, limit: Msat, seconds: int = DAY_S) -> Budget:
        """Counts what was spent in the last ``seconds``."""
        return cls(need_msat(limit), "rolling", seconds)


def per_period(period: str, length_s: int = 0) -> str:
    """For people, after an amount: ``per week`` by the calendar, ``in any 7d`` of the time just past, ``in total``. The
    last word is what ``--budget`` takes after its slash."""
    if period == "never":
        return "in total"
    return f"in any {_length(length_s)}" if period == "rolling" else f"per {period}"


def _length(seconds: int) -> str:
    if seconds > DAY_S and seconds % DAY_S == 0:
        return f"{seconds // DAY_S}d"
    unit, length_s = next(found for found in _UNITS_S.items() if seconds % found[1] == 0)
    return f"{seconds // length_s}{unit}"
