"""The standing of a connection: whether its app gets in, and what it has spent."""

from __future__ import annotations

from kitestring.app.owner.budgets import show_budgets
from kitestring.app.owner.desk import Reading
from kitestring.app.service.execute import Result
from kitestring.base.grants import Grant


def state_of(grant: Grant, now: int) -> str:
    """``active``, ``paused``, ``expired`` or ``revoked`` at ``now`` (Unix seconds); the first end that holds."""
    if grant.revoked_at is not None:
        return "revoked"
    if grant.expires_at is not None and now >= grant.expires_at:
        return "expired"
    return "active" if grant.paused_at is None else "paused"


async def standing(desk: Reading, grant: Grant) -> Result:
    """The state, and the figures that ``get_budget`` of the app has: of several budgets the one with the least left,
    null where there is none. Amounts in msat, reservations and fees included; ``renews_at`` in Unix seconds."""
    budgets = await show_budgets(desk, grant)
    least = min(budgets, key=lambda row: int(row["limit_msat"]) - int(row["used_msat"]), default=None)
    return {
        "state": state_of(grant, desk.clock.now()),
        "spent_msat": None if least is None else least["used_msat"],
        "left_msat": None if least is None else least["left_msat"],
        "renews_at": None if least is None else least["renews_at"],
        "budgets": budgets,
    }
