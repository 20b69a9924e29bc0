"""The words of NIP-47 for the period of a budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kitestring.base.budgets import DAY_S, Budget, Period

_WORDS: Final[Mapping[Period, str]] = {
    "never": "never",
    "day": "daily",
    "week": "weekly",
    "month": "monthly",
    "year": "yearly",
}
PERIODS: Final = {word: period for period, word in _WORDS.items()}
#: The longest rolling window that passes for each period, in days. A longer one passes for a year.
_LONGEST_DAYS: Final = ((1, "daily"), (7, "weekly"), (31, "monthly"))


def renewal_word(budget: Budget) -> str:
    """The word for the period of ``budget``.

    A rolling budget has none of its own. It gets that of the next longer period: an app that goes by the word alone
    then spends too slowly rather than too fast.
    """
    if budget.period != "rolling":
        return _WORDS[budget.period]
    return next((word for days, word in _LONGEST_DAYS if budget.length_s <= days * DAY_S), "yearly")


def read_period(word: str) -> Period:
    """The period that a wallet's word names; ``never`` for a word that nobody knows."""
    return PERIODS.get(word, "never")
