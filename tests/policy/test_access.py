from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.commands import MakeInvoice, PayInvoice
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.money import sat
from kitestring.base.outcomes import Refused
from kitestring.base.rights import Right
from kitestring.policy.access import refuse_gift, refuse_right, rights_of
from tests.kit.changed import replace

NOW = 1_800_000_000
OWNER = Grant(grant_id="owner", name="owner", wire="owner")
SUBSETS = [frozenset(chosen) for size in range(1, 5) for chosen in combinations(Right, size)]


def holding(*names: str) -> Grant:
    return replace(OWNER, methods=frozenset(names))


def test_an_owners_grant_that_names_no_right_has_all_four() -> None:
    assert rights_of(OWNER, NOW) == frozenset(Right)
    assert len(Right) == 4


@pytest.mark.parametrize("rights", SUBSETS, ids=lambda rights: "+".join(sorted(right.value for right in rights)))
def test_an_owners_grant_has_the_rights_that_it_names_and_no_other(rights: frozenset[Right]) -> None:
    grant = holding(*(right.value for right in rights))
    assert rights_of(grant, NOW) == rights
    for right in Right:
        assert (refuse_right(grant, right, NOW, "this") is None) == (right in rights)


def test_names_that_are_no_rights_give_none() -> None:
    assert rights_of(holding("pay_invoice", "READ", "all"), NOW) == frozenset()
    assert rights_of(holding("pay_invoice", "read"), NOW) == {Right.READ}


@pytest.mark.parametrize("wire", ["nwc", "offers", "debits", "", "Owner"])
def test_a_grant_of_another_wire_has_no_right_whatever_it_names(wire: str) -> None:
    assert rights_of(replace(OWNER, wire=wire), NOW) == frozenset()
    assert rights_of(replace(holding("read", "spend"), wire=wire), NOW) == frozenset()


def test_a_revoked_grant_has_no_right_and_an_expired_one_from_its_last_second_on() -> None:
    assert rights_of(replace(OWNER, revoked_at=NOW + 1), NOW) == frozenset()
    assert rights_of(replace(OWNER, revoked_at=0), NOW) == frozenset()
    assert rights_of(replace(OWNER, expires_at=NOW), NOW) == frozenset()
    assert rights_of(replace(OWNER, expires_at=NOW + 1), NOW) == frozenset(Right)


@pytest.mark.parametrize(
    ("grant", "why"),
    [
        (holding("read"), "the grant owner does not have it"),
        (replace(OWNER, revoked_at=1), "the grant owner was revoked"),
        (replace(OWNER, expires_at=1), "the grant owner has expired"),
        (replace(OWNER, wire="nwc"), "a connection of the wire nwc has none"),
    ],
)
def test_a_missing_right_is_told_in_one_sentence(grant: Grant, why: str) -> None:
    refused = refuse_right(grant, Right.SPEND, NOW, "`pay`")
    assert refused is not None
    assert refused.reason is Reason.NOT_PERMITTED
    assert refused.message == f"`pay` needs the right to spend: {why}"


def test_what_is_given_away_must_be_held() -> None:
    assert refuse_gift(OWNER, PayInvoice, NOW, "`connect`") is None
    assert refuse_gift(holding("spend"), PayInvoice, NOW, "`connect`") is None
    refused = refuse_gift(holding("manage"), PayInvoice, NOW, "`connect`")
    assert refused == Refused(
        Reason.NOT_PERMITTED, "`connect` needs the right to spend: the grant owner does not have it"
    )


@pytest.mark.parametrize("bound", [{"budgets": (Budget.daily(sat(5)),)}, {"per_payment_msat": sat(5)}])
def test_bounds_on_spending_are_not_given_away_with_the_right(bound: dict[str, Any]) -> None:
    bounded = replace(OWNER, **bound)
    refused = refuse_gift(bounded, PayInvoice, NOW, "`connect`")
    assert refused is not None
    assert refused.message == "`connect` needs the right to spend without bounds: the grant owner has bounds of its own"
    assert refuse_gift(bounded, MakeInvoice, NOW, "`connect`") is None
