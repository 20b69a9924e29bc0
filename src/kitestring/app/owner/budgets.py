"""Budgets in the owner's commands: as they are asked for, and as they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import msgspec
from msgspec import Meta

from kitestring.app.owner.desk import Reading
from kitestring.app.owner.params import MAX_WINDOW_S, AmountMsat
from kitestring.app.service.execute import Result
from kitestring.base.budgets import MAX_BUDGETS, Budget, Period
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.policy.budget import goes_on, oldest, renews_at


class BudgetAsked(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One budget, as :class:`Budget` has it; ``length_s`` belongs to rolling."""

    limit_msat: AmountMsat
    period: Period = "never"
    length_s: Annotated[int, Meta(ge=0, le=MAX_WINDOW_S)] = 0


#: The budgets of one grant: each of them has to cover a payment.
BudgetsAsked = Annotated[list[BudgetAsked], Meta(max_length=MAX_BUDGETS)]


def read_budget(asked: BudgetAsked) -> Budget:
    """The budget that was asked for. Raises KitestringError for a length that does not fit its period."""
    if (asked.period == "rolling") != (asked.length_s > 0):
        raise KitestringError(Reason.MALFORMED, "a rolling budget, and only that, has a length in seconds")
    return Budget(Msat(asked.limit_msat), asked.period, asked.length_s)


def read_budgets(asked: Sequence[BudgetAsked]) -> tuple[Budget, ...]:
    """The budgets of a new grant, numbered. Raises KitestringError; two of one period are a mistake."""
    budgets = tuple(replace(read_budget(one), budget_id=number) for number, one in enumerate(asked))
    if len({_period(one) for one in budgets}) < len(budgets):
        raise KitestringError(Reason.MALFORMED, "two budgets have the same period: name one of them")
    return budgets


async def changed_budgets(desk: Reading, grant: Grant, asked: Sequence[BudgetAsked]) -> tuple[Budget, ...]:
    """The budgets in place of those of ``grant``. What is used stays used where the period is as long; any other
    is counted from nothing. Raises KitestringError as :func:`read_budgets`."""
    number, changed = max((one.budget_id for one in grant.budgets), default=-1), list[Budget]()
    for budget in read_budgets(asked):
        taken = {one.budget_id for one in changed}
        budget_id = goes_on(budget, [one for one in grant.budgets if one.budget_id not in taken])
        if budget_id is None:
            number += 1
            while await desk.store.budget_used(grant.grant_id, 0, number):  # it was another budget's before
                number += 1
            budget_id = number
        changed.append(replace(budget, budget_id=budget_id))
    return tuple(changed)


async def show_budgets(desk: Reading, grant: Grant) -> list[Result]:
    """The budgets of a grant and how they stand now; times are Unix seconds."""
    now, zone, rows = desk.clock.now(), desk.zone, []
    for budget in grant.budgets:
        since = oldest(budget, now, zone)
        used = await desk.store.budget_used(grant.grant_id, since, budget.budget_id, now=now)
        rows.append(
            {
                "limit_msat": int(budget.limit_msat),
                "period": budget.period,
                "length_s": budget.length_s,
                "used_msat": int(used),
                "left_msat": max(0, int(budget.limit_msat) - int(used)),
                "renews_at": renews_at(budget, now, zone),
            }
        )
    return rows


def show_budget(budget: Budget) -> Result:
    """One budget as it is asked for, as JSON."""
    return {"limit_msat": int(budget.limit_msat), "period": budget.period, "length_s": budget.length_s}


def _period(budget: Budget) -> tuple[str, int]:
    return budget.period, budget.length_s
