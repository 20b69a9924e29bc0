"""An app that asks for a connection gets what it asked for, within what the owner says, and never more."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.approvals import Ruling
from kitestring.base.budgets import Budget
from kitestring.base.commands import Connect
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import sat
from kitestring.policy.connecting import granted_budgets, granted_methods, refuse_creation, within
from tests.kit.changed import replace

ASKED = Connect(client="ab" * 32, methods=("pay_invoice", "get_info"), optional=("get_balance", "fly"))
SERVED = {"pay_invoice", "get_info", "get_balance", "make_invoice"}
LIMIT, OWN = Budget(sat(100), "month"), Budget(sat(500), "week")


def test_all_that_is_needed_is_granted_and_of_the_rest_what_is_served() -> None:
    assert granted_methods(ASKED, SERVED) == {"pay_invoice", "get_info", "get_balance"}


def test_what_is_needed_and_not_served_declines_the_whole() -> None:
    with pytest.raises(KitestringError, match="needs get_info") as told:
        granted_methods(ASKED, {"pay_invoice"})
    assert told.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    ("limit", "verdict", "own", "granted"),
    [
        (LIMIT, Ruling.AS_ASKED, None, [LIMIT]),
        (LIMIT, Ruling.ALWAYS, None, [LIMIT]),
        (LIMIT, Ruling.BUDGET, OWN, [LIMIT, OWN]),
        (None, Ruling.BUDGET, OWN, [OWN]),
        (None, Ruling.ALWAYS, None, []),
    ],
)
def test_the_limit_of_the_app_always_holds_and_that_of_the_owner_beside_it(
    limit: Budget | None, verdict: Ruling, own: Budget | None, granted: list[Budget]
) -> None:
    found = granted_budgets(replace(ASKED, budget=limit), verdict, own, spends=True)
    assert [(one.limit_msat, one.period) for one in found] == [(one.limit_msat, one.period) for one in granted]
    assert [one.budget_id for one in found] == list(range(len(granted)))


def test_to_pay_without_any_limit_is_given_by_that_word_alone() -> None:
    with pytest.raises(
        KitestringError,
        match=r"without any limit: give it one \(--budget 5000/week\), or say that it has none \(--always\)",
    ):
        granted_budgets(ASKED, Ruling.AS_ASKED, None, spends=True)
    assert granted_budgets(ASKED, Ruling.AS_ASKED, None, spends=False) == ()


def test_a_budget_has_an_amount() -> None:
    more: dict[str, Any] = {"spends": False}
    with pytest.raises(KitestringError, match="a budget has an amount"):
        granted_budgets(ASKED, Ruling.BUDGET, None, **more)


CREATOR = Grant(
    grant_id="c", name="maker", wire="nwc", account_id="shop", fee_cap_msat=sat(3), expires_at=2_000,
    methods=frozenset({"create_connection", "pay_invoice", "get_balance"}),
)  # fmt: skip
WANTED = Connect(client="ab" * 32, methods=("pay_invoice", "get_info"))


def test_a_connection_asks_for_what_it_has_itself_and_for_get_info_which_everybody_has() -> None:
    assert refuse_creation(WANTED, CREATOR, spends=True) is None


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        (("pay_invoice", "make_invoice"), "may not give away make_invoice, which it has not itself"),
        (("create_connection",), "no connection gives create_connection away"),
    ],
)
def test_it_gives_away_nothing_more_and_never_that_it_may_give(methods: tuple[str, ...], words: str) -> None:
    refused = refuse_creation(replace(WANTED, methods=methods), CREATOR, spends=False)
    assert refused is not None
    assert (refused.reason, words in refused.message) == (Reason.NOT_PERMITTED, True)


@pytest.mark.parametrize("bound", [{"budgets": (LIMIT,)}, {"per_payment_msat": sat(1)}])
def test_whoever_is_bounded_lets_nobody_else_pay_but_look(bound: dict[str, Any]) -> None:
    bounded = replace(CREATOR, **bound)
    assert refuse_creation(WANTED, bounded, spends=True) is not None
    assert refuse_creation(replace(WANTED, methods=("get_balance",)), bounded, spends=False) is None


@pytest.mark.parametrize(("asked", "ends"), [(None, 2_000), (1_500, 1_500), (9_000, 2_000)])
def test_what_is_made_lies_within_what_its_maker_has(asked: int | None, ends: int) -> None:
    plain = Grant(
        grant_id="n", name="new", wire="nwc", expires_at=asked,
        methods=frozenset({"pay_invoice", "get_info", "payment_sent"}),
    )  # fmt: skip
    made = within(plain, CREATOR)
    assert made.methods == {"pay_invoice", "get_info"}
    assert (made.account_id, made.fee_cap_msat, made.expires_at) == ("shop", sat(3), ends)
    assert within(replace(plain, expires_at=None), replace(CREATOR, expires_at=None)).expires_at is None
