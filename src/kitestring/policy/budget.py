"""Budgets: which bucket a charge falls into, which buckets still count, and when a budget renews.

A bucket is named by its first second. A rolling window is cut into :data:`ROLLING_BUCKETS` buckets and the oldest is
counted whole, so that no window ever holds more than the limit; a calendar budget has one bucket per period.
"""

from __future__ import annotations

from typing import Final

from kitestring.base.budgets import DAY_S, Budget
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.records import Charge
from kitestring.policy.calendar import period_end, period_start

#: Buckets per rolling window: money comes back at most 1/64 of the window late, and a grant has few rows to sum.
ROLLING_BUCKETS: Final = 64


def charges(grant: Grant, amount_msat: Msat, now: int) -> tuple[Charge, ...]:
    """The charges of ``amount_msat`` (amount and fee cap) against each of the grant's budgets."""
    return tuple(
        Charge(
            grant.grant_id, amount_msat, budget.limit_msat, bucket(budget, now), oldest(budget, now), budget.budget_id
        )
        for budget in grant.budgets
    )


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
    """The moment at which everything that is counted at ``now`` will have left, None for never."""
    if budget.period == "never":
        return None
    if budget.period == "rolling":
        return bucket(budget, now) + _width(budget) + budget.length_s - 1
    return period_end(budget.period, now)


def _width(budget: Budget) -> int:
    return max(1, -(-budget.length_s // ROLLING_BUCKETS))


def per_period(budget: Budget) -> str:
    """For people, after an amount: ``per day``, ``per 12h``, ``in all``."""
    return "in all" if budget.period == "never" else f"per {_period_text(budget)}"


def _period_text(budget: Budget) -> str:
    if budget.period != "rolling":
        return budget.period
    if budget.length_s % DAY_S == 0:
        return f"{budget.length_s // DAY_S}d"
    return f"{budget.length_s // 3600}h" if budget.length_s % 3600 == 0 else f"{budget.length_s}s"
