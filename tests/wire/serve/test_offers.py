from __future__ import annotations

import json
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.commands import MakeInvoice
from kitestring.base.errors import TABLE, Reason
from kitestring.base.grants import Offer, OfferState
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Balance, Invoiced, Received, Refused
from kitestring.nostr import kinds
from kitestring.nostr.event import sign_event
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.reply_to import Version
from kitestring.wire.serve.offers import (
    OfferRequest,
    decode_request,
    encode_payload,
    error_code,
    price,
    read_version,
    stale,
)
from tests import vectors
from tests.wire.samples import CLIENT, NOW, PAYMENT_HASH, PREIMAGE, transaction

#: The sections debit_request, debit_reply, manage_request and enroll_reply belong to wires that are not served yet.
VECTORS = vectors.load("clink_payloads.json")
CASES: list[tuple[Version, dict[str, Any]]] = [("tagged", case) for case in VECTORS["offer_request"]] + [
    ("legacy", case) for case in VECTORS["nip69_request"]
]
RECEIVABLE = sat(1_000_000)
TIPS = Offer(offer_id="tips", label="Tip jar")
MUG = Offer(offer_id="mug", label="Mug", price_msat=sat(1500))


def as_vector(request: OfferRequest) -> dict[str, Any]:
    members = {
        "offer": request.offer,
        "amount_sats": request.amount_sats,
        "payer_data": request.payer_data,
        "expires_in_seconds": request.expires_in_s,
        "description": request.description,
    }
    return {name: value for name, value in members.items() if value}


@pytest.mark.parametrize(("version", "case"), CASES, ids=[f"{version}-{case['id']}" for version, case in CASES])
def test_every_request_of_the_vectors_is_read_or_refused_as_it_says(version: Version, case: dict[str, Any]) -> None:
    if "code" in case:
        with pytest.raises(WireRefusalError) as caught:
            decode_request(case["payload"], version=version)
        assert error_code(caught.value.reason, version) == case["code"]
    else:
        request = decode_request(case["payload"], version=version)
        assert as_vector(request) == case["parsed"]
        assert request.legacy == (version == "legacy")


@pytest.mark.parametrize(
    "members",
    [
        {"amount_sats": "-1"},
        {"amount_sats": "1.5"},
        {"amount_sats": [1]},
        {"amount_sats": 10**15 * 3},
        {"amount": 1.0},
        {"payer_data": 5},
        {"payer_data": {"k" * 65: "v"}},
        {"payer_data": {"k": "v" * 1001}},
        {"payer_data": {f"k{number}": "v" for number in range(33)}},
        {"payer_data": {"k": ["v"]}},
    ],
)
def test_bad_members_are_malformed(members: dict[str, object]) -> None:
    with pytest.raises(WireRefusalError) as caught:
        decode_request(json.dumps({"offer": "tips", **members}), version="tagged")
    assert caught.value.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("wish", "clamped"), [(-5, 60), ("90", 90), (1.5, None), (True, None), ([], None), ("x", None)]
)
def test_an_odd_expiry_is_never_an_error(wish: object, clamped: int | None) -> None:
    request = decode_request(json.dumps({"offer": "tips", "expires_in_seconds": wish}), version="tagged")
    assert request.expires_in_s == clamped


def test_texts_from_payers_lose_their_control_characters() -> None:
    payload = {"offer": "tips", "payer_data": {"na\x00me": "B\u202eob"}, "description": "x" * 99 + "\x1b\x07yz"}
    request = decode_request(json.dumps(payload), version="tagged")
    assert request.payer_data == {"name": "Bob"}
    assert request.description == "x" * 99 + "y"


