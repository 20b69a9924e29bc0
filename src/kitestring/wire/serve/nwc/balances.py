"""``get_balance`` and ``get_budget`` (extension 13) of Nostr Wallet Connect: what there is, and what may be spent."""

from __future__ import annotations

from kitestring.base.outcomes import Balance, BudgetState
from kitestring.wire.renewals import renewal_word


def write_balance(balance: Balance) -> object:
    """In millisatoshi, never negative."""
    return {"balance": max(0, int(balance.balance_msat))}


def write_budget(state: BudgetState) -> object:
    """Empty where there is no budget; a budget of 0 is one."""
    if state.budget is None:
        return {}
    told: dict[str, object] = {
        "used_budget": int(state.used_msat),
        "total_budget": int(state.budget.limit_msat),
        "renewal_period": renewal_word(state.budget),
    }
    return told if state.renews_at is None else told | {"renews_at": state.renews_at}
