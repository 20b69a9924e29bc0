"""Budgets in the owner's commands: as they are asked for, and as they stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Protocol

import msgspec
from msgspec import UNSET, Meta, UnsetType

from kitestring.app.owner.desk import Reading
from kitestring.app.owner.params import MAX_WINDOW_S, AmountMsat, Currency
from kitestring.app.service.execute import Result
from kitestring.base.budgets import MAX_BUDGETS, Budget, Period
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import MAX_WHOLE, Msat
from kitestring.base.ports import CurrencyRates
from kitestring.engine.rated import as_known, ask_for, at_known_rate
from kitestring.policy.budget import goes_on, oldest, renews_at

#: Minor units of a currency: JSON carries no larger number exactly.
AmountMinor = Annotated[int, Meta(ge=1, le=MAX_WHOLE)]


class BudgetAsked(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One budget, as :class:`Budget` has it; ``length_s`` belongs to rolling. The limit is in msat, or so many minor
    units of a currency (EUR 350 = 3.50 EUR). Null is what is absent, so that a budget can be given as it is shown."""

    limit_msat: AmountMsat | None = None
    currency: Currency | None = None
    limit_minor: AmountMinor | None = None
    period: Period = "never"
    length_s: Annotated[int, Meta(ge=0, le=MAX_WINDOW_S)] | None = None


#: The budgets of one grant: each of them has to cover a payment.
BudgetsAsked = Annotated[list[BudgetAsked], Meta(max_length=MAX_BUDGETS)]


class FlatBudget(Protocol):
    """The parameters of a command that takes one budget among others."""

    @property
    def budget_msat(self) -> int | UnsetType | None: ...

    currency: str
    budget_minor: int | None
    period: Period
    length_s: int


def flat_budget(params: FlatBudget) -> BudgetAsked | None:
    """The budget among the parameters of a command, None without one."""
    limit_msat = None if params.budget_msat is UNSET else params.budget_msat
    if limit_msat is None and params.budget_minor is None and not params.currency:
        return None
    return BudgetAsked(
        limit_msat=limit_msat, currency=params.currency, limit_minor=params.budget_minor,
        period=params.period, length_s=params.length_s,
    )  # fmt: skip


async def ask_rates(rates: CurrencyRates, params: object) -> None:
    """Ask for the rates of the budgets in the parameters of a command, before it has its turn: a source that hangs
    keeps no other command waiting. What is not known then is said by the command itself."""
    budgets = getattr(params, "budgets", ())
    listed = (
        [one.currency or "" for one in budgets if isinstance(one, BudgetAsked)] if isinstance(budgets, list) else []
    )
    flat = [getattr(params, "currency", "")] if hasattr(params, "budget_minor") else []  # an offer has a currency too
    await ask_for(rates, [*flat, *listed])


async def ask_rates_of(desk: Reading, grants: Iterable[Grant | None]) -> None:
    """Ask for the rates by which the budgets of these are shown. Not for a command that others wait for."""
    await ask_for(desk.rates, (budget.currency for grant in grants if grant for budget in grant.budgets))


def read_budget(desk: Reading, asked: BudgetAsked, before: Sequence[Budget] = ()) -> Budget:
    """The budget that was asked for; one in a currency is worth what it is now, as far as that is known already, or
    what it was where there was the same one ``before``. Raises KitestringError for a length that does not fit its
    period, a limit that is none, and a currency whose rate is not known."""
    currency, length_s = asked.currency or "", asked.length_s or 0
    if (asked.limit_msat is None) == (asked.limit_minor is None) or (asked.limit_minor is None) != (not currency):
        raise KitestringError(Reason.MALFORMED, "a budget has a limit in msat, or in minor units of a currency")
    if (asked.period == "rolling") != (length_s > 0):
        raise KitestringError(Reason.MALFORMED, "a rolling budget, and only that, has a length in seconds")
    limit = Msat(asked.limit_msat or 0)
    plain = Budget(limit, asked.period, length_s, currency=currency, limit_minor=asked.limit_minor or 0)
    same = next((one for one in before if one.terms == plain.terms), None)
    return replace(same, budget_id=0) if same is not None else at_known_rate(desk.rates, plain)


def read_budgets(desk: Reading, asked: Sequence[BudgetAsked], before: Sequence[Budget] = ()) -> tuple[Budget, ...]:
    """The budgets of a new grant, numbered; ``before`` as in :func:`read_budget`. Raises KitestringError; two of one
    period are a mistake."""
    budgets = tuple(replace(read_budget(desk, one, before), budget_id=number) for number, one in enumerate(asked))
    if len({_period(one) for one in budgets}) < len(budgets):
        raise KitestringError(Reason.MALFORMED, "two budgets have the same period: name one of them")
    return budgets


async def changed_budgets(desk: Reading, grant: Grant, asked: Sequence[BudgetAsked]) -> tuple[Budget, ...]:
    """The budgets in place of those of ``grant``. What is used stays used where the period is as long; any other
    is counted from nothing. Raises KitestringError as :func:`read_budgets`."""
    changed = list[Budget]()
    for budget in read_budgets(desk, asked, grant.budgets):
        taken = {one.budget_id for one in changed}
        budget_id = goes_on(budget, [one for one in grant.budgets if one.budget_id not in taken])
        if budget_id is None:
            changed.append(await unused(desk, grant, budget, changed))
        else:
            changed.append(replace(budget, budget_id=budget_id))
    return tuple(changed)


async def unused(desk: Reading, grant: Grant, budget: Budget, others: Sequence[Budget] = ()) -> Budget:
    """The budget under a number of its own beside those of ``grant`` and ``others``, of which nothing is used."""
    number = max((one.budget_id for one in (*grant.budgets, *others)), default=-1) + 1
    while await desk.store.budget_used(grant.grant_id, 0, number):  # it was another budget's before
        number += 1
    return replace(budget, budget_id=number)


def terms_of(grant: Grant, field: str) -> object:
    """The value of a field as its owner has set it: a budget in a currency is the same whatever that is worth."""
    return [budget.terms for budget in grant.budgets] if field == "budgets" else getattr(grant, field)


async def show_budgets(desk: Reading, grant: Grant) -> list[Result]:
    """The budgets of a grant and how they stand now, by the rates that are known; times are Unix seconds."""
    now, zone, rows = desk.clock.now(), desk.zone, []
    for budget in as_known(desk.rates, grant):
        since = oldest(budget, now, zone)
        used = await desk.store.budget_used(grant.grant_id, since, budget.budget_id, now=now)
        rows.append(
            {
                **show_budget(budget),
                "used_msat": int(used),
                "left_msat": max(0, int(budget.limit_msat) - int(used)),
                "renews_at": renews_at(budget, now, zone),
            }
        )
    return rows


def show_budget(budget: Budget) -> Result:
    """One budget as it is asked for, as JSON."""
    return {
        "limit_msat": int(budget.limit_msat),
        "period": budget.period,
        "length_s": budget.length_s or None,
        "currency": budget.currency or None,
        "limit_minor": budget.limit_minor if budget.currency else None,
    }


def _period(budget: Budget) -> tuple[str, int]:
    return budget.period, budget.length_s