@pytest.mark.parametrize(
    ("tags", "accept_legacy", "version"),
    [
        ([["p", "x"], ["clink_version", "1"]], False, "tagged"),
        ([["p", "x"]], True, "legacy"),
        ([["p", "x"]], False, None),
        ([["clink_version", "2"]], True, None),
        ([["clink_version"]], True, None),
    ],
)
def test_the_version_tag_decides_which_protocol_is_spoken(
    tags: list[list[str]], accept_legacy: bool, version: Version | None
) -> None:
    event = sign_event(CLIENT, kind=kinds.OFFER, tags=tags, content="x", created_at=NOW)
    if version is not None:
        assert read_version(event, accept_legacy=accept_legacy) == version
        return
    with pytest.raises(WireRefusalError) as caught:
        read_version(event, accept_legacy=accept_legacy)
    assert caught.value.reason is Reason.UNSUPPORTED_VERSION


# ---------------------------------------------------------------- prices


def refused(offer: Offer | None, request: OfferRequest, receivable: Msat = RECEIVABLE, **options: bool) -> Refused:
    outcome = price(offer, request, receivable, **options)
    assert isinstance(outcome, Refused)
    return outcome


def priced(offer: Offer, request: OfferRequest, receivable: Msat = RECEIVABLE, **options: bool) -> MakeInvoice:
    outcome = price(offer, request, receivable, **options)
    assert isinstance(outcome, MakeInvoice)
    return outcome


def test_a_fixed_offer_costs_its_price_whether_or_not_the_payer_names_it() -> None:
    expected = MakeInvoice(amount_msat=sat(1500), description="Mug", offer_id="mug")
    assert priced(MUG, OfferRequest("mug")) == priced(MUG, OfferRequest("mug", 1500)) == expected
    wrong = refused(MUG, OfferRequest("mug", 1499))
    assert (wrong.reason, wrong.details) == (Reason.AMOUNT_OUT_OF_RANGE, {"range": {"min": 1500, "max": 1500}})
    assert refused(MUG, OfferRequest("mug"), sat(1499)).reason is Reason.UNAVAILABLE


def test_a_price_in_parts_of_a_sat_is_rounded_up() -> None:
    offer = Offer(offer_id="x", label="", price_msat=Msat(1_000_001))
    assert priced(offer, OfferRequest("x", 1001)).amount_msat == sat(1001)


def test_a_spontaneous_offer_takes_what_lies_inside_its_limits_and_can_be_received() -> None:
    offer = Offer(offer_id="tips", label="Tips", min_msat=Msat(1001), max_msat=sat(500))
    request = OfferRequest("tips", 2, description="coffee", expires_in_s=600)
    assert priced(offer, request) == MakeInvoice(
        amount_msat=sat(2), description="coffee", expiry_s=600, offer_id="tips"
    )
    for amount in (None, 1, 501):
        assert refused(offer, OfferRequest("tips", amount)).details == {"range": {"min": 2, "max": 500}}
    assert refused(offer, OfferRequest("tips", 100), Msat(99_999)).details == {"range": {"min": 2, "max": 99}}
    assert refused(offer, OfferRequest("tips", 2), Msat(1999)).reason is Reason.UNAVAILABLE
    assert refused(TIPS, OfferRequest("tips")).details == {"range": {"min": 1, "max": 1_000_000}}


def test_a_caller_of_2024_may_leave_the_amount_to_the_payer_where_the_backend_can() -> None:
    request = OfferRequest("tips", legacy=True)
    assert priced(TIPS, request, amountless=True).amount_msat is None
    assert refused(TIPS, request, amountless=False).reason is Reason.UNSUPPORTED
    assert refused(TIPS, OfferRequest("tips"), amountless=True).reason is Reason.AMOUNT_OUT_OF_RANGE


def test_declared_payer_data_is_demanded_and_the_rest_dropped() -> None:
    offer = Offer(offer_id="tips", label="", payer_data=("email",))
    missing = refused(offer, OfferRequest("tips", 1, {"name": "Bob"}))
    assert missing.details == {"payer_data": ["email"]}
    assert TABLE[missing.reason].offers == 1
    given_both = priced(offer, OfferRequest("tips", 1, {"email": "b@x", "name": "Bob"}))
    assert given_both.payer_data == '{"email":"b@x"}'
    assert priced(TIPS, OfferRequest("tips", 1, {"name": "Bob"})).payer_data == ""
    assert priced(TIPS, OfferRequest("tips", 1, {"note": "from Bob"})).payer_data == '{"note":"from Bob"}'


