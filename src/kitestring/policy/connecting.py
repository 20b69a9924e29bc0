"""The connection of an app that has asked for one: never more than it asked for, within what the owner says."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from kitestring.base.approvals import Ruling
from kitestring.base.budgets import Budget
from kitestring.base.commands import Connect
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Refused

#: The method that every connection has, whatever it lists.
ALWAYS: Final = "get_info"


def granted_methods(asked: Connect, served: Collection[str]) -> frozenset[str]:
    """All that the app needs, and of the rest what is ``served``. Raises KitestringError(UNSUPPORTED) where something
    that it needs is not: then it is to be declined, for half of it would not do."""
    lacking = [name for name in asked.methods if name not in served]
    if lacking:
        raise KitestringError(Reason.UNSUPPORTED, f"the app needs {', '.join(lacking)}, which is not served here")
    return frozenset(asked.methods) | frozenset(asked.optional).intersection(served)


def refuse_creation(asked: Connect, creator: Grant, *, spends: bool) -> Refused | None:
    """The refusal of a connection that ``creator`` asks for, where it would get more than that has itself; None where
    the owner may be asked. Bounds on its own spending would not bind the other one, so whoever has some lets nobody
    pay; and nobody gives away the permission to make connections."""
    if own := set(Connect.allowed_by).intersection(asked.methods):
        return Refused(Reason.NOT_PERMITTED, f"no connection gives {own.pop()} away: its owner does")
    lacking = [name for name in asked.methods if name not in creator.methods and name != ALWAYS]
    if lacking:
        return Refused(Reason.NOT_PERMITTED, f"this connection may not give away {lacking[0]}, which it has not itself")
    if spends and (creator.budgets or creator.per_payment_msat is not None):
        return Refused(Reason.NOT_PERMITTED, "this connection has bounds of its own, so that it lets nobody else pay")
    return None


def within(grant: Grant, creator: Grant) -> Grant:
    """``grant`` as far as ``creator`` has it: on its account, with its cap on fees, and ended when that has ended."""
    ends = [at for at in (grant.expires_at, creator.expires_at) if at is not None]
    return replace(
        grant,
        account_id=creator.account_id,
        methods=grant.methods & (creator.methods | {ALWAYS}),
        fee_cap_msat=creator.fee_cap_msat,
        expires_at=min(ends, default=None),
    )


def granted_budgets(asked: Connect, verdict: Ruling, own: Budget | None, *, spends: bool) -> tuple[Budget, ...]:
    """The limits of the connection. That which the app named always holds, and the owner's ``own`` beside it, so that
    it never gets more than it asked for.

    Raises KitestringError(MALFORMED) where it would pay without any limit and the owner has not said so.
    """
    if verdict is Ruling.BUDGET and own is None:
        raise KitestringError(Reason.MALFORMED, "a budget has an amount")
    if spends and asked.budget is None and own is None and verdict is not Ruling.ALWAYS:
        text = "it asks to pay without any limit: give it one (--budget 5000/week), or say that it has none (--always)"
        raise KitestringError(Reason.MALFORMED, text)
    budgets = [budget for budget in (asked.budget, own) if budget is not None]
    return tuple(replace(budget, budget_id=number) for number, budget in enumerate(budgets))
