from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.approvals import ApprovalKind, Token
from kitestring.base.budgets import DAY_S, Budget
from kitestring.base.commands import DEBITS_WIRE, Debit, PayInvoice
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Refused
from kitestring.policy.debits import AskTheOwner, Charged, Kept, decide_debit, granted, refuse_pointer

NOW = 1_760_000_000
PAY = PayInvoice(destination=Bolt11("ln"), payment_hash="ab" * 32, amount_msat=sat(10))
WEEK, DAY = Budget.rolling(sat(70), 7 * DAY_S), Budget.rolling(sat(10), DAY_S)
ASKING = Grant(grant_id="p", name="till", wire=DEBITS_WIRE, pointer_id="p", strangers="ask")
CLOSED, SHARED = replace(ASKING, strangers="deny"), replace(ASKING, strangers="budget", budgets=(WEEK,))
MINTED, ANY = replace(CLOSED, sessions="minted"), replace(ASKING, sessions="any")
KNOWN = Grant(grant_id="g", name="a", wire=DEBITS_WIRE, caller="c1" * 32, pointer_id="p", budgets=(WEEK,))
FREE = replace(KNOWN, budgets=())
K1 = "c4" * 32
PAYMENT, BUDGET = AskTheOwner(ApprovalKind.PAYMENT), AskTheOwner(ApprovalKind.BUDGET)


def debit(budget: Budget | None = None, *, pays: bool = False, k1: str = "") -> Debit:
    return Debit(pointer_id="p", payment=PAY if pays else None, budget=budget, k1=k1)


@pytest.mark.parametrize(
    ("asked", "pointer", "grant", "verdict"),
    [
        (debit(pays=True), CLOSED, None, Reason.NOT_PERMITTED),
        (debit(pays=True), ASKING, None, PAYMENT),
        (debit(pays=True), SHARED, None, Charged(SHARED)),
        (debit(pays=True), CLOSED, KNOWN, Charged(KNOWN)),
        (debit(pays=True), SHARED, KNOWN, Charged(KNOWN)),
        (debit(pays=True), None, KNOWN, Reason.UNKNOWN_TARGET),
        (debit(pays=True), replace(ASKING, revoked_at=NOW), KNOWN, Reason.UNKNOWN_TARGET),
        (debit(pays=True), replace(ASKING, expires_at=NOW), KNOWN, Reason.CONNECTION_ENDED),
        (debit(pays=True), ASKING, replace(KNOWN, expires_at=NOW), Reason.CONNECTION_ENDED),
        (debit(pays=True), KNOWN, None, Reason.UNKNOWN_TARGET),
        (debit(pays=True), replace(ASKING, wire="nwc"), None, Reason.UNKNOWN_TARGET),
        (debit(pays=True, k1=K1), ASKING, None, Reason.UNSUPPORTED),
        (debit(pays=True, k1=K1), CLOSED, KNOWN, Reason.UNSUPPORTED),
        (debit(pays=True, k1=K1), CLOSED, None, Reason.NOT_PERMITTED),
        (debit(pays=True, k1=K1), MINTED, None, Charged(MINTED, Token("p", K1, minted=True))),
        (debit(pays=True, k1=K1), MINTED, KNOWN, Charged(MINTED, Token("p", K1, minted=True))),
        (debit(pays=True), MINTED, None, Reason.NOT_PERMITTED),
        (debit(pays=True, k1=K1), ANY, None, AskTheOwner(ApprovalKind.PAYMENT, Token("p", K1))),
        (debit(pays=True, k1=K1), ANY, KNOWN, Charged(KNOWN, Token("p", K1))),
        (debit(WEEK), CLOSED, None, Reason.NOT_PERMITTED),
        (debit(WEEK), SHARED, None, Reason.NOT_PERMITTED),
        (debit(WEEK), ASKING, None, BUDGET),
        (debit(WEEK), CLOSED, KNOWN, Kept()),
        (debit(DAY), CLOSED, KNOWN, Kept()),
        (debit(Budget.rolling(sat(11), DAY_S)), CLOSED, KNOWN, BUDGET),
        (debit(), CLOSED, KNOWN, BUDGET),
        (debit(), ASKING, None, BUDGET),
        (debit(), CLOSED, FREE, Kept()),
        (debit(WEEK), CLOSED, FREE, Kept()),
    ],
)
def test_a_debit_is_charged_asked_kept_or_refused(
    asked: Debit, pointer: Grant | None, grant: Grant | None, verdict: object
) -> None:
    found = decide_debit(asked, pointer, grant, now=NOW, left={})
    assert (found.reason if isinstance(found, Refused) else found) == verdict


def test_a_budget_for_once_covers_what_is_left_of_it() -> None:
    once = replace(KNOWN, budgets=(Budget(sat(50), budget_id=3),))
    asked = debit(Budget.total(sat(20)))
    assert decide_debit(asked, CLOSED, once, now=NOW, left={3: sat(20)}) == Kept()
    assert decide_debit(asked, CLOSED, once, now=NOW, left={3: Msat(19_999)}) == BUDGET
    assert decide_debit(debit(WEEK), CLOSED, once, now=NOW, left={3: sat(50)}) == BUDGET
    assert decide_debit(asked, CLOSED, KNOWN, now=NOW, left={}) == Kept()


def test_each_of_several_budgets_has_to_cover_what_is_asked_for() -> None:
    both = replace(KNOWN, budgets=(WEEK, Budget.daily(sat(5))))
    assert decide_debit(debit(DAY), CLOSED, both, now=NOW, left={}) == BUDGET
    assert decide_debit(debit(Budget.rolling(sat(5), DAY_S)), CLOSED, both, now=NOW, left={}) == Kept()


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 10**9), st.integers(1, 400), st.integers(1, 10**9), st.integers(1, 400))
def test_nothing_is_kept_that_would_let_more_through_than_there_is(
    mine: int, days: int, asked: int, every: int
) -> None:
    own = replace(KNOWN, budgets=(Budget.rolling(Msat(mine), days * DAY_S),))
    found = decide_debit(debit(Budget.rolling(Msat(asked), every * DAY_S)), CLOSED, own, now=NOW, left={})
    assert (found == Kept()) == (asked * days <= mine * every)


def test_a_yes_makes_a_grant_like_its_pointer_or_changes_the_one_there_is() -> None:
    pointer = replace(ASKING, account_id="purse", per_payment_msat=sat(9), methods=frozenset({"pay_invoice"}))
    new = granted(pointer, None, "c1" * 32, WEEK, "id", NOW)
    assert (new.grant_id, new.account_id, new.per_payment_msat, new.caller) == ("id", "purse", sat(9), "c1" * 32)
    assert (new.budgets, new.version, new.pointer_id, new.methods) == ((WEEK,), 1, "p", pointer.methods)
    larger = granted(pointer, new, new.caller, replace(WEEK, limit_msat=sat(99)), "other", NOW)
    assert (larger.grant_id, larger.version, larger.budgets[0].budget_id) == ("id", 2, 0)
    other = granted(pointer, larger, new.caller, DAY, "other", NOW)
    assert other.budgets == (replace(DAY, budget_id=1),)
    once = granted(
        pointer, granted(pointer, None, "c", Budget.total(sat(5)), "id", NOW), "c", Budget.total(sat(5)), "", NOW
    )
    assert once.budgets == (Budget(sat(5), budget_id=1),)
    assert granted(pointer, other, new.caller, None, "", NOW).budgets == ()


def test_only_a_pointer_is_a_pointer() -> None:
    assert refuse_pointer(ASKING, NOW) is None
    assert refuse_pointer(None, NOW) is not None