def test_offers_that_are_not_open_say_so() -> None:
    request = OfferRequest("tips", 1)
    moved = Offer(offer_id="tips", label="", state=OfferState.MOVED, latest="noffer1new")
    assert refused(moved, request) == Refused(
        Reason.MOVED_OR_EXPIRED_OFFER, "this offer has moved", {"latest": "noffer1new"}
    )
    ended = Offer(offer_id="tips", label="", state=OfferState.MOVED)
    assert refused(ended, request).details == {}
    assert refused(None, request) == refused(Offer(offer_id="tips", label="", state=OfferState.DELETED), request)
    assert refused(None, request).reason is Reason.UNKNOWN_TARGET
    assert (
        refused(Offer(offer_id="tips", label="", state=cast("OfferState", "off")), request).reason
        is Reason.NOT_PERMITTED
    )


def test_zaps_are_refused_after_the_amount() -> None:
    assert refused(TIPS, OfferRequest("tips", 1, zap=True)).reason is Reason.UNSUPPORTED
    assert refused(TIPS, OfferRequest("tips", zap=True)).reason is Reason.AMOUNT_OUT_OF_RANGE


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 10**12), st.integers(1, 10**12), st.integers(1, 10**12), st.integers(1, 10**12))
def test_no_invoice_is_made_outside_the_limits(amount: int, low: int, high: int, receivable: int) -> None:
    offer = Offer(offer_id="x", label="", min_msat=Msat(low), max_msat=Msat(high))
    outcome = price(offer, OfferRequest("x", amount), Msat(receivable))
    if isinstance(outcome, MakeInvoice):
        assert outcome.amount_msat == sat(amount)
        assert low <= sat(amount) <= min(high, receivable)
    else:
        assert not low <= sat(amount) <= min(high, receivable)


# ---------------------------------------------------------------- replies


def payload(outcome: Any, version: Version = "tagged") -> Any:
    plaintext = encode_payload(outcome, version)
    return plaintext and plaintext.decode()


def test_replies_and_receipts_are_exact() -> None:
    assert payload(Invoiced(transaction(bolt11="lnbcrt1x"))) == '{"bolt11":"lnbcrt1x"}'
    assert payload(Received(PAYMENT_HASH, Msat(1), PREIMAGE)) == f'{{"res":"ok","preimage":"{PREIMAGE}"}}'
    assert payload(Received(PAYMENT_HASH, Msat(1), "", internal=True)) == '{"res":"ok"}'
    assert payload(Balance(Msat(1))) is None


def test_errors_start_with_the_name_of_their_code_and_show_only_what_belongs_on_the_wire() -> None:
    outcome = Refused(Reason.AMOUNT_OUT_OF_RANGE, "too much", {"range": {"min": 1, "max": 9}, "secret": "x"})
    assert payload(outcome) == '{"res":"GFY","code":5,"error":"Invalid Amount: too much","range":{"min":1,"max":9}}'
    assert len(json.loads(payload(Refused(Reason.MALFORMED, "x" * 500)))["error"]) == 200
    old = json.loads(payload(stale(NOW - 400, NOW, 300)))
    assert old["delta"] == {"max_delta_ms": 300_000, "actual_delta_ms": 400_000}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_an_error_or_documented_silence_and_old_callers_get_no_code_6(reason: Reason) -> None:
    silent = TABLE[reason].offers == 0
    codes_of: dict[Version, range] = {"tagged": range(1, 7), "legacy": range(1, 6)}
    for version, codes in codes_of.items():
        plaintext = encode_payload(Refused(reason), version)
        assert (plaintext is None) == silent
        assert silent or json.loads(plaintext or b"")["code"] in codes
