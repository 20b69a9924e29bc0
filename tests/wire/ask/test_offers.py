from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.commands import AskOffer
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Invoiced, Received, Refused
from kitestring.nostr import kinds
from kitestring.wire.ask.offers import (
    OfferError,
    OfferInvoice,
    OfferReceipt,
    check_invoice,
    decode_reply,
    encode_request,
    fit_payer_data,
    judge_receipt,
    next_step,
)
from kitestring.wire.grammar import Facts
from kitestring.wire.serve.offers import WIRE
from tests.kit import vectors
from tests.kit.changed import replace
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.wire.samples import event, reply_to, transaction

VECTORS = vectors.load("clink_payloads.json")
PUB_RANGE = (10, 4_017_804)
#: Every reply to an offer request that Lightning.Pub 0.0.38 was seen to give.
LIGHTNING_PUB = [
    ('{"bolt11":"lnbcrt1x"}', OfferInvoice("lnbcrt1x")),
    ('{"res":"ok"}', OfferReceipt()),
    ('{"code":1,"error":"Invalid Offer"}', OfferError(1, "Invalid Offer")),
    ('{"code":1,"error":"Offer recipient not found"}', OfferError(1, "Offer recipient not found")),
    ('{"code":2,"error":"Temporary Failure"}', OfferError(2, "Temporary Failure")),
    (
        '{"code":5,"error":"Invalid Amount","range":{"min":10,"max":4017804}}',
        OfferError(5, "Invalid Amount", range_sats=PUB_RANGE),
    ),
    (
        '{"code":1,"error":"Description must be a string of 100 characters or less"}',
        OfferError(1, "Description must be a string of 100 characters or less"),
    ),
    (
        '{"code":1,"error":"Missing or invalid payer_data: email","payer_data":["email"]}',
        OfferError(1, "Missing or invalid payer_data: email", payer_data=("email",)),
    ),
]


@pytest.mark.parametrize("case", VECTORS["offer_reply"], ids=lambda case: case["id"])
def test_every_reply_of_the_vectors_is_read_as_it_says(case: dict[str, Any]) -> None:
    parsed = case["parsed"]
    if parsed["kind"] == "invalid":
        with pytest.raises(CodecError):
            decode_reply(case["payload"])
        return
    reply = decode_reply(case["payload"])
    if parsed["kind"] == "invoice":
        assert reply == OfferInvoice(parsed["bolt11"])
    elif parsed["kind"] == "receipt":
        assert reply == OfferReceipt(parsed.get("preimage", ""))
    else:
        assert isinstance(reply, OfferError)
        assert reply.code == parsed["code"]
        assert reply.range_sats == (tuple(parsed["range"]) if "range" in parsed else None)
        assert reply.latest == parsed.get("latest", "")
        assert reply.payer_data == tuple(parsed.get("payer_data", ()))


@pytest.mark.parametrize(("plaintext", "expected"), LIGHTNING_PUB)
def test_every_observed_reply_of_lightning_pub_is_read(plaintext: str, expected: object) -> None:
    assert decode_reply(plaintext) == expected


def test_retry_times_and_clock_differences_are_read_in_both_forms() -> None:
    absolute = decode_reply(
        '{"code":2,"error":"x","retry_after":1760000600,"delta":{"max_delta_ms":1,"actual_delta_ms":2}}'
    )
    assert absolute == OfferError(2, "x", retry_at=1_760_000_600, max_delta_ms=1, actual_delta_ms=2)
    relative = decode_reply('{"code":2,"error":"x","retry_after":600,"max_delta_ms":"1","actual_delta_ms":2}')
    assert relative == OfferError(2, "x", retry_in_s=600, max_delta_ms=1, actual_delta_ms=2)


def test_refusals_become_reasons_with_the_services_words_capped_and_stripped() -> None:
    assert OfferError(1, "x").refused == Refused(Reason.UNKNOWN_TARGET, "x", {"code": 1})
    assert OfferError(2, "x").refused.reason is Reason.UNAVAILABLE
    assert OfferError(2, "x", retry_in_s=5).refused.reason is Reason.RATE_LIMITED
    assert OfferError(2, "x", actual_delta_ms=5).refused.reason is Reason.STALE_REQUEST
    assert OfferError(1, "x", payer_data=("email",)).refused.reason is Reason.MALFORMED
    assert OfferError(3, "x").refused.reason is Reason.MOVED_OR_EXPIRED_OFFER
    assert OfferError(4, "x").refused.reason is Reason.UNSUPPORTED
    assert OfferError(6, "x").refused.reason is Reason.MALFORMED
    assert OfferError(None, "x").refused.reason is OfferError(99, "x").refused.reason is Reason.NOT_PERMITTED
    assert OfferError(5, "x", range_sats=(1, None)).refused.details["range"] == {"min": 1, "max": None}
    hostile = decode_reply(json.dumps({"code": 77, "error": "\x1b]0;pwned\x07" + "x" * 999, "latest": "a\x00b"}))
    assert hostile == OfferError(77, ("]0;pwned " + "x" * 999)[:200], latest="a b")


