"""Budgets: which bucket a charge falls into, which buckets still count, and when a budget renews.

A bucket is named by its first second. A rolling window is cut into :data:`ROLLING_BUCKETS` buckets and the oldest is
counted whole, so that no window ever holds more than the limit; a calendar budget has one bucket per period.
"""

from __future__ import annotations

import re
from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import DAY_S, Budget, Grant, Period
from kitestring.base.ledger import Charge
from kitestring.base.money import MAX_MSAT, MSAT_PER_SAT, Msat, sat
from kitestring.policy.calendar import period_end, period_start

#: Buckets per rolling window: money comes back at most 1/64 of the window late, and a grant has few rows to sum.
ROLLING_BUCKETS: Final = 64
#: A rolling window is at most a year; longer ones are meant as ``never``.
MAX_WINDOW_S: Final = 366 * DAY_S

_TEXT: Final = re.compile(r"([0-9]{1,16})/(?:([a-z]+)|([1-9][0-9]{0,3})([hd]))", re.ASCII)
_PERIODS: Final[dict[str, Period]] = {"day": "day", "week": "week", "month": "month", "year": "year", "never": "never"}
_UNIT_S: Final = {"h": 3600, "d": DAY_S}


def charge(grant: Grant, amount_msat: Msat, now: int) -> Charge | None:
    """The charge of ``amount_msat`` (amount and fee cap) against the grant's budget, None if it has none."""
    budget = grant.budget
    if budget is None:
        return None
    return Charge(grant.grant_id, amount_msat, budget.limit_msat, bucket(budget, now), oldest(budget, now))


def bucket(budget: Budget, now: int) -> int:
    """The bucket that is filled at ``now``."""
    if budget.period == "never":
        return 0
    if budget.period == "rolling":
        return now - now % _width(budget)
    return period_start(budget.period, now)


def oldest(budget: Budget, now: int) -> int:
    """The oldest bucket that counts at ``now``: the one that holds the first second of the window."""
    if budget.period == "rolling":
        return bucket(budget, now - budget.length_s + 1)
    return bucket(budget, now)


def renews_at(budget: Budget, now: int) -> int | None:
    """When everything that is counted at ``now`` will have left, None for never."""
    if budget.period == "never":
        return None
    if budget.period == "rolling":
        return bucket(budget, now) + _width(budget) + budget.length_s - 1
    return period_end(budget.period, now)


def _width(budget: Budget) -> int:
    return max(1, -(-budget.length_s // ROLLING_BUCKETS))


def parse_budget(text: str) -> Budget:
    """A budget as people write it: sats per ``day``, ``week``, ``month``, ``year``, ``never`` (does not renew), or a
    rolling window of hours or days (``12h``, ``30d``). Raises KitestringError."""
    match = _TEXT.fullmatch(text.strip())
    if match is None or (match[2] and match[2] not in _PERIODS):
        raise KitestringError(
            Reason.MALFORMED, "write the budget as sats per period, for example 5000/day, 20000/month or 1000/12h"
        )
    amount, period, count, unit = match.groups()
    if int(amount) > MAX_MSAT // MSAT_PER_SAT:
        raise KitestringError(Reason.MALFORMED, "the budget is more than all bitcoin there will ever be")
    if period:
        return Budget(sat(int(amount)), _PERIODS[period])
    length_s = int(count) * _UNIT_S[unit]
    if length_s > MAX_WINDOW_S:
        raise KitestringError(Reason.MALFORMED, "a rolling budget covers at most 366 days")
    return Budget.rolling(sat(int(amount)), length_s)


def budget_text(budget: Budget) -> str:
    """What :func:`parse_budget` reads, for people: ``5000/day``. Parts of a sat are rounded down."""
    return f"{budget.limit_msat.sats_down()}/{_period_text(budget)}"


def per_period(budget: Budget) -> str:
    """For people, after an amount: ``per day``, ``per 12h``, ``in all``."""
    return "in all" if budget.period == "never" else f"per {_period_text(budget)}"


def _period_text(budget: Budget) -> str:
    if budget.period != "rolling":
        return budget.period
    if budget.length_s % DAY_S == 0:
        return f"{budget.length_s // DAY_S}d"
    return f"{budget.length_s // 3600}h" if budget.length_s % 3600 == 0 else f"{budget.length_s}s"
