"""Budgets in currencies: the limit of each is what it is worth now, whenever something is decided by it."""

from __future__ import annotations

from dataclasses import replace

from kitestring.base.budgets import Budget
from kitestring.base.errors import KitestringError
from kitestring.base.grants import Grant
from kitestring.base.ports import CurrencyRates


async def at_rates(rates: CurrencyRates, grant: Grant) -> Grant:
    """The grant with its limits at the rates of now; most have none in a currency, and are returned as they are.

    Raises KitestringError (unavailable) where a rate is stale or unknown: nothing is spent by it then.
    """
    if not any(budget.currency for budget in grant.budgets):
        return grant
    return replace(grant, budgets=tuple([await at_rate(rates, budget) for budget in grant.budgets]))


async def at_rate(rates: CurrencyRates, budget: Budget) -> Budget:
    """One budget, as :func:`at_rates`."""
    return budget.at(await rates.rate(budget.currency)) if budget.currency else budget


async def as_known(rates: CurrencyRates, budget: Budget) -> Budget:
    """One budget to be shown: at the rate of now, or at that of the day when it was made where no other is known."""
    try:
        return await at_rate(rates, budget)
    except KitestringError:
        return budget
