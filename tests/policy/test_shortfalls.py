"""Who is refused for want of money is told what is needed, and, if that is its own to know, what there is."""

from __future__ import annotations

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Refused
from kitestring.base.zones import UTC
from kitestring.policy.costs import Cost
from kitestring.policy.shortfalls import insufficient, over_budget
from tests.kit.changed import replace

NOW = 1_760_000_000
GRANT = Grant(grant_id="g1", name="app", wire="nwc", methods=frozenset({"pay_invoice", "get_balance"}))
SHOP = replace(GRANT, account_id="shop")
OWNER = Grant(grant_id="owner", name="owner", wire="owner")
COST = Cost(sat(999_000), sat(9_990))


def test_the_owner_is_told_what_is_needed_what_there_is_and_what_would_fit() -> None:
    refused = insufficient(OWNER, NOW, COST, sat(990_301), Msat(1_000_204_374), Msat(0))
    assert refused.message == (
        "the balance is too small: this needs 999,000 sat + up to 9,990 sat for fees; 1,000,204.374 sat can be spent;"
        " 990,301 sat would fit, or a fee limit of 1,204 sat"
    )
    assert refused.details == {
        "amount_msat": 999_000_000, "fee_cap_msat": 9_990_000, "service_fee_msat": 0,
        "remaining_msat": 1_000_204_374, "would_fit_msat": 990_301_000, "fee_left_msat": 1_204_374,
    }  # fmt: skip


def test_what_payments_under_way_hold_is_said_to_be_the_reason() -> None:
    refused = insufficient(OWNER, NOW, COST, sat(0), sat(5), sat(7))
    assert refused.message.endswith("; 5 sat can be spent, because 7 sat are held for payments under way")
    assert (refused.details["reserved_msat"], "fee_left_msat" in refused.details) == (7_000, False)
    app = insufficient(SHOP, NOW, COST, sat(0), sat(5), sat(7))  # those may be of other apps on this account
    assert (app.message.endswith("; 5 sat can be spent"), "reserved_msat" in app.details) == (True, False)


def test_no_fee_limit_is_proposed_that_the_service_fee_alone_exceeds() -> None:
    cost = Cost(sat(100), sat(10), sat(2))
    assert insufficient(SHOP, NOW, cost, sat(90), sat(101)).message.endswith("; 101 sat can be spent; 90 sat would fit")
    assert insufficient(SHOP, NOW, cost, sat(90), sat(102)).message.endswith(", or a fee limit of 2 sat")


@pytest.mark.parametrize(
    "grant",
    [GRANT, replace(SHOP, methods=frozenset({"pay_invoice"})), replace(OWNER, methods=frozenset({"spend"}))],
    ids=["app on the node", "app without the right to look", "owner's helper who may only spend"],
)
def test_who_may_not_see_the_balance_is_told_nothing_of_it(grant: Grant) -> None:
    refused = insufficient(grant, NOW, COST, sat(123), sat(456), sat(789))
    assert refused.message == "the balance does not cover 999,000 sat + up to 9,990 sat for fees"
    assert refused.details == COST.members


def test_the_service_fee_has_a_name_of_its_own() -> None:
    assert insufficient(SHOP, NOW, Cost(sat(100), sat(10), sat(2)), sat(0)).message == (
        "the balance does not cover 100 sat + 2 sat service fee + up to 10 sat for routing"
    )


def test_a_refusal_for_the_budget_says_what_is_left_and_when_it_renews() -> None:
    cost = Cost(sat(50), sat(10))
    outcome = over_budget(replace(GRANT, budgets=(Budget.rolling(sat(100), 3600),)), NOW, UTC, cost, Msat(4000))
    assert outcome.message.startswith("the budget of 100 sat in any 1h does not cover 50 sat + fees: 4 sat left")
    assert (outcome.details["remaining_msat"], outcome.details["amount_msat"]) == (4_000, 50_000)
    a_day = replace(GRANT, budgets=(Budget.daily(sat(5_000)),))
    daily = over_budget(a_day, 1_795_250_000, UTC, cost, Msat(3_999_400))
    assert daily.message.endswith(": 3,999.4 sat left, renews 2026-11-22 00:00 UTC")
    in_all = over_budget(replace(GRANT, budgets=(Budget.total(sat(1)),)), NOW, UTC, Cost(sat(2)), sat(0))
    assert in_all.message == "the budget of 1 sat in total does not cover 2 sat: 0 sat left"
    assert over_budget(GRANT, NOW, UTC, cost) == Refused(Reason.OVER_BUDGET)
    both = replace(GRANT, budgets=(Budget.daily(sat(5)), Budget(sat(70), budget_id=1)))
    total = over_budget(both, NOW, UTC, cost, sat(3), budget_id=1)
    assert total.message.startswith("the budget of 70 sat in total does not cover")
