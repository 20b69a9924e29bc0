"""Grants, and what an account can spend."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.commands import OWNER_ACCOUNT
from kitestring.base.grants import OFFER_STEPS, Account, Grant, Offer, OfferState
from kitestring.base.money import Msat


def test_what_is_posted_and_what_is_held_cannot_be_spent_again() -> None:
    account = Account(account_id="a", name="a", credits_msat=Msat(1_000), posted_msat=Msat(300), pending_msat=Msat(21))
    assert account.available_msat == Msat(679)
    assert isinstance(account.available_msat, Msat)


def test_an_overdrawn_account_has_less_than_nothing() -> None:
    assert Account(account_id="a", name="a", posted_msat=Msat(5)).available_msat == -5


def test_what_is_not_said_belongs_to_the_owner_and_allows_nothing() -> None:
    grant = Grant(grant_id="g", name="g", wire="nwc")
    assert (grant.account_id, grant.methods, grant.version) == (OWNER_ACCOUNT, frozenset(), 1)
    assert Offer(offer_id="o", label="tips").account_id == OWNER_ACCOUNT


def test_an_offer_that_was_deleted_stays_so_and_every_state_leads_there() -> None:
    assert set(OFFER_STEPS) == set(OfferState)
    assert [state for state, after in OFFER_STEPS.items() if not after] == [OfferState.DELETED]
    assert all(OfferState.DELETED in after for after in OFFER_STEPS.values() if after)


def test_a_grant_that_was_decided_on_does_not_change() -> None:
    grant = Grant(grant_id="g", name="g", wire="nwc")
    with pytest.raises(FrozenInstanceError):
        grant.revoked_at = 1  # type: ignore[misc]  # what is tested


def test_a_grant_that_may_spend_nothing_is_not_told_that_it_pays() -> None:
    may = frozenset({"pay_invoice", "get_budget"})
    free, some = Grant(grant_id="g", name="g", wire="nwc", methods=may), Budget.daily(Msat(1))
    assert free.announced == may
    assert replace(free, budgets=(some,)).announced == may
    assert replace(free, budgets=(some, Budget.total(Msat(0)))).announced == {"get_budget"}
