"""The connection of an app that has asked for one: never more than it asked for, within what the owner says."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from kitestring.base.approvals import Ruling
from kitestring.base.budgets import Budget
from kitestring.base.commands import Connect
from kitestring.base.errors import KitestringError, Reason


def granted_methods(asked: Connect, served: Collection[str]) -> frozenset[str]:
    """All that the app needs, and of the rest what is ``served``. Raises KitestringError(UNSUPPORTED) where something
    that it needs is not: then it is to be declined, for half of it would not do."""
    lacking = [name for name in asked.methods if name not in served]
    if lacking:
        raise KitestringError(Reason.UNSUPPORTED, f"the app needs {', '.join(lacking)}, which is not served here")
    return frozenset(asked.methods) | frozenset(asked.optional).intersection(served)


def granted_budgets(asked: Connect, verdict: Ruling, own: Budget | None, *, spends: bool) -> tuple[Budget, ...]:
    """The limits of the connection. That which the app named always holds, and the owner's ``own`` beside it, so that
    it never gets more than it asked for.

    Raises KitestringError(MALFORMED) where it would pay without any limit and the owner has not said so.
    """
    if verdict is Ruling.BUDGET and own is None:
        raise KitestringError(Reason.MALFORMED, "a budget has an amount")
    if spends and asked.budget is None and own is None and verdict is not Ruling.ALWAYS:
        text = "it asks to pay without any limit: give it a budget, or say so (always)"
        raise KitestringError(Reason.MALFORMED, text)
    budgets = [budget for budget in (asked.budget, own) if budget is not None]
    return tuple(replace(budget, budget_id=number) for number, budget in enumerate(budgets))
