"""Which offers documents name: every form that is in use, the newest name first."""

from __future__ import annotations

import json

import pytest

from kitestring.base.errors import CodecError
from kitestring.codec import pointers
from kitestring.codec.pointers import Noffer
from kitestring.wire.ask.hints import MAX_DOCUMENT_BYTES, Hints, read_lnurlp, read_nostr_json, read_profile
from tests.kit.client.hostile import ndebit, noffer

OFFERS = {name: noffer("wss://relay.example.com", name) for name in ("one", "two", "three", "four")}
CODES = {name: pointers.encode(offer) for name, offer in OFFERS.items()}
DEBIT = pointers.encode(ndebit("wss://relay.example.com"))


def of_name(document: object, name: str = "bob") -> Noffer | None:
    return read_nostr_json(json.dumps(document), name).offer


def test_nostr_json_names_offers_by_name_or_as_one_text() -> None:
    assert of_name({"names": {}, "clink_offer": {"bob": CODES["one"], "eve": CODES["two"]}}) == OFFERS["one"]
    assert of_name({"clink_offer": {"Bob": CODES["one"]}}) == OFFERS["one"]
    assert of_name({"clink_offer": CODES["one"]}) == OFFERS["one"]
    assert of_name({"nip69": {"bob": CODES["two"]}}) == of_name({"nip69": CODES["two"]}) == OFFERS["two"]
    assert of_name({"clink_offer": {"bob": CODES["one"]}, "nip69": {"bob": CODES["two"]}}) == OFFERS["one"]


@pytest.mark.parametrize(
    "value", [None, 7, "", "gibberish", DEBIT, [CODES["one"]], {"eve": CODES["one"]}, {"bob": 7}, {"bob": DEBIT}]
)
def test_what_names_no_offer_of_that_name_is_passed_over_for_the_next(value: object) -> None:
    assert of_name({"clink_offer": value}) is None
    assert of_name({"clink_offer": value, "nip69": CODES["two"]}) == OFFERS["two"]


def test_an_lnurl_reply_hints_at_an_offer_and_says_whether_it_takes_payments_itself() -> None:
    reply = {"tag": "payRequest", "noffer": CODES["three"]}
    assert read_lnurlp(json.dumps(reply)) == Hints(OFFERS["three"], takes_lnurl=True)
    assert read_lnurlp(json.dumps({**reply, "nip69": CODES["two"]})).offer == OFFERS["two"]
    assert read_lnurlp(json.dumps({**reply, "nip69": CODES["two"], "clink_offer": CODES["one"]})).offer == OFFERS["one"]
    assert read_lnurlp('{"status":"ERROR","reason":"no such user"}') == Hints()


def test_a_profile_names_an_offer_by_the_newest_of_four_names() -> None:
    names = ("clink_offer", "nip69", "noffer", "offer")
    profile = dict(zip(names, CODES.values(), strict=True))
    for name, offer in zip(names, OFFERS.values(), strict=True):
        assert read_profile(json.dumps(profile)).offer == offer
        del profile[name]
    assert read_profile('{"name":"Bob","lud16":"bob@pay.example\\n"}') == Hints(lud16="bob@pay.example")


@pytest.mark.parametrize("text", ["", "<html>", "[]", "7", '{"a":', "{" * 40, " " * (MAX_DOCUMENT_BYTES + 1)])
def test_what_is_no_document_is_said_to_be_none(text: str) -> None:
    for read in (read_lnurlp, read_profile, lambda one: read_nostr_json(one, "bob")):
        with pytest.raises(CodecError):
            read(text)
