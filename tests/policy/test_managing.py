"""Who may manage offers over a link, and what a change makes of one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kitestring.base.commands import MANAGE_WIRE, OfferFields
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant, Offer, OfferState, Webhook
from kitestring.base.money import ZERO, sat
from kitestring.base.outcomes import Refused
from kitestring.policy.managing import (
    Allowed,
    AskOwnerToManage,
    changed_offer,
    decide_managing,
    ended_offer,
    managing_grant,
    new_offer,
)
from tests.kit.clock import NOW

APP = "a1" * 32
LINK = Grant(
    grant_id="shop", name="shop", wire=MANAGE_WIRE, pointer_id="shop", account_id="sellers", strangers="ask",
    relays=("wss://relay.example",),
)  # fmt: skip
GRANT = managing_grant(LINK, APP, "g", NOW)
MUG = new_offer(LINK, APP, "id", OfferFields(label="Mug", price_msat=sat(9)), NOW)


def reason(pointer: Grant | None, grant: Grant | None, **more: Any) -> Reason | None:
    found = decide_managing(pointer, grant, **{"owns": False, "now": NOW} | more)
    return found.reason if isinstance(found, Refused) else None


def test_a_grant_allows_a_link_that_asks_asks_and_one_that_denies_denies() -> None:
    assert decide_managing(LINK, GRANT, owns=False, now=NOW) == Allowed(GRANT)
    assert decide_managing(LINK, None, owns=False, now=NOW) == AskOwnerToManage()
    assert reason(replace(LINK, strangers="deny"), None) is Reason.NOT_PERMITTED
    assert decide_managing(replace(LINK, strangers="deny"), GRANT, owns=False, now=NOW) == Allowed(GRANT)


def test_what_is_not_there_or_over_allows_nothing() -> None:
    assert reason(None, None) is Reason.UNKNOWN_TARGET
    assert reason(replace(LINK, wire="debits"), GRANT) is Reason.UNKNOWN_TARGET
    assert reason(replace(LINK, revoked_at=1), GRANT) is Reason.UNKNOWN_TARGET
    assert reason(GRANT, GRANT) is Reason.UNKNOWN_TARGET, "a grant is no link"
    assert reason(LINK, replace(GRANT, expires_at=NOW)) is Reason.CONNECTION_ENDED
    assert reason(LINK, replace(GRANT, expires_at=NOW + 1)) is None


def test_the_key_that_an_account_belongs_to_needs_nothing() -> None:
    assert decide_managing(None, None, owns=True, now=NOW) == Allowed(None)


def test_a_grant_is_for_one_key_at_one_link_and_its_account() -> None:
    assert (GRANT.wire, GRANT.caller, GRANT.pointer_id, GRANT.account_id) == (MANAGE_WIRE, APP, "shop", "sellers")
    assert (GRANT.budgets, GRANT.strangers) == ((), "deny")


def test_a_new_offer_belongs_to_its_maker_and_fills_the_account_of_the_link() -> None:
    assert (MUG.creator, MUG.pointer_id, MUG.account_id, MUG.relays) == (APP, "shop", "sellers", LINK.relays)
    assert (MUG.price_msat, MUG.price_on_request, MUG.webhook, MUG.payer_data) == (sat(9), True, None, ())


def test_no_price_is_for_the_payer_to_name() -> None:
    tips = new_offer(LINK, APP, "id", OfferFields(label="Tips", price_msat=ZERO), NOW)
    assert (tips.price_msat, tips.price_on_request) == (None, False)
    assert changed_offer(MUG, OfferFields(price_msat=ZERO)).pricing.value == "spontaneous"
    assert changed_offer(tips, OfferFields(price_msat=sat(5))).pricing.value == "variable"


def test_a_patch_changes_what_it_says_and_nothing_else() -> None:
    assert changed_offer(MUG, OfferFields()) == MUG
    assert changed_offer(MUG, OfferFields(label="Cup")) == replace(MUG, label="Cup")
    assert changed_offer(MUG, OfferFields(payer_data=("a",))) == replace(MUG, payer_data=("a",))
    hooked = changed_offer(MUG, OfferFields(callback_url="https://a.example"))
    assert hooked == replace(MUG, webhook=Webhook("https://a.example", "get"))
    assert changed_offer(hooked, OfferFields(callback_url="")) == MUG
    assert changed_offer(MUG, OfferFields(price_msat=sat(8))) == replace(MUG, price_msat=sat(8))


def test_what_an_app_says_as_it_was_told_changes_nothing_of_what_the_owner_has_made_of_it() -> None:
    euros = replace(MUG, price_msat=None, price_on_request=False, currency="EUR", price_minor=500)
    printed = replace(MUG, price_on_request=False)
    bounded = replace(MUG, price_msat=None, price_on_request=False, min_msat=sat(5))
    posted = replace(MUG, webhook=Webhook("https://owner.example", "post"))
    asking = replace(MUG, payer_data=("email?", "name", "Shoe size"))
    as_told = OfferFields(label="Mug", price_msat=ZERO, callback_url="", payer_data=())
    for offer in (euros, bounded):
        assert changed_offer(offer, as_told) == offer
    assert changed_offer(printed, OfferFields(price_msat=sat(9))) == printed
    assert changed_offer(posted, OfferFields(callback_url="")) == posted
    assert asking.asked == ("email", "name")
    assert changed_offer(asking, OfferFields(payer_data=asking.asked)) == asking
    assert changed_offer(asking, OfferFields(payer_data=("name",))).payer_data == ("name",)
    repriced = changed_offer(euros, OfferFields(price_msat=sat(7)))
    assert (repriced.currency, repriced.price_minor, repriced.price_msat) == ("", None, sat(7))


def test_an_offer_ends_but_for_the_one_that_an_account_began_with() -> None:
    asking = replace(MUG, payer_data=("email",))
    assert ended_offer(asking) == replace(MUG, state=OfferState.DELETED, relays=()), "its row stays, and is small"
    refused = ended_offer(Offer(offer_id="first", label="first"))
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.NOT_PERMITTED


@pytest.mark.parametrize("state", [OfferState.OFF, OfferState.MOVED])
def test_a_change_leaves_the_state_to_the_owner(state: OfferState) -> None:
    assert changed_offer(replace(MUG, state=state), OfferFields(label="Cup")).state is state
