"""Budgets: which bucket a charge falls into, which buckets still count, and when a budget renews.

A bucket is named by its first second. A rolling window is cut into :data:`ROLLING_BUCKETS` buckets and the oldest is
counted whole, so that no window ever holds more than the limit; a calendar budget has one bucket per period of the
owner's time zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final

from kitestring.base.budgets import DAY_S, Budget
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.records import Charge
from kitestring.base.zones import Zone
from kitestring.policy.calendar import period_end, period_of

#: Buckets per rolling window: money comes back at most 1/64 of the window late, and a grant has few rows to sum.
ROLLING_BUCKETS: Final = 64
_LENGTH_S: Final = {"day": DAY_S, "week": 7 * DAY_S, "month": 30 * DAY_S, "year": 365 * DAY_S, "never": 0}


def charges(grant: Grant, amount_msat: Msat, now: int, zone: Zone) -> tuple[Charge, ...]:
    """The charges of ``amount_msat`` (amount and fee cap) against each of the grant's budgets."""
    charged = []
    for budget in grant.budgets:
        bucket, first, ends = counting(budget, now, zone)
        charged.append(
            Charge(grant.grant_id, amount_msat, budget.limit_msat, bucket, first, budget.budget_id, ends, now)
        )
    return tuple(charged)


def counting(budget: Budget, now: int, zone: Zone) -> tuple[int, int, int]:
    """The bucket that is filled at ``now`` (Unix seconds), the oldest one that counts, and the end of a calendar period
    of ``zone``, 0 of any other budget."""
    if budget.period == "never":
        return 0, 0, 0
    if budget.period == "rolling":
        first = now - budget.length_s + 1
        return now - now % _width(budget), first - first % _width(budget), 0
    start, end = period_of(budget.period, now, zone)
    return start, start, end


def oldest(budget: Budget, now: int, zone: Zone) -> int:
    """The oldest bucket that counts at ``now``: the one that holds the first second of the window."""
    return counting(budget, now, zone)[1]


def renews_at(budget: Budget, now: int, zone: Zone) -> int | None:
    """The moment at which everything that is counted at ``now`` will have left, None for never."""
    if budget.period == "never":
        return None
    if budget.period == "rolling":
        return counting(budget, now, zone)[0] + _width(budget) + budget.length_s - 1
    return period_end(budget.period, now, zone)


def length_s(budget: Budget) -> int:
    """The length of its period in seconds, a month counted as 30 days; 0 for one that never renews."""
    return budget.length_s if budget.period == "rolling" else _LENGTH_S[budget.period]


def goes_on(budget: Budget, before: Sequence[Budget]) -> int | None:
    """The number of the budget whose use goes on to count in the new ``budget``: that of the same period, or else one
    of the same length, by the calendar or not. None where there is none."""
    same = (one.budget_id for one in before if (one.period, one.length_s) == (budget.period, budget.length_s))
    alike = (one.budget_id for one in before if length_s(one) == length_s(budget))
    return next(chain(same, alike), None)


def _width(budget: Budget) -> int:
    return max(1, -(-budget.length_s // ROLLING_BUCKETS))