def test_the_payer_reads_what_the_service_writes_and_the_other_way_round() -> None:
    for outcome, expected in (
        (Invoiced(transaction(bolt11="lnbcrt1x")), OfferInvoice("lnbcrt1x")),
        (Received(PAYMENT_HASH, Msat(1), PREIMAGE), OfferReceipt(PREIMAGE)),
        (Refused(Reason.UNSUPPORTED, "no zaps"), OfferError(4, "Unsupported Feature: no zaps")),
    ):
        plaintext = WIRE.answer(outcome, reply_to("offers"))
        assert plaintext is not None
        assert decode_reply(plaintext.decode()) == expected
    text = encode_request("tips", amount_sats=21, payer_data={"name": "Bob"}, description="coffee", expires_in_s=600)
    request = WIRE.read(text, event(kinds.OFFER, ["clink_version", "1"]), reply_to("offers"), Facts("regtest")).command
    assert isinstance(request, AskOffer)
    assert (request.offer_id, request.amount_msat, request.payer_data) == ("tips", 21_000, {"name": "Bob"})
    assert (request.description, request.expiry_s) == ("coffee", 600)
    assert encode_request("tips") == '{"offer":"tips"}'


@pytest.mark.parametrize(
    ("told", "words", "sent", "read"),
    [
        ({"note": "from Bob"}, "", "from Bob", {"note": "from Bob"}),
        ({}, "for tea", "for tea", {"note": "for tea"}),
        ({"note": "from Bob"}, "for tea", "from Bob", {"note": "from Bob"}),
        ({"email": "b@x.example", "note": "hi"}, "", {"email": "b@x.example", "note": "hi"}, None),
    ],
)
def test_the_form_of_2024_has_the_old_names_and_a_note_as_one_text(
    told: dict[str, str], words: str, sent: object, read: dict[str, str] | None
) -> None:
    text = encode_request("tips", amount_sats=21, payer_data=told, description=words, version="legacy")
    members = json.loads(text)
    assert (members["amount"], members["amount_sats"], members["payer_data"]) == (21, 21, sent)
    to = replace(reply_to("offers"), version="legacy")
    request = WIRE.read(text, event(kinds.OFFER), to, Facts("regtest")).command
    assert isinstance(request, AskOffer)
    assert (request.amount_msat, request.payer_data) == (21_000, read or told)


def test_nothing_is_told_about_a_payer_who_tells_nothing() -> None:
    assert encode_request("tips", version="legacy") == '{"offer":"tips"}'


def test_payer_data_is_on_one_line() -> None:
    assert fit_payer_data({"name ": "Bob\n\x1b[2K"}) == {"name": "Bob [2K"}


@pytest.mark.parametrize(
    "told",
    [
        {"": "x"},
        {"a": "1", "a ": "2"},
        {"a" * 65: "x"},
        {"a": "x" * 1_001},
        {str(number): "x" for number in range(33)},
        {"a": 7},
        {"a": {"b": "c"}},
    ],
    ids=["no name", "one name twice", "long name", "long text", "many", "number", "nested"],
)
def test_payer_data_that_services_refuse_is_refused_before_it_is_sent(told: dict[str, Any]) -> None:
    with pytest.raises(KitestringError) as caught:
        fit_payer_data(told)
    assert caught.value.reason is Reason.MALFORMED


def test_a_description_is_cut_as_javascript_counts() -> None:
    sent = json.loads(encode_request("tips", description="a" + "🪁" * 80))["description"]
    assert sent == "a" + "🪁" * 49


def test_a_moved_offer_is_followed_once_and_only_to_the_same_service_without_asking() -> None:
    moved = OfferError(3, latest="noffer1x")
    assert next_step(moved, same_service=True, followed=False) == "follow"
    assert next_step(moved, same_service=False, followed=False) == "ask"
    assert next_step(moved, same_service=True, followed=True) == "stop"
    assert next_step(OfferError(3), same_service=True, followed=False) == "stop"
    assert next_step(OfferError(1, latest="noffer1x"), same_service=True, followed=False) == "stop"


def check(text: str, amount_sats: int | None, now: int = NOW) -> str:
    return check_invoice(text, amount_sats=amount_sats, network="regtest", now=now).payment_hash


def test_an_invoice_that_fits_is_taken() -> None:
    assert check(invoice(21_000), 21) == PAYMENT_HASH
    assert check(invoice(21_000), None) == PAYMENT_HASH
    assert check(invoice(None), 21) == PAYMENT_HASH


@pytest.mark.parametrize(
    ("text", "amount_sats", "now", "reason"),
    [
        ("lnbcrt1garbage", 21, NOW, Reason.MALFORMED),
        (invoice(21_000, network="bitcoin"), 21, NOW, Reason.WRONG_NETWORK),
        (invoice(21_000), 21, NOW + 3600, Reason.EXPIRED_INVOICE),
        (invoice(21_000), 21, NOW + 3541, Reason.EXPIRED_INVOICE),
        (invoice(21_001), 21, NOW, Reason.AMOUNT_OUT_OF_RANGE),
        (invoice(20_999), 21, NOW, Reason.AMOUNT_OUT_OF_RANGE),
        (invoice(None), None, NOW, Reason.AMOUNT_OUT_OF_RANGE),
    ],
)
def test_an_invoice_that_does_not_fit_is_not_paid(text: str, amount_sats: int | None, now: int, reason: Reason) -> None:
    with pytest.raises(KitestringError) as caught:
        check(text, amount_sats, now)
    assert caught.value.reason is reason


def test_a_receipt_is_proven_by_its_preimage_alone() -> None:
    assert judge_receipt(OfferReceipt(PREIMAGE), PAYMENT_HASH) == "proven"
    assert judge_receipt(OfferReceipt(), PAYMENT_HASH) == "claimed"
    assert judge_receipt(OfferReceipt("22" * 32), PAYMENT_HASH) == "false"
