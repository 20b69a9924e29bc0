from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.commands import AskOffer
from kitestring.base.errors import TABLE, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Balance, Invoiced, Received, Refused
from kitestring.nostr import kinds
from kitestring.nostr.event import sign_event
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.reply_to import Version
from kitestring.wire.serve.offers import (
    decode_request,
    encode_payload,
    error_code,
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


def as_vector(ask: AskOffer) -> dict[str, Any]:
    members = {
        "offer": ask.offer_id,
        "amount_sats": None if ask.amount_msat is None else ask.amount_msat.sats_up(),
        "payer_data": ask.payer_data,
        "expires_in_seconds": ask.expiry_s,
        "description": ask.description,
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
        assert as_vector(request) == {"expires_in_seconds": 3600} | case["parsed"]
        assert request.amountless == (version == "legacy")


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
    ("wish", "clamped"), [(-5, 60), ("90", 90), (1.5, 3600), (True, 3600), ([], 3600), ("x", 3600)]
)
def test_an_odd_expiry_is_never_an_error(wish: object, clamped: int) -> None:
    request = decode_request(json.dumps({"offer": "tips", "expires_in_seconds": wish}), version="tagged")
    assert request.expiry_s == clamped


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
