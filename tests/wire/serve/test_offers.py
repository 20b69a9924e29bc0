from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from kitestring.base.commands import AskOffer
from kitestring.base.errors import Reason
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Balance, Invoiced, Outcome, Received, Refused
from kitestring.base.zaps import ZapRequest
from kitestring.nostr import kinds
from kitestring.wire.grammar import Asked, Facts
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.reply_to import Version
from kitestring.wire.serve.offers import WIRE
from tests.kit import vectors
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE
from tests.kit.wire.samples import SERVICE, event, reply_to, transaction, zap_request

#: The sections debit_reply, manage_request and enroll_reply belong to what is not served yet.
VECTORS = vectors.load("clink_payloads.json")
CASES: list[tuple[Version, dict[str, Any]]] = [("tagged", case) for case in VECTORS["offer_request"]] + [
    ("legacy", case) for case in VECTORS["nip69_request"]
]


TO = reply_to("offers")


def read(payload: str, *tags: list[str], accept_legacy: bool = True) -> Asked:
    return WIRE.read(payload, event(kinds.OFFER, *tags), TO, Facts("regtest", accept_legacy))


def ask(members: Any) -> Any:
    return read(json.dumps(members), ["clink_version", "1"]).command


def test_a_zap_request_comes_along_as_it_was_received_in_each_of_its_forms() -> None:
    text = zap_request(["amount", "21000"])
    for form in (text, quote(text, safe=""), json.loads(text)):
        assert ask({"offer": "zap", "amount_sats": 21, "zap": form}).zap == ZapRequest(
            text, SERVICE.public_hex, sat(21)
        )
    for nothing in (None, "", False):
        assert ask({"offer": "zap", "zap": nothing}).zap is None


@pytest.mark.parametrize("zap", ["{}", True, [], 7, zap_request(kind=1), zap_request(["P", "ab" * 32])])
def test_a_request_with_a_zap_request_that_is_none_is_malformed(zap: object) -> None:
    assert refusal(json.dumps({"offer": "x", "zap": zap}), ["clink_version", "1"]).refused.reason is Reason.MALFORMED


def test_the_hash_of_a_description_that_stands_elsewhere_is_taken_whole_or_refused() -> None:
    assert ask({"offer": "x", "description_hash": "cd" * 32}).description_hash == "cd" * 32
    for wrong in ("CD" * 32, "cd", 7, ""):
        told = refusal(json.dumps({"offer": "x", "description_hash": wrong}), ["clink_version", "1"])
        assert told.refused.reason is Reason.MALFORMED


def refusal(payload: str, *tags: list[str], accept_legacy: bool = True) -> WireRefusalError:
    with pytest.raises(WireRefusalError) as caught:
        read(payload, *tags, accept_legacy=accept_legacy)
    return caught.value


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
    tags = [["clink_version", "1"]] if version == "tagged" else []
    if "code" in case:
        refused = refusal(case["payload"], *tags)
        assert json.loads(WIRE.answer(refused.refused, refused.to) or b"")["code"] == case["code"]
        return
    asked = read(case["payload"], *tags)
    assert isinstance(asked.command, AskOffer)
    assert as_vector(asked.command) == {"expires_in_seconds": 3600} | case["parsed"]
    assert asked.command.amountless == (version == "legacy")
    assert (asked.to.version, asked.target) == (version, asked.command.offer_id)


@pytest.mark.parametrize(
    "members",
    [
        {"amount_sats": "-1"},
        {"amount_sats": "1.5"},
        {"amount_sats": [1]},
        {"amount_sats": 10**15 * 3},
        {"amount": 1.0},
        {"payer_data": 5},
        {"payer_data": ["name"]},
        {"payer_data": {"k" * 65: "v"}},
        {"payer_data": {"k": "v" * 1001}},
        {"payer_data": {f"k{number}": "v" for number in range(33)}},
        {"payer_data": {"k": ["v"]}},
    ],
)
def test_bad_members_are_malformed(members: dict[str, object]) -> None:
    caught = refusal(json.dumps({"offer": "tips", **members}), ["clink_version", "1"])
    assert caught.refused.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("wish", "clamped"), [(-5, 60), ("90", 90), (1.5, 3600), (True, 3600), ([], 3600), ("x", 3600)]
)
def test_an_odd_expiry_is_never_an_error(wish: object, clamped: int) -> None:
    assert ask({"offer": "tips", "expires_in_seconds": wish}).expiry_s == clamped


@pytest.mark.parametrize("nothing", [None, "", [], {}])
def test_payer_data_without_members_may_be_written_in_many_ways(nothing: object) -> None:
    assert ask({"offer": "tips", "payer_data": nothing}).payer_data == {}


def test_texts_from_payers_lose_their_control_characters() -> None:
    payload = {"offer": "tips", "payer_data": {"na\u200eme": "B\u202eob\nII"}, "description": "x" * 98 + "\x1b\x07yz"}
    request = ask(payload)
    assert request.payer_data == {"name": "Bob II"}
    assert request.description == "x" * 98 + " y"


@pytest.mark.parametrize(
    ("tags", "accept_legacy", "version"),
    [
        ([["clink_version", "1"]], False, "tagged"),
        ([], True, "legacy"),
        ([], False, None),
        ([["clink_version", "2"]], True, None),
        ([["clink_version"]], True, None),
    ],
)
def test_the_version_tag_decides_which_protocol_is_spoken(
    tags: list[list[str]], accept_legacy: bool, version: Version | None
) -> None:
    if version is not None:
        assert read('{"offer":"tips"}', *tags, accept_legacy=accept_legacy).to.version == version
        return
    refused = refusal('{"offer":"tips"}', *tags, accept_legacy=accept_legacy)
    assert refused.refused.reason is Reason.UNSUPPORTED_VERSION


# ---------------------------------------------------------------- replies


def payload(outcome: Outcome, version: Version = "tagged") -> Any:
    plaintext = WIRE.answer(outcome, msgspec.structs.replace(TO, version=version))
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
    delta = {"max_delta_ms": 300_000, "actual_delta_ms": 400_000}
    old = json.loads(payload(Refused(Reason.STALE_REQUEST, details={"delta": delta})))
    assert (old["code"], old["delta"]) == (2, delta)


@pytest.mark.parametrize("reason", Reason)
def test_callers_of_2024_get_no_code_6(reason: Reason) -> None:
    new, old = payload(Refused(reason)), payload(Refused(reason), "legacy")
    if WIRE.codes[reason] is None:
        assert new is old is None
        return
    assert json.loads(new)["code"] == WIRE.codes[reason]
    assert json.loads(old)["code"] == (1 if WIRE.codes[reason] == 6 else WIRE.codes[reason])
