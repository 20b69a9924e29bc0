"""The refusals of a payment for want of money: what it may cost, what there is, and what would fit."""

from __future__ import annotations

from kitestring.base.budgets import Budget, per_period
from kitestring.base.commands import OWNER_ACCOUNT, OWNER_WIRE, GetBalance
from kitestring.base.currency import show_amount
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.money import MSAT_PER_SAT, ZERO, Msat
from kitestring.base.outcomes import Refused
from kitestring.base.rights import Right
from kitestring.base.zones import Zone
from kitestring.policy.access import rights_of
from kitestring.policy.budget import renews_at
from kitestring.policy.calendar import time_text
from kitestring.policy.costs import Cost


def over_budget(
    grant: Grant, now: int, zone: Zone, cost: Cost, remaining_msat: Msat | None = None, budget_id: int | None = None
) -> Refused:
    """The refusal of a payment that a budget does not cover; ``remaining_msat`` where the ledger has told it. Its fee
    reserve is not what is in the way: a budget that has no room for it lowers it."""
    budget = _budget(grant, budget_id)
    if budget is None:
        return Refused(Reason.OVER_BUDGET)
    details = {**cost.members, "limit_msat": int(budget.limit_msat)}
    renews = renews_at(budget, now, zone)
    if renews is not None:
        details["renews_at"] = renews
    whole = f"the budget of {_limit(budget)} {per_period(budget.period, budget.length_s)}"
    if remaining_msat is None:
        return Refused(Reason.OVER_BUDGET, f"{_with_fees(cost)} is more than {whole}", details)
    details["remaining_msat"] = int(remaining_msat)
    text = f"{whole} does not cover {_with_fees(cost)}: {sats(remaining_msat)} left"
    if renews is not None:
        text += f", renews {time_text(renews, zone)}"
    return Refused(Reason.OVER_BUDGET, text, details)


def insufficient(
    grant: Grant,
    now: int,
    cost: Cost,
    fits_msat: Msat,
    remaining_msat: Msat | None = None,
    reserved_msat: Msat | None = None,
) -> Refused:
    """The refusal of a payment that an account does not cover.

    ``fits_msat`` is the amount that would fit with its fees, ``reserved_msat`` what payments under way hold of the same
    account. What the account has is told to who may see it alone: an app on the owner's account hears nothing of the
    node's balance, and none of what is under way, which may be others'.
    """
    if remaining_msat is None or not _may_see_balance(grant, now):
        return Refused(Reason.INSUFFICIENT_FUNDS, f"the balance does not cover {cost_text(cost)}", cost.members)
    for_fees = remaining_msat - cost.amount_msat
    details = {**cost.members, "remaining_msat": int(remaining_msat), "would_fit_msat": int(fits_msat)}
    text = f"the balance is too small: this needs {cost_text(cost)}; {sats(remaining_msat)} can be spent"
    if reserved_msat and grant.wire == OWNER_WIRE:
        details["reserved_msat"] = int(reserved_msat)
        text += f", because {sats(reserved_msat)} are held for payments under way"
    if fits_msat:
        text += f"; {sats(fits_msat)} would fit"
    if for_fees >= max(MSAT_PER_SAT, cost.service_fee_msat):
        details["fee_left_msat"] = int(for_fees)
        text += f", or a fee limit of {for_fees.sats_down():,} sat"
    return Refused(Reason.INSUFFICIENT_FUNDS, text, details)


def _may_see_balance(grant: Grant, now: int) -> bool:
    """Whether the balance of its account is the grant's own to know."""
    if grant.wire == OWNER_WIRE:
        return Right.READ in rights_of(grant, now)
    return grant.account_id != OWNER_ACCOUNT and not grant.methods.isdisjoint(GetBalance.allowed_by)


def over_payment_limit(cost: Cost, limit: Msat, fits_msat: Msat) -> Refused:
    """The refusal of a payment that may cost more than one may; ``fits_msat`` is the amount that would not."""
    text = f"one payment may cost at most {sats(limit)}: this one is {cost_text(cost)}"
    if fits_msat:
        text += f"; {sats(fits_msat)} would fit"
    details = {**cost.members, "per_payment_msat": int(limit), "would_fit_msat": int(fits_msat)}
    return Refused(Reason.OVER_BUDGET, text, details)


def over_max_fee(service_fee: Msat, max_fee: Msat) -> Refused:
    """The refusal to a caller who allows less for fees than the service takes."""
    text = f"the service fee is {sats(service_fee)}, which is more than the {sats(max_fee)} of fees that are allowed"
    return Refused(Reason.FEE_LIMIT, text, {"max_fee_msat": int(max_fee), "service_fee_msat": int(service_fee)})


def cost_text(cost: Cost) -> str:
    """``100 sat + 2 sat service fee + up to 10 sat for routing``."""
    text = sats(cost.amount_msat)
    if cost.service_fee_msat:
        text += f" + {sats(cost.service_fee_msat)} service fee"
    if cost.fee_cap_msat > ZERO:
        text += f" + up to {sats(cost.fee_cap_msat)} for {'routing' if cost.service_fee_msat else 'fees'}"
    return text


def sats(amount: Msat) -> str:
    """For people, exact: ``3,999.4 sat``."""
    whole, rest = divmod(int(amount), MSAT_PER_SAT)
    return f"{whole:,}{f'.{rest:03d}'.rstrip('0') if rest else ''} sat"


def _with_fees(cost: Cost) -> str:
    """The same where the reserve for routing may be lowered."""
    text = sats(cost.amount_msat)
    if cost.service_fee_msat:
        text += f" + {sats(cost.service_fee_msat)} service fee"
    return f"{text} + fees" if cost.fee_cap_msat > ZERO and not cost.service_fee_msat else text


def _limit(budget: Budget) -> str:
    limit = sats(budget.limit_msat)
    return f"{show_amount(budget.limit_minor, budget.currency)} ({limit} now)" if budget.currency else limit


def _budget(grant: Grant, budget_id: int | None) -> Budget | None:
    return next((one for one in grant.budgets if budget_id is None or one.budget_id == budget_id), None)
