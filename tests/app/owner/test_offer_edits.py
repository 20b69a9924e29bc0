"""Changes of an offer: in place, unless its code says otherwise; then the old code leads to the new one in one step."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.owner import offer_edits
from kitestring.base.errors import Reason
from kitestring.base.grants import Offer, OfferState
from kitestring.codec.pointers import Noffer, PriceType, decode
from kitestring.crypto.keys import SecretKey
from tests.kit.app.desk import RELAY, Office

EURO = {"currency": "EUR", "price_minor": 350}
KEY = SecretKey(b"\x05" * 32).public_hex
ON_REQUEST = {"price_msat": 900_000, "price_on_request": True}


async def stored(office: Office) -> dict[str, Offer]:
    return {offer.offer_id: offer for offer in await office.store.offers()}


# ------------------------------------------------------------ in place


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ({"price_msat": 5_000}, {"new_label": "mug"}),
        ({"price_msat": 5_000}, {"payer_data": ["email", "name?"]}),
        ({"price_msat": 5_000}, {"expires_in_s": 60}),
        ({"price_msat": 5_000}, {"price_msat": 5_000, "new_label": "mug"}),
        ({"min_msat": 1_000}, {"min_msat": None, "max_msat": 9_000}),
        (EURO, {"price_minor": 360}),
        (EURO, {"currency": "EUR", "price_minor": 360}),
        (ON_REQUEST, {"price_msat": 1_000_000, "price_on_request": True}),
    ],
)
async def test_what_does_not_stand_in_the_code_changes_in_place(
    office: Office, before: dict[str, Any], change: dict[str, Any]
) -> None:
    made = await office.run("offer_create", label="tea", **before)
    edited = await office.run("offer_edit", "k2", offer="tea", **change)
    assert (edited["offer_id"], edited["noffer"], edited["old_noffer"]) == (made["offer_id"], made["noffer"], None)
    assert edited["changed"]
    (offer,) = (await stored(office)).values()
    shown = await office.run("offer_show", offer=made["offer_id"])
    apart = {"changed", "old_noffer", "now_msat"}
    assert {name: shown[name] for name in edited if name not in apart} == {
        name: edited[name] for name in edited if name not in apart
    }
    assert offer.state is OfferState.OPEN


async def test_it_is_told_what_has_changed_and_the_same_again_changes_nothing(office: Office) -> None:
    await office.run("offer_create", label="tea", **EURO)
    edited = await office.run("offer_edit", "k2", offer="tea", price_minor=360, payer_data=["email"])
    assert edited["changed"] == {
        "price_minor": {"before": 350, "after": 360},
        "payer_data": {"before": [], "after": ["email"]},
    }
    assert (await office.run("offer_edit", "k3", offer="tea", price_minor=360))["changed"] == {}
    ends = await office.run("offer_edit", "k4", offer="tea", expires_in_s=60)
    assert ends["expires_at"] == office.rig.clock.now() + 60
    assert (await office.run("offer_edit", "k5", offer="tea", expires_at=None))["expires_at"] is None


# ------------------------------------------------------------ another code


@pytest.mark.parametrize(
    ("before", "change", "kind", "price", "currency"),
    [
        ({"price_msat": 5_000}, {"price_msat": 6_000}, PriceType.FIXED, 6, None),
        ({"price_msat": 5_000}, {"price_msat": None}, PriceType.SPONTANEOUS, None, None),
        ({"price_msat": 5_000}, {"price_msat": 5_000, "price_on_request": True}, PriceType.VARIABLE, None, None),
        ({"price_msat": 5_000}, EURO, PriceType.VARIABLE, None, "EUR"),
        ({"min_msat": 1_000, "max_msat": 2_000}, {"price_msat": 6_000}, PriceType.FIXED, 6, None),
        (ON_REQUEST, {"price_msat": 900_000}, PriceType.FIXED, 900, None),
        (EURO, {"currency": "USD", "price_minor": 350}, PriceType.VARIABLE, None, "USD"),
        (EURO, {"price_msat": 6_000}, PriceType.FIXED, 6, None),
    ],
)
async def test_what_stands_in_the_code_makes_a_new_one_to_which_the_old_one_forwards(
    office: Office, before: dict[str, Any], change: dict[str, Any], kind: PriceType, price: int | None,
    currency: str | None,
) -> None:  # fmt: skip
    made = await office.run("offer_create", label="tea", **before)
    edited = await office.run("offer_edit", "k2", offer=made["noffer"], **change)
    assert edited["offer_id"] != made["offer_id"]
    assert decode(edited["noffer"]) == Noffer(
        office.desk.service_id, (RELAY,), edited["offer_id"], kind, price, currency
    )
    assert (edited["old_noffer"], edited["old_ids"]) == (made["noffer"], [made["offer_id"]])
    offers = await stored(office)
    old, new = offers[made["offer_id"]], offers[edited["offer_id"]]
    assert (old.state, old.latest, new.state) == (OfferState.MOVED, edited["noffer"], OfferState.OPEN)
    assert (new.label, new.created_at, new.min_msat) == ("tea", old.created_at, None)
    assert [offer["noffer"] for offer in (await office.run("offer_list"))["offers"]] == [edited["noffer"]]
    assert await office.run("offer_edit", "k2", offer=made["noffer"], **change) == edited


async def test_all_old_codes_lead_to_the_newest_one_in_one_step(office: Office) -> None:
    codes = [(await office.run("offer_create", label="tea", price_msat=1_000, zap_key=KEY))["offer_id"]]
    for number in range(2, 5):
        edited = await office.run("offer_edit", f"k{number}", offer="tea", price_msat=number * 1_000)
        codes.append(edited["offer_id"])
    assert all(code.startswith("zap") for code in codes)
    offers = await stored(office)
    assert {offer.zap_pubkey for offer in offers.values()} == {KEY}
    assert {offers[code].latest for code in codes[:-1]} == {edited["noffer"]}
    assert sorted(edited["old_ids"]) == sorted(codes[:-1])
    assert sorted((await office.run("offer_show", offer="tea"))["old_ids"]) == sorted(codes[:-1])


async def test_a_code_that_moves_while_it_is_switched_off_stays_so(office: Office) -> None:
    await office.run("offer_create", label="tea", price_msat=1_000)
    await office.run("offer_off", "k2", offer="tea")
    assert (await office.run("offer_edit", "k3", offer="tea", price_msat=2_000))["state"] == "off"


async def test_old_codes_have_a_bound(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offer_edits, "MAX_OLD_CODES", 2)
    first = await office.run("offer_create", label="tea", price_msat=1_000)
    for number in (2, 3):
        await office.run("offer_edit", f"k{number}", offer="tea", price_msat=number * 1_000)
    refused = await office.refused("offer_edit", "k4", offer="tea", price_msat=4_000)
    assert (refused.reason, "offer forward --end" in refused.message) == (Reason.CONFLICT, True)
    await office.run("offer_forward", "k5", offer=first["offer_id"], to=None)
    await office.run("offer_edit", "k6", offer="tea", price_msat=4_000)


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({}, Reason.MALFORMED, "say what to change"),
        ({"new_label": "mug"}, Reason.CONFLICT, "is taken"),
        ({"min_msat": 1_000}, Reason.MALFORMED, "a price or a range"),
        ({"price_msat": 1_500}, Reason.MALFORMED, "whole sats"),
        ({"price_minor": 350}, Reason.MALFORMED, "both its code"),
        ({"currency": "EUR"}, Reason.MALFORMED, "both its code"),
        ({"currency": "XYZ", "price_minor": 350}, Reason.MALFORMED, "no currency"),
        ({"price_on_request": True}, Reason.MALFORMED, "name it"),
        ({"expires_at": 1}, Reason.MALFORMED, "has passed"),
        ({"offer": "nothing", "new_label": "x"}, Reason.UNKNOWN_TARGET, "there is no offer"),
    ],
)
async def test_a_change_that_makes_no_offer_changes_nothing(
    office: Office, change: dict[str, Any], reason: Reason, words: str
) -> None:
    await office.run("offer_create", label="tea", price_msat=1_000)
    await office.run("offer_create", "k2", label="mug")
    before = await office.store.offers()
    refused = await office.refused("offer_edit", "k3", **{"offer": "tea", **change})
    assert (refused.reason, words in refused.message) == (reason, True)
    assert await office.store.offers() == before


# ------------------------------------------------------------ on, off, forward


async def test_an_offer_is_off_until_it_is_on_again(office: Office) -> None:
    made = await office.run("offer_create", label="tea")
    assert (await office.run("offer_off", "k2", offer="tea"))["state"] == "off"
    assert [offer["state"] for offer in (await office.run("offer_list"))["offers"]] == ["off"]
    assert (await office.run("offer_off", "k3", offer="tea"))["state"] == "off"
    assert (await office.refused("offer_create", "k4", label="tea", price_msat=1_000)).reason is Reason.CONFLICT
    assert await office.run("offer_on", "k5", offer=made["noffer"]) == made


async def test_an_offer_forwards_to_one_of_its_own_account_alone(office: Office) -> None:
    await office.run("account_create", "k0", name="bob")
    tea = await office.run("offer_create", "k1", label="tea", price_msat=1_000)
    await office.run("offer_edit", "k2", offer="tea", price_msat=2_000)
    mug = await office.run("offer_create", "k3", label="mug")
    await office.run("offer_create", "k4", label="cake", account="bob")
    refused = await office.refused("offer_forward", "k5", offer="tea", to="cake")
    assert (refused.reason, "another account" in refused.message) == (Reason.NOT_PERMITTED, True)
    assert (await office.refused("offer_forward", "k6", offer="tea", to="tea")).reason is Reason.MALFORMED
    assert (await office.refused("offer_forward", "k7", offer="tea", to=None)).reason is Reason.MALFORMED
    moved = await office.run("offer_forward", "k8", offer="tea", to="mug")
    assert (moved["offer_id"], len(moved["old_ids"])) == (mug["offer_id"], 2)
    offers = await stored(office)
    assert {offer.latest for offer in offers.values() if offer.state is OfferState.MOVED} == {mug["noffer"]}
    (back,) = [await office.refused("offer_forward", "k9", offer="mug", to=tea["offer_id"])]
    assert back.reason is Reason.MOVED_OR_EXPIRED_OFFER
    for command in ("offer_on", "offer_off", "offer_relink"):
        assert (await office.refused(command, "k10", offer=tea["noffer"])).reason is Reason.MOVED_OR_EXPIRED_OFFER


async def test_a_forwarding_ends_by_itself_or_with_what_it_leads_to(office: Office) -> None:
    ids = [(await office.run("offer_create", label="tea", price_msat=1_000))["offer_id"]]
    for number in (2, 3):
        edited = await office.run("offer_edit", f"k{number}", offer="tea", price_msat=number * 1_000)
        ids.append(edited["offer_id"])
    ended = await office.run("offer_forward", "k4", offer=ids[0], to=None)
    assert (ended["state"], ended["latest"]) == ("moved", None)
    assert await office.run("offer_forward", "k5", offer=ids[0], to=None) == ended
    offers = await stored(office)
    assert [bool(offers[one].latest) for one in ids] == [False, True, False]
    await office.run("offer_delete", "k6", offer="tea")
    offers = await stored(office)
    assert [(offers[one].state, offers[one].latest) for one in ids] == [
        (OfferState.MOVED, ""), (OfferState.MOVED, ""), (OfferState.DELETED, ""),
    ]  # fmt: skip
    await office.run("offer_delete", "k7", offer=ids[0])
    assert (await stored(office))[ids[0]].state is OfferState.DELETED


async def test_old_codes_lead_to_a_relinked_one_and_hold_no_relay_that_was_left(office: Office) -> None:
    made = await office.run("offer_create", label="tea", price_msat=1_000)
    await office.run("offer_edit", "k2", offer="tea", price_msat=2_000)
    office.relays_are("wss://there.example")
    anew = await office.run("offer_relink", "k3", offer="tea")
    old = (await stored(office))[made["offer_id"]]
    assert (old.latest, old.relays) == (anew["noffer"], ("wss://there.example",))


# ------------------------------------------------------------ webhooks


async def test_an_offer_that_moves_to_a_new_code_keeps_the_secret_of_its_webhook(office: Office) -> None:
    url = "https://shop.example/paid"
    await office.run("offer_create", label="tea", price_msat=5_000, webhook=url)
    before = await office.run("offer_webhook", offer="tea")
    for number, price_msat in enumerate((6_000, 7_000)):
        await office.run("offer_edit", f"e{number}", offer="tea", price_msat=price_msat)
    after = await office.run("offer_webhook", offer="tea")
    assert after["offer_id"] != before["offer_id"]
    assert (after["url"], after["secret"]) == (url, before["secret"])
    assert {offer.webhook_key for offer in (await stored(office)).values()} == {before["offer_id"]}
    moved = await office.run("offer_webhook", "k9", offer="tea", url="https://shop.example/other")
    assert moved["secret"] == before["secret"]
    assert (await office.run("offer_create", "k8", label="tea", price_msat=7_000, webhook=moved["url"]))[
        "label"
    ] == "tea"


async def test_what_a_webhook_has_in_its_address_is_asked_of_payers_also_after_an_edit(
    office: Office,
) -> None:
    await office.run("offer_create", label="tea", payer_data=["name"])
    await office.run("offer_webhook", "k2", offer="tea", url="https://shop.example/paid{?amount,name}", form="get")
    assert (await office.refused("offer_edit", "k3", offer="tea", payer_data=["email"])).reason is Reason.MALFORMED
