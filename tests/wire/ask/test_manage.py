"""CLINK Manage, the app's side: requests as all services read them, and answers in every form that they have."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.codec.pointers import Nmanage
from kitestring.wire.ask.manage import (
    CreateWish,
    DeleteWish,
    GetWish,
    ListWish,
    ManagedOffer,
    ManageOk,
    ManageRefusal,
    ManageWish,
    OfferTerms,
    UpdateWish,
    decode_reply,
    encode_request,
)
from kitestring.wire.grammar import Facts
from kitestring.wire.serve.manage import WIRE
from tests.kit import vectors
from tests.kit.client.hostile import SERVICE
from tests.kit.wire.samples import event, reply_to

OBSERVED = {row["case"]: row["reply"] for row in vectors.load("lightning_pub_manage.json")["replies"] if row["reply"]}
LINK = Nmanage(SERVICE.public_hex, ("wss://relay.example",), "shop")
MUG = OfferTerms(label="Mug", price_sats=12_000, payer_data=("email",))
FIELDS = {"label": "Mug", "price_sats": 12_000, "callback_url": "", "payer_data": ["email"]}
ROW = {"id": "ab" * 16, **FIELDS, "noffer": "noffer1x"}
OFFER = ManagedOffer("ab" * 16, MUG, "noffer1x")


@pytest.mark.parametrize(
    ("wish", "members"),
    [
        (CreateWish(MUG), {"action": "create", "offer": {"fields": FIELDS}}),
        (UpdateWish("x", MUG), {"action": "update", "offer": {"id": "x", "fields": FIELDS}}),
        (GetWish("x"), {"action": "get", "offer": {"id": "x"}}),
        (ListWish(), {"action": "list"}),
        (ListWish(5, "x"), {"action": "list", "limit": 5, "before": "x"}),
        (DeleteWish("x"), {"action": "delete", "offer": {"id": "x"}}),
    ],
    ids=str,
)
def test_a_request_names_pointer_and_all_fields_and_our_own_service_reads_it(
    wish: ManageWish, members: dict[str, Any]
) -> None:
    text = encode_request(LINK, wish)
    assert json.loads(text) == {"resource": "offer", "pointer": "shop", **members}
    assert WIRE.read(text, event(21_003, ["clink_version", "1"]), reply_to("manage"), Facts("regtest"))
    bare = json.loads(encode_request(Nmanage(LINK.pubkey, LINK.relays, None), wish))
    assert "pointer" not in bare


@pytest.mark.parametrize("price", [-1, 21 * 10**14 + 1])
def test_a_price_that_no_wire_carries_is_not_asked_for(price: int) -> None:
    with pytest.raises(KitestringError) as caught:
        encode_request(LINK, CreateWish(OfferTerms(label="x", price_sats=price)))
    assert caught.value.reason is Reason.AMOUNT_OUT_OF_RANGE


@pytest.mark.parametrize(
    ("members", "reply"),
    [
        ({"details": ROW}, ManageOk((OFFER,))),
        ({"details": [ROW]}, ManageOk((OFFER,))),
        ({"details": [ROW, ROW], "next": "n"}, ManageOk((OFFER, OFFER), "n")),
        ({}, ManageOk()),
        ({"details": None}, ManageOk()),
        ({"details": []}, ManageOk()),
        ({"details": [ROW, 7, {}, {"id": 7}, {"id": ""}]}, ManageOk((OFFER,), "", 4)),
        ({"details": "x"}, ManageOk((), "", 1)),
        ({"details": {"id": "x"}}, ManageOk((ManagedOffer("x", OfferTerms(label="", price_sats=0), ""),))),
        (
            {"details": {**ROW, "price_sats": "12000", "label": "Mug\x1b[2J", "payer_data": {"a": 1}}},
            ManageOk((ManagedOffer("ab" * 16, OfferTerms(label="Mug [2J", price_sats=12_000), "noffer1x"),)),
        ),
    ],
    ids=str,
)
def test_details_are_read_as_an_object_or_a_list_and_what_is_odd_counts_as_absent(
    members: dict[str, Any], reply: ManageOk
) -> None:
    assert decode_reply(json.dumps({"res": "ok", "resource": "offer", **members})) == reply


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"res":"maybe"}', '{"res":"ok","code":1}', '{"res":"ok","error":"x"}', '{"details":[]}']
)
def test_what_is_no_reply_proves_nothing(text: str) -> None:
    with pytest.raises(CodecError):
        decode_reply(text)


@pytest.mark.parametrize(
    ("members", "reason", "wish"),
    [
        ({"code": 1}, Reason.NOT_PERMITTED, ListWish()),
        ({"code": "1"}, Reason.NOT_PERMITTED, GetWish("x")),
        ({"code": 2}, Reason.UNAVAILABLE, ListWish()),
        ({"code": 3, "delta": {"max_delta_ms": 30_000, "actual_delta_ms": 40_000}}, Reason.STALE_REQUEST, ListWish()),
        ({"code": 4, "retry_after": 1_800_000_000}, Reason.RATE_LIMITED, ListWish()),
        ({"code": 4, "retry_after": 30}, Reason.RATE_LIMITED, ListWish()),
        ({"code": 4, "retry_after": 600}, Reason.UNDECIDED, CreateWish(MUG)),
        ({"code": 5, "field": "label"}, Reason.MALFORMED, CreateWish(MUG)),
        ({"code": 6}, Reason.MALFORMED, CreateWish(MUG)),
        ({"code": 6}, Reason.UNKNOWN_TARGET, GetWish("x")),
        ({"code": 6}, Reason.UNKNOWN_TARGET, UpdateWish("x", MUG)),
        ({"code": 77}, Reason.MALFORMED, ListWish()),
        ({"error": "no"}, Reason.MALFORMED, ListWish()),
    ],
    ids=str,
)
def test_every_code_has_its_reason(members: dict[str, Any], reason: Reason, wish: ManageWish) -> None:
    for res in ({"res": "GFY"}, {}):
        reply = decode_reply(json.dumps({**res, "error": "words", **members}))
        assert isinstance(reply, ManageRefusal)
        refused = reply.refused(wish)
        assert (refused.reason, refused.message) == (reason, members.get("error", "words"))


def test_what_a_refusal_names_is_kept() -> None:
    text = {"res": "GFY", "code": 5, "error": "bad", "field": "price_sats", "range": {"min": 0, "max": "9"}}
    reply = decode_reply(json.dumps(text))
    assert isinstance(reply, ManageRefusal)
    assert reply.refused(ListWish()).details == {"code": 5, "field": "price_sats", "range": {"min": 0, "max": 9}}
    stale = decode_reply('{"res":"GFY","code":3,"actual_delta_ms":7}')
    assert isinstance(stale, ManageRefusal)
    assert (stale.is_stale, stale.actual_delta_ms, stale.proves_undone) == (True, 7, True)
    failed = decode_reply('{"res":"GFY","code":2}')
    assert isinstance(failed, ManageRefusal)
    assert not failed.proves_undone


@pytest.mark.parametrize("case", OBSERVED)
def test_every_observed_reply_of_lightning_pub_is_read(case: str) -> None:
    reply, members = decode_reply(OBSERVED[case]), json.loads(OBSERVED[case])
    if members["res"] == "ok":
        assert isinstance(reply, ManageOk)
        details = members.get("details", [])
        rows = details if isinstance(details, list) else [details]
        assert [offer.id for offer in reply.offers] == [row["id"] for row in rows]
        assert (reply.left_out, reply.next) == (0, "")
    else:
        assert isinstance(reply, ManageRefusal)
        assert (reply.code, reply.text, reply.field) == (members["code"], members["error"], members.get("field", ""))


@pytest.mark.parametrize(
    ("case", "wish", "reason"),
    [
        ("second request while the owner has not decided", ListWish(), Reason.UNDECIDED),
        ("get, unknown offer", GetWish("x"), Reason.UNKNOWN_TARGET),
        ("update, unknown offer", UpdateWish("x", MUG), Reason.UNKNOWN_TARGET),
        ("delete, the second time", DeleteWish("x"), Reason.UNKNOWN_TARGET),
        ("get, offer of the owner", GetWish("x"), Reason.NOT_PERMITTED),
        ("create, without a pointer", CreateWish(MUG), Reason.NOT_PERMITTED),
        ("create, label missing", CreateWish(MUG), Reason.MALFORMED),
        ("create, unknown pointer", CreateWish(MUG), Reason.UNAVAILABLE),
    ],
    ids=str,
)
def test_what_lightning_pub_refuses_has_its_reason(case: str, wish: ManageWish, reason: Reason) -> None:
    reply = decode_reply(OBSERVED[case])
    assert isinstance(reply, ManageRefusal)
    assert reply.refused(wish).reason is reason
