"""Budgets in currencies: the limit of each is what it is worth now, whenever something is decided by it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from kitestring.base.budgets import Budget
from kitestring.base.errors import KitestringError
from kitestring.base.grants import Grant
from kitestring.base.ports import CurrencyRates


async def at_rates(rates: CurrencyRates, grant: Grant) -> Grant:
    """The grant with its limits at the rates of now; most have none in a currency, and are returned as they are.

    Rates are asked for together. Raises KitestringError (unavailable) where one is stale or unknown: nothing is spent
    then.
    """
    if not any(budget.currency for budget in grant.budgets):
        return grant
    return replace(grant, budgets=tuple(await asyncio.gather(*(at_rate(rates, budget) for budget in grant.budgets))))


async def at_rate(rates: CurrencyRates, budget: Budget) -> Budget:
    """One budget, as :func:`at_rates`."""
    return budget.at(await rates.rate(budget.currency)) if budget.currency else budget


def at_known_rate(rates: CurrencyRates, budget: Budget) -> Budget:
    """One budget at the rate that is known already, where nobody may be kept waiting. Raises as :func:`at_rates`."""
    return budget.at(rates.known(budget.currency)) if budget.currency else budget


async def ask_for(rates: CurrencyRates, currencies: Iterable[str]) -> None:
    """Have these rates asked for, all together, so that they are known as far as they can be."""

    async def ask(currency: str) -> None:
        with suppress(KitestringError):  # whoever needs it says so
            await rates.rate(currency)

    await asyncio.gather(*(ask(currency) for currency in sorted(set(currencies) - {""})))


async def as_shown(rates: CurrencyRates, grant: Grant) -> tuple[Budget, ...]:
    """The budgets of a grant at the rates of now; see :func:`as_known`."""
    await ask_for(rates, (budget.currency for budget in grant.budgets))
    return as_known(rates, grant)


def as_known(rates: CurrencyRates, grant: Grant) -> tuple[Budget, ...]:
    """The budgets of a grant at the rates that are known already, without asking: of one that is not known, at that of
    the day when the budget was made. To be shown, never to decide by."""
    return tuple(_shown(rates, budget) for budget in grant.budgets)


def _shown(rates: CurrencyRates, budget: Budget) -> Budget:
    try:
        return at_known_rate(rates, budget)
    except KitestringError:
        return budget
