"""The owner's commands about offers: codes that anybody can pay, each with one price or one range."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kitestring.app.owner import offers
from kitestring.app.owner.offers import shown_noffer
from kitestring.app.owner.params import npub
from kitestring.base.commands import OfferFields, UpdateOffer
from kitestring.base.currency import ExchangeRate
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant, Offer, OfferState
from kitestring.base.money import sat
from kitestring.base.transactions.owner import SaveGrant, SaveOffer
from kitestring.codec.pointers import Noffer, PriceType, decode, encode
from kitestring.crypto.keys import SecretKey
from tests.kit.app.desk import RELAY, Office
from tests.kit.changed import replace
from tests.kit.engine.rates import MarketRates


async def test_an_offer_becomes_a_code_with_key_relay_and_price(office: Office) -> None:
    service = office.desk.service_id
    fixed = await office.run("offer_create", label="tea", price_msat=5_000)
    assert decode(fixed["noffer"]) == Noffer(service, (RELAY,), fixed["offer_id"], PriceType.FIXED, 5)
    free = await office.run("offer_create", "k2", label="tips", min_msat=1_000, max_msat=9_000)
    assert decode(free["noffer"]) == Noffer(service, (RELAY,), free["offer_id"])
    assert [offer["label"] for offer in (await office.run("offer_list"))["offers"]] == ["tea", "tips"]
    shown = [await office.run("offer_show", offer=name) for name in ("tips", free["offer_id"])]
    assert shown == [free, free]


async def test_a_variable_price_stands_in_no_code_and_its_currency_does(office: Office) -> None:
    service = office.desk.service_id
    cake = await office.run("offer_create", label="cake", currency="EUR", price_minor=350)
    assert decode(cake["noffer"]) == Noffer(service, (RELAY,), cake["offer_id"], PriceType.VARIABLE, None, "EUR")
    bread = await office.run("offer_create", "k2", label="bread", price_msat=900_000, price_on_request=True)
    assert decode(bread["noffer"]) == Noffer(service, (RELAY,), bread["offer_id"], PriceType.VARIABLE)
    stored = {offer.label: offer for offer in await office.store.offers()}
    assert (stored["cake"].currency, stored["cake"].price_minor, stored["bread"].price_msat) == ("EUR", 350, 900_000)


async def test_an_offer_that_takes_zaps_says_so_in_its_id(office: Office) -> None:
    key = SecretKey(b"\x05" * 32).public_hex
    made = await office.run("offer_create", label="tips", zap_key=npub(key))
    assert (made["offer_id"][:3], made["zap_npub"]) == ("zap", npub(key))
    (stored,) = await office.store.offers()
    assert stored.zap_pubkey == key
    assert len(made["offer_id"]) == len("zap") + 16
    refused = await office.refused("offer_create", "k2", label="tips")
    assert refused.details["differs"] == ["key for zaps"]
    assert (await office.refused("offer_create", "k3", label="x", zap_key="me")).reason is Reason.MALFORMED


async def test_offers_are_shown_with_what_a_currency_is_worth_now_where_that_is_known(office: Office) -> None:
    rates = MarketRates(office.rig.clock, 97_012)
    office.desk = replace(office.desk, rates=rates)
    made = await office.run("offer_create", label="cake", currency="EUR", price_minor=350)
    await office.run("offer_create", "k2", label="pie", currency="EUR", price_minor=100)
    await office.run("offer_create", "k3", label="palace", currency="EUR", price_minor=2**53 - 1)
    assert (made["now_msat"], rates.asked) == (None, [])  # nobody waits for it while others wait
    assert (await office.run("offer_show", offer="cake"))["now_msat"] == 3_608_000
    listed = (await office.run("offer_list"))["offers"]
    assert [offer["now_msat"] for offer in listed] == [3_608_000, None, 1_031_000]
    assert rates.asked == ["EUR", "EUR"]
    rates.price = 0
    assert (await office.run("offer_show", offer="cake"))["now_msat"] is None


async def test_a_rate_that_nobody_tells_in_time_is_not_waited_for(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(MarketRates):
        async def rate(self, currency: str) -> ExchangeRate:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr(offers, "RATE_WAIT_S", 0.01)
    office.desk = replace(office.desk, rates=Slow(office.rig.clock))
    await office.run("offer_create", label="cake", currency="EUR", price_minor=350)
    assert (await office.run("offer_show", offer="cake"))["now_msat"] is None


async def test_an_offer_that_has_expired_is_listed_as_such_and_is_no_code_to_show(office: Office) -> None:
    now = office.rig.clock.now()
    made = await office.run("offer_create", label="tea", expires_in_s=60)
    assert (made["expires_at"], made["state"]) == (now + 60, "open")
    office.rig.clock.advance(60)
    (listed,) = (await office.run("offer_list"))["offers"]
    assert listed["state"] == "expired"
    assert await shown_noffer(office.desk) is None


async def test_an_offer_is_found_by_its_code_in_whatever_form_that_is_pasted(office: Office) -> None:
    tea = await office.run("offer_create", label="tea", price_msat=5_000)
    for pasted in (
        tea["noffer"],
        tea["noffer"].upper(),
        f"lightning:{tea['noffer']}",
        f"bitcoin:?noffer={tea['noffer']}",
    ):
        assert await office.run("offer_show", offer=pasted) == tea
    foreign = encode(Noffer(SecretKey(b"\x05" * 32).public_hex, (RELAY,), tea["offer_id"]))
    other = await office.refused("offer_show", offer=foreign)
    assert (other.reason, other.message) == (Reason.UNKNOWN_TARGET, "this code belongs to another service")
    assert (await office.refused("offer_show", offer=tea["noffer"][:-1])).reason is Reason.MALFORMED
    assert (await office.run("offer_delete", "k2", offer=tea["noffer"]))["label"] == "tea"
    gone = await office.refused("offer_show", offer=tea["noffer"])
    assert (gone.reason, "with this code" in gone.message) == (Reason.UNKNOWN_TARGET, True)
    odd = await office.run("offer_create", "k3", label="bitcoin: noffer1")
    assert await office.run("offer_show", offer="bitcoin: noffer1") == odd


async def test_an_offer_of_an_account_asks_for_what_its_payer_has_to_fill_in(office: Office) -> None:
    await office.run("account_create", name="bob")
    made = await office.run("offer_create", "k2", label="cake", account="bob", payer_data=["name", "email"])
    (stored,) = await office.store.offers()
    assert (stored.account_id, stored.payer_data) == ("bob", ("name", "email"))
    assert (made["account"], made["payer_data"]) == ("bob", ["name", "email"])


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"price_msat": 1_500}, "whole sats"),
        ({"min_msat": 1_500}, "whole sats"),
        ({"price_msat": 1_000, "min_msat": 1_000}, "not both"),
        ({"price_msat": 1_000, "max_msat": 1_000}, "not both"),
        ({"min_msat": 2_000, "max_msat": 1_000}, "larger than the largest"),
        ({"label": " tea"}, "one line"),
        ({"label": "te\na"}, "one line"),
        ({"account": "nobody"}, "no account"),
        ({"payer_data": ["x"] * 9}, "payer data has at most 8 values"),
        ({"payer_data": ["na\u202eme"]}, "nobody sees"),
        ({"payer_data": ["name", "name?"]}, "each thing once"),
        ({"payer_data": ["?"]}, "asks a payer for nothing"),
        ({"currency": "EUR"}, "both its code"),
        ({"price_minor": 350}, "both its code"),
        ({"currency": "XYZ", "price_minor": 350}, "no currency 'XYZ'"),
        ({"currency": "eur", "price_minor": 350}, "currency is not what it must be"),
        ({"currency": "EURO", "price_minor": 350}, "currency is not what it must be"),
        ({"currency": "EUR", "price_minor": 0}, "at least 1"),
        ({"currency": "EUR", "price_minor": 350, "price_msat": 1_000}, "not both"),
        ({"currency": "EUR", "price_minor": 350, "max_msat": 1_000}, "not both"),
        ({"price_on_request": True}, "name it"),
        ({"expires_at": 1}, "this end has passed"),
        ({"expires_at": 2**35, "expires_in_s": 60}, "not both"),
    ],
)
async def test_a_wrong_offer_is_refused(office: Office, params: dict[str, Any], word: str) -> None:
    assert word in (await office.refused("offer_create", **{"label": "tea", **params})).message
    assert await office.store.offers() == []


async def test_who_may_not_make_invoices_lets_no_stranger_ask_for_them(office: Office) -> None:
    await office.set_owner(methods=frozenset({"manage"}))
    refused = await office.refused("offer_create", label="tea")
    assert refused.reason is Reason.NOT_PERMITTED
    assert refused.message == "`offer_create` needs the right to receive: the grant owner does not have it"
    await office.set_owner(methods=frozenset({"manage", "receive"}))
    assert (await office.run("offer_create", label="tea"))["label"] == "tea"


async def test_a_range_of_one_amount_is_a_range(office: Office) -> None:
    made = await office.run("offer_create", label="tea", min_msat=1_000, max_msat=1_000)
    assert (made["min_msat"], made["max_msat"], made["price_msat"]) == (1_000, 1_000, None)


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"price_msat": 6_000}, ["price"]),
        ({}, ["price"]),
        ({"min_msat": 1_000, "max_msat": 9_000}, ["price", "least amount", "largest amount"]),
        ({"price_msat": 5_000, "account": "bob"}, ["account"]),
        ({"price_msat": 5_000, "payer_data": ["name"]}, ["list of questions"]),
    ],
)
async def test_a_label_that_is_taken_by_another_offer_is_refused_and_by_the_same_one_found_again(
    office: Office, other: dict[str, Any], differs: list[str]
) -> None:
    await office.run("account_create", name="bob")
    tea = await office.run("offer_create", "k2", label="tea", price_msat=5_000)
    assert await office.run("offer_create", "k3", label="tea", price_msat=5_000) == tea
    refused = await office.refused("offer_create", "k4", label="tea", **other)
    assert (refused.reason, refused.exit_code, refused.details["differs"]) == (Reason.CONFLICT, 2, differs)
    assert "kitestring offer edit tea" in refused.message
    assert (await office.run("offer_list"))["offers"] == [tea]


async def test_a_deleted_offer_is_gone_and_deleting_again_with_the_same_key_is_harmless(office: Office) -> None:
    await office.run("offer_create", label="tea")
    assert (await office.refused("offer_create", "k2", label="tea", price_msat=1_000)).reason is Reason.CONFLICT
    gone = await office.run("offer_delete", offer="tea")
    assert await office.run("offer_delete", offer="tea") == gone
    assert (await office.run("offer_list"))["offers"] == []
    for command in ("offer_delete", "offer_show"):
        assert (await office.refused(command, "k2", offer="tea")).reason is Reason.UNKNOWN_TARGET
    assert [offer.state for offer in await office.store.offers()] == [OfferState.DELETED]
    assert (await office.run("offer_create", "k3", label="tea"))["offer_id"] != gone["offer_id"]


async def test_where_one_code_is_shown_it_is_that_of_the_oldest_offer_that_can_be_paid(office: Office) -> None:
    assert await shown_noffer(office.desk) is None
    codes = []
    for number, label in enumerate(("zebra", "apple")):
        codes.append((await office.run("offer_create", f"k{number}", label=label))["noffer"])
        office.rig.clock.advance(1)
    assert await shown_noffer(office.desk) == codes[0]
    await office.run("offer_delete", offer="zebra")
    assert await shown_noffer(office.desk) == codes[1]


# ------------------------------------------------------------ the relays in a code

HERE, THERE = "wss://here.example", "wss://there.example"


async def test_offers_of_enrolled_keys_are_neither_listed_nor_shown_as_our_own(office: Office) -> None:
    """Whoever is shown the code of somebody else pays somebody else."""
    await office.rig.enroll("r1", "a1" * 32)
    assert await shown_noffer(office.desk) is None
    assert (await office.run("offer_list"))["offers"] == []
    (offer,) = await office.rig.store.offers()
    assert (await office.run("offer_delete", offer=offer.offer_id))["deleted"] is True, "it can be ended all the same"


async def test_an_enrolled_key_does_not_take_the_label_of_the_owners_offer_from_it(office: Office) -> None:
    """Or the owner prints the code of somebody else."""
    key = "a1" * 32
    await office.rig.enroll("r1", key)
    (theirs,) = await office.rig.store.offers()
    for number in range(4):  # ids are drawn: one of them stands behind theirs
        label = f"tea {number}"
        ours = await office.run("offer_create", f"k{number}", label=label)
        await office.rig.manage(f"u{number}", key, UpdateOffer(theirs.offer_id, OfferFields(label=label)), link="")
        assert (await office.store.offer(theirs.offer_id)).label == label
        assert (await office.run("offer_show", offer=label))["offer_id"] == ours["offer_id"]
        assert (await office.run("offer_off", f"o{number}", offer=label))["offer_id"] == ours["offer_id"]


async def test_a_code_stays_as_it_was_printed_when_the_relays_change_until_it_is_relinked(office: Office) -> None:
    printed = await office.run("offer_create", label="tea", price_msat=5_000)
    office.relays_are(HERE)
    again = await office.run("offer_create", "k2", label="tea", price_msat=5_000)
    assert again == {**printed, "old_relays": [RELAY]}
    assert await shown_noffer(office.desk) == printed["noffer"]
    anew = await office.run("offer_relink", "k3", offer=printed["noffer"])
    assert decode(anew["noffer"]) == Noffer(office.desk.service_id, (HERE,), printed["offer_id"], PriceType.FIXED, 5)
    assert (anew["changed"], anew["left_relays"], anew["old_relays"]) == (True, [RELAY], [])
    assert await office.run("offer_relink", "k3", offer=printed["noffer"]) == anew
    assert (await office.run("offer_show", offer="tea"))["noffer"] == anew["noffer"]


async def test_a_code_over_the_relays_of_today_is_left_as_it_is_in_whatever_order_they_are(office: Office) -> None:
    office.relays_are(HERE, THERE)
    printed = await office.run("offer_create", label="tea")
    office.relays_live(THERE)
    assert await office.run("offer_relink", "k2", offer="tea") == {**printed, "changed": False, "left_relays": []}
    assert (await office.refused("offer_relink", "k3", offer="mug")).reason is Reason.UNKNOWN_TARGET


async def test_relays_that_bring_requests_stand_first_in_a_new_code_of_four(office: Office) -> None:
    many = tuple(f"wss://{number}.example" for number in range(5))
    office.relays_are(*many)
    office.relays_live(many[4], many[2])
    pointer = decode((await office.run("offer_create", label="tea"))["noffer"])
    assert pointer.relays == (many[2], many[4], many[0], many[1])


async def test_an_offer_of_an_app_takes_no_label_of_the_owners_and_is_not_shown_as_the_code_of_the_house(
    office: Office,
) -> None:
    link = Grant(grant_id="shop", name="shop", wire="manage", pointer_id="shop")
    of_app = Offer(
        offer_id="a" * 32, label="first offer", relays=(RELAY,), price_msat=sat(5), price_on_request=True,
        creator="a1" * 32, pointer_id="shop",
    )  # fmt: skip
    grant = replace(link, grant_id="shop-a", name="a", caller="a1" * 32)
    await office.rig.write(SaveGrant(link), SaveGrant(grant), SaveOffer(of_app))
    assert await shown_noffer(office.desk) is None
    made = await office.run("offer_create", label="first offer")
    assert made["offer_id"] != of_app.offer_id
    assert await shown_noffer(office.desk) == made["noffer"]
    shown = await office.run("offer_show", offer=of_app.offer_id)
    assert shown["creator"] == of_app.creator
    code = decode(shown["noffer"])
    assert isinstance(code, Noffer)
    assert (code.price_type, code.price_sats) == (PriceType.VARIABLE, None)
    assert (await office.run("offer_show", offer="first offer"))["offer_id"] == made["offer_id"]
