"""Zap requests are taken whole or not at all, and a receipt says what was asked for, to the byte."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.base.money import sat
from kitestring.nostr import kinds
from kitestring.wire.zaps import MAX_ZAP_CHARS, MAX_ZAP_RELAYS, read_zap_request, zap_receipt
from tests.kit.wire.samples import CLIENT, SERVICE, STRANGER, zap_request

SIGNER = SERVICE.public_hex
NOTE = ["e", "cd" * 32]


def test_a_zap_request_is_read_as_text_url_encoded_and_as_an_object() -> None:
    text = zap_request(["amount", "21000"], NOTE, ["P", SIGNER])
    found = read_zap_request(text, SIGNER)
    assert (found.text, found.recipient, found.amount_msat) == (text, SERVICE.public_hex, sat(21))
    assert read_zap_request(quote(text, safe=""), SIGNER) == read_zap_request(json.loads(text), SIGNER) == found


def test_one_without_an_amount_leaves_it_to_the_request_around_it() -> None:
    assert read_zap_request(zap_request(), SIGNER).amount_msat is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (zap_request(kind=1), "kind 9734"),
        (zap_request(["p", SERVICE.public_hex], ["p", STRANGER.public_hex]), "'p'"),
        (zap_request(["p", "npub1"]), "'p'"),
        (zap_request(["p"]), "'p'"),
        (zap_request(["e", "cd" * 32], ["e", "ce" * 32]), "'e'"),
        (zap_request(["e", "note1"]), "'e'"),
        (zap_request(["a", "30023:x:y"]), "'a'"),
        (zap_request(["a", f"1:{'ab' * 32}:y"], ["a", f"1:{'ab' * 32}:y"]), "'a'"),
        (zap_request(["k", "1"], ["k", "1"]), "'k'"),
        (zap_request(["k", "one"]), "'k'"),
        (zap_request(["P", STRANGER.public_hex]), "another key"),
        (zap_request(["P", SIGNER], ["P", SIGNER]), "'P'"),
        (zap_request(["amount", "21.5"]), "'amount'"),
        (zap_request(["amount", "0"]), "no amount"),
        (zap_request(["amount", "9" * 19]), "no amount"),
        (zap_request(["amount", "21000"], ["amount", "21000"]), "'amount'"),
        (zap_request(relays=()), "no relay"),
        (zap_request(relays=("http://x", "not a relay", "wss://user:pw@x")), "no relay"),
        (zap_request().replace("⚡", "!"), "signature"),
        (zap_request(["x", "y" * MAX_ZAP_CHARS]), "longer"),
        ("{}", "not a Nostr event"),
        ("%7B%7D", "not a Nostr event"),
        ("zap!", "not a Nostr event"),
        (True, "text of an event"),
        (["e"], "text of an event"),
    ],
)
def test_a_zap_request_with_any_fault_is_refused(text: object, why: str) -> None:
    with pytest.raises(CodecError, match=why):
        read_zap_request(text, SIGNER)


def test_the_pubkeys_own_request_without_a_recipient_is_refused() -> None:
    text = zap_request(["p", SERVICE.public_hex]).replace('["p",', '["q",')
    with pytest.raises(CodecError, match="nobody who is zapped"):
        read_zap_request(text, SIGNER)


def test_a_receipt_names_both_sides_repeats_what_was_zapped_and_has_the_text_of_the_request() -> None:
    article = ["a", f"30023:{'ab' * 32}:my article"]
    text = zap_request(NOTE, article, ["k", "30023"], ["lnurl", "lnurl1…"], ["amount", "21000"])
    draft, relays = zap_receipt(text, "lnbcrt210n1…")
    assert (draft.kind, draft.content) == (kinds.ZAP_RECEIPT, "")
    assert draft.tags == [
        ["p", SERVICE.public_hex], ["P", CLIENT.public_hex], NOTE, article, ["k", "30023"],
        ["bolt11", "lnbcrt210n1…"], ["description", text],
    ]  # fmt: skip
    assert relays == ["wss://zaps.example"]


def test_a_receipt_goes_to_each_relay_once_and_to_ten_at_the_most() -> None:
    named = ("wss://a.example", "wss://a.example", "nonsense", *(f"wss://{number}.example" for number in range(20)))
    _, relays = zap_receipt(zap_request(relays=named), "")
    assert relays == ["wss://a.example", *(f"wss://{number}.example" for number in range(MAX_ZAP_RELAYS - 1))]


@given(st.one_of(st.text(), st.dictionaries(st.text(), st.text()), st.lists(st.integers()), st.none(), st.booleans()))
def test_whatever_comes_is_a_zap_request_or_a_codec_error(value: object) -> None:
    with pytest.raises(CodecError):
        read_zap_request(value, SIGNER)
