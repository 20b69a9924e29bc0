"""CLINK Manage, the service's side: what apps ask for, and what they are told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.commands import (
    CreateOffer,
    Deed,
    DeleteOffer,
    GetOffer,
    ListOffers,
    ManageOffer,
    OfferFields,
    UpdateOffer,
)
from kitestring.base.errors import Reason
from kitestring.base.grants import Offer, Webhook
from kitestring.base.money import MAX_SATS, sat
from kitestring.base.outcomes import OfferGone, OffersListed, OfferTold, Outcome, Paid, Refused
from kitestring.codec.pointers import decode
from kitestring.nostr import kinds
from kitestring.policy.managing import FULL, NO_SUCH_OFFER
from kitestring.wire.grammar import Asked, Facts
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.serve.manage import CODES, WIRE
from kitestring.wire.text import MAX_PLAINTEXT_BYTES
from tests.kit import vectors
from tests.kit.client.hostile import SERVICE
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE
from tests.kit.wire.samples import event, reply_to

CASES = vectors.load("clink_payloads.json")["manage_request"]
VERSION = ["clink_version", "1"]
TO = reply_to("manage")
KEY = SERVICE.public_hex
MUG = {"label": "Mug", "price_sats": 12_000, "callback_url": "", "payer_data": ["email"]}
SMALL = CreateOffer(OfferFields(label="a", price_msat=sat(1)))
TIPS = CreateOffer(OfferFields(label="Mug", price_msat=sat(0), callback_url="", payer_data=("email",)))
URLS: tuple[object, ...] = (
    7,
    "x",
    "http://shop.example",
    "https://10.0.0.1/",
    "https://shop.example/{",
    [],
    "https://a b.c",
)
NAMES: tuple[object, ...] = (
    "email",
    7,
    {},
    ["a", "a"],
    ["a b"],
    [""],
    ["ä"],
    [7],
    [["a"]],
    ["x" * 65],
    [str(n) for n in range(17)],
)
LABELS: tuple[object, ...] = ("", " ", "x" * 101, 7, ["a"], True, "a\nb", "a\u202eb", "a\x00")
PRICES: tuple[object, ...] = (-1, MAX_SATS + 1, "12", 1.0, 0.5, True, [], {})
BAD_FIELDS: list[tuple[str, object]] = [
    *(("label", value) for value in LABELS),
    *(("price_sats", value) for value in PRICES),
    *(("callback_url", value) for value in URLS),
    *(("payer_data", value) for value in NAMES),
    ("colour", "red"),
    ("currency", "EUR"),
]
OFFER = Offer(
    offer_id="ab" * 16, label="Mug", price_msat=sat(12_000), price_on_request=True, payer_data=("email",),
    relays=("wss://relay.example",), webhook=Webhook("https://shop.example/{?amount}", "get"),
)  # fmt: skip


def asked(payload: object, *tags: list[str]) -> Asked:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return WIRE.read(text, event(kinds.MANAGE, *(tags or (VERSION,))), TO, Facts("regtest"))


def command(payload: object) -> ManageOffer:
    found = asked(payload).command
    assert isinstance(found, ManageOffer)
    return found


def reply(payload: object, *tags: list[str]) -> Any:
    with pytest.raises(WireRefusalError) as caught:
        asked(payload, *tags)
    return json.loads(WIRE.answer(caught.value.refused, caught.value.to) or b"")


def told(outcome: Outcome) -> Any:
    answer = WIRE.answer(outcome, TO)
    return None if answer is None else json.loads(answer)


def request(action: str, offer: object = None, **more: object) -> dict[str, object]:
    return {"resource": "offer", "action": action, "offer": offer, **more}


def create(**fields: object) -> dict[str, object]:
    return request("create", {"fields": MUG | fields})


# ------------------------------------------------------------ requests


def shape(found: ManageOffer) -> dict[str, Any]:
    deed = found.deed
    shown: dict[str, Any] = {"action": type(deed).__name__.removesuffix("Offer").removesuffix("Offers").lower()}
    if found.pointer_id:
        shown["pointer"] = found.pointer_id
    if isinstance(deed, UpdateOffer | GetOffer | DeleteOffer):
        shown["id"] = deed.offer_id
    if isinstance(deed, CreateOffer | UpdateOffer):
        fields = deed.fields
        said = {
            "label": fields.label,
            "price_sats": None if fields.price_msat is None else fields.price_msat.sats_up(),
            "callback_url": fields.callback_url,
            "payer_data": None if fields.payer_data is None else list(fields.payer_data),
        }
        shown["fields"] = {name: value for name, value in said.items() if value is not None}
    return shown


@pytest.mark.parametrize("case", [case for case in CASES if "parsed" in case], ids=lambda case: case["id"])
def test_what_the_vectors_read_is_read_in_the_same_way(case: dict[str, Any]) -> None:
    found = asked(case["payload"])
    assert isinstance(found.command, ManageOffer)
    assert shape(found.command) | {"action": found.to.method} == case["parsed"]
    assert found.target == found.command.pointer_id


@pytest.mark.parametrize("case", [case for case in CASES if "code" in case], ids=lambda case: case["id"])
def test_what_the_vectors_refuse_has_their_code_and_field(case: dict[str, Any]) -> None:
    answer = reply(case["payload"])
    assert (answer["res"], answer["code"], answer.get("field")) == ("GFY", case["code"], case.get("field"))


@pytest.mark.parametrize(
    ("payload", "deed"),
    [
        (create(price_sats=0), TIPS),
        (request("create", {"label": "a", "price_sats": 1, "callback_url": None}), SMALL),
        (request("create", {"id": None, "fields": {"label": "a", "price_sats": 1}}), SMALL),
        (request("create", {"fields": {"label": "a", "price_sats": 1}, "colour": "red"}), SMALL),
        (request("update", {"id": "x", "label": "b"}), UpdateOffer("x", OfferFields(label="b"))),
        (request("update", {"id": "x", "label": "b", "noffer": "noffer1"}), UpdateOffer("x", OfferFields(label="b"))),
        (request("update", {"id": "x", "fields": {"noffer": "noffer1"}}), UpdateOffer("x", OfferFields())),
        (request("update", {"id": "x"}), UpdateOffer("x", OfferFields())),
        (request("update", {"id": "x", "fields": {"payer_data": []}}), UpdateOffer("x", OfferFields(payer_data=()))),
        (request("list"), ListOffers()),
        (request("list", limit=3, before="x"), ListOffers(3, "x")),
        (request("list", None, limit=None, before=None, until=9), ListOffers()),
        (request("get", {"id": "x", "fields": {"label": 7}}), GetOffer("x")),
        (request("delete", {"id": "x"}), DeleteOffer("x")),
    ],
    ids=str,
)  # fmt: skip
def test_fields_are_read_nested_and_flat_and_null_is_absent(payload: dict[str, object], deed: Deed) -> None:
    assert command(payload).deed == deed


@pytest.mark.parametrize(
    "payload",
    [
        "[]", "7", "null", "", "{", '{"resource":"offer","resource":"offer","action":"list"}', {},
        request("list") | {"resource": "Offer"},
        request("list") | {"resource": None},
        request("list") | {"resource": 7},
        request("Create", {"fields": MUG}),
        request("list") | {"action": ["list"]},
        request("list") | {"action": None},
        request("list", pointer=7),
        request("list", pointer="x" * 256),
        request("list", "x"),
        request("list", limit=0),
        request("list", limit=101),
        request("list", limit="9"),
        request("list", limit=True),
        request("list", limit=1.0),
        request("list", before=7),
        request("get"),
        request("get", {}),
        request("get", {"id": ""}),
        request("get", {"id": 7}),
        request("get", {"id": "x" * 256}),
        request("update", {"fields": MUG}),
        request("update", {"id": "x", "fields": []}),
        request("update", {"id": "x", "fields": MUG, "label": "b"}),
        request("create", {"fields": MUG, "price_sats": 1}),
        request("create", {"id": 7, "fields": MUG}),
        request("create", {"id": "", "fields": MUG}),
        request("delete", {"id": ["x"]}),
    ],
    ids=str,
)  # fmt: skip
def test_a_request_of_another_shape_is_invalid(payload: object) -> None:
    assert reply(payload)["code"] == 6


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS, ids=str)
@pytest.mark.parametrize("action", ["create", "update"])
def test_a_field_that_is_not_as_it_has_to_be_is_named(action: str, field: str, value: object) -> None:
    fields = MUG | {field: value}
    offer = {"fields": fields} if action == "create" else {"id": "x", "fields": fields}
    answer = reply(request(action, offer))
    assert (answer["code"], answer["field"]) == (5, field)
    assert answer["error"].startswith("Invalid Field: ")
    assert ("range" in answer) == (field == "price_sats")


@pytest.mark.parametrize("missing", ["label", "price_sats"])
def test_a_new_offer_has_a_label_and_a_price(missing: str) -> None:
    for fields in ({name: MUG[name] for name in MUG if name != missing}, MUG | {missing: None}):
        answer = reply(request("create", {"fields": fields}))
        assert (answer["code"], answer["field"]) == (5, missing)


def test_the_limits_of_the_fields_are_those_of_the_table() -> None:
    long = create(label="x" * 100, price_sats=MAX_SATS, payer_data=[f"{n:064d}" for n in range(16)])
    deed = command(long).deed
    assert isinstance(deed, CreateOffer)
    assert deed.fields.price_msat == sat(MAX_SATS)
    assert deed.fields.payer_data is not None
    assert len(deed.fields.payer_data) == 16


@pytest.mark.parametrize("tags", [(["p", "x"],), (["clink_version", "2"],)], ids=["none", "another"])
def test_a_request_without_version_1_is_invalid(tags: tuple[list[str]]) -> None:
    assert reply(request("list"), *tags)["code"] == 6


def test_the_name_of_an_odd_field_is_cut_and_only_shown_where_it_can_be() -> None:
    assert reply(request("update", {"id": "x", "fields": {"y" * 999: 1}}))["field"] == "y" * 64
    assert reply(request("update", {"id": "x", "fields": {"\u202e": 1}}))["field"] == ""


def test_the_action_is_found_for_what_is_refused_unread() -> None:
    assert WIRE.method(json.dumps(request("get"))) == "get"
    assert [WIRE.method(text) for text in ("{", "{}", '{"action":7}', '{"action":"explode"}')] == [""] * 4
    assert set(WIRE.questions) == {"get", "list"}
    assert not WIRE.spends


# ------------------------------------------------------------ replies


def test_an_offer_is_told_with_all_its_fields_and_its_code() -> None:
    answer = told(OfferTold(KEY, OFFER))
    noffer = answer["details"].pop("noffer")
    assert answer == {
        "res": "ok", "resource": "offer",
        "details": {
            "id": "ab" * 16, "label": "Mug", "price_sats": 12_000, "payer_data": ["email"],
            "callback_url": "https://shop.example/{?amount}",
        },
    }  # fmt: skip
    assert decode(noffer).pubkey == KEY


def test_a_webhook_of_the_owners_own_form_and_no_price_are_told_as_not_set() -> None:
    own = Offer(offer_id="x", label="x", relays=OFFER.relays, webhook=Webhook("https://own.example", "post"))
    details = told(OfferTold(KEY, own))["details"]
    assert (details["callback_url"], details["price_sats"]) == ("", 0)


def test_the_end_of_an_offer_has_no_details() -> None:
    assert told(OfferGone()) == {"res": "ok", "resource": "offer"}


def test_a_list_says_where_it_goes_on() -> None:
    two = (OFFER, Offer(offer_id="second", label="b", relays=OFFER.relays))
    short = told(OffersListed(KEY, two))
    assert ([row["id"] for row in short["details"]], "next" in short) == ([OFFER.offer_id, "second"], False)
    assert told(OffersListed(KEY, two, is_more=True))["next"] == "second"
    assert told(OffersListed(KEY, ()))["details"] == []


def test_a_list_that_no_reply_carries_is_cut_between_two_offers() -> None:
    large = Offer(
        offer_id="x", label="ü" * 100, relays=OFFER.relays, payer_data=tuple(f"{n:064d}" for n in range(16)),
        webhook=Webhook("https://shop.example/" + "x" * 2_000, "get"),
    )  # fmt: skip
    answer = WIRE.answer(OffersListed(KEY, (large,) * 100), TO) or b""
    assert len(answer) <= MAX_PLAINTEXT_BYTES
    listed = json.loads(answer)
    assert 5 < len(listed["details"]) < 100
    assert listed["next"] == "x"


def test_what_is_no_answer_of_this_wire_is_silence() -> None:
    assert told(Paid(PAYMENT_HASH, PREIMAGE, sat(1), sat(0))) is None


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_its_code_or_silence(reason: Reason) -> None:
    answer = told(Refused(reason, details={"delta": {"max_delta_ms": 1}, "retry_after": 9, "work_bits": 3, "most": 4}))
    code = CODES[reason]
    assert (answer and answer["code"]) == code
    if code is not None:
        more = {3: {"delta"}, 4: {"retry_after", "work_bits"}}.get(code, set())
        assert set(answer) == {"res", "code", "error", *more}


def test_nobody_finds_out_by_asking_which_links_and_offers_there_are() -> None:
    words = "there is no such pointer"
    assert told(Refused(Reason.UNKNOWN_TARGET, words)) == told(Refused(Reason.NOT_PERMITTED))
    assert told(NO_SUCH_OFFER)["code"] == 6


def test_one_offer_too_many_has_words_of_its_own() -> None:
    answer = told(FULL)
    assert (answer["code"], "10,000 offers" in answer["error"]) == (1, True)
