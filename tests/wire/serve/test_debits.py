from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Paid, Received, Refused
from kitestring.nostr import kinds
from kitestring.wire.grammar import Facts
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.serve.debits import WIRE
from tests.kit import vectors
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.wire.samples import event, reply_to

VECTORS = vectors.load("clink_payloads.json")["debit_request"]
VERSION = ["clink_version", "1"]
TO = reply_to("debits")


def refusal(payload: str, *tags: list[str], network: str = "regtest") -> Refused:
    with pytest.raises(WireRefusalError) as caught:
        WIRE.read(payload, event(kinds.DEBIT, *(tags or (VERSION,))), TO, Facts(network))
    assert caught.value.to == TO
    return caught.value.refused


def reply(payload: str, *tags: list[str], network: str = "regtest") -> Any:
    return json.loads(WIRE.answer(refusal(payload, *tags, network=network), TO) or b"")


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["id"])
def test_what_the_vectors_read_is_denied_and_what_they_refuse_has_their_code(case: dict[str, Any]) -> None:
    answer = reply(case["payload"], network="bitcoin")
    assert (answer["res"], answer["code"]) == ("GFY", case.get("code", 1))


def test_the_answer_to_a_well_formed_request_is_exact() -> None:
    assert WIRE.answer(refusal('{"amount_sats":21}'), TO) == (
        b'{"res":"GFY","code":1,"error":"Request Denied: nobody may debit this service"}'
    )


@pytest.mark.parametrize(
    "members",
    [
        {"amount_sats": -1},
        {"amount_sats": 1.0},
        {"amount_sats": True},
        {"amount_sats": "0"},
        {"amount_sats": 3 * 10**15},
        {"pointer": "x" * 256},
        {"description": 7},
        {"k1": "ab" * 32},
        {"k1": 5, "bolt11": invoice(1000)},
        {"bolt11": 5},
        {"bolt11": invoice(1000)[:-1] + "q"},
        {"bolt11": invoice(None)},
        {"bolt11": invoice(1000, network="signet")},
        {"amount_sats": 5, "frequency": "monthly"},
        {"amount_sats": 5, "frequency": {"unit": "day"}},
        {"amount_sats": 5, "frequency": {"number": True, "unit": "day"}},
        {"amount_sats": 5, "frequency": {"number": 1, "unit": ["day"]}},
    ],
)
def test_bad_members_are_an_invalid_request(members: dict[str, object]) -> None:
    answer = reply(json.dumps(members))
    assert answer["code"] == 6
    assert answer["error"].startswith("Invalid Request: ")


@pytest.mark.parametrize(
    "members",
    [
        {"amount_sats": "21", "description": "order 17", "new": [1]},
        {"pointer": None, "amount_sats": None, "bolt11": None},
        {"bolt11": invoice(1500), "amount_sats": 1},
        {"bolt11": invoice(1500), "amount_sats": 2},
        {"bolt11": invoice(500), "amount_sats": 1},
        {"bolt11": f"lightning:{invoice(1000).upper()}", "k1": "0f" * 32, "pointer": "till"},
    ],
)
def test_everything_that_peers_send_is_denied(members: dict[str, object]) -> None:
    assert reply(json.dumps(members))["code"] == 1


def test_another_amount_than_that_of_the_invoice_is_told_the_right_one() -> None:
    answer = reply(json.dumps({"bolt11": invoice(1500), "amount_sats": 3}))
    assert (answer["code"], answer["range"]) == (5, {"min": 1, "max": 2})


@pytest.mark.parametrize("tags", [[["x"]], [["clink_version", "2"]], [["clink_version"]]], ids=str)
def test_a_request_without_version_1_is_invalid_also_where_offers_of_2024_are_served(tags: list[list[str]]) -> None:
    assert reply('{"amount_sats":21}', *tags)["code"] == 6


def test_a_request_of_another_time_is_told_by_how_much() -> None:
    delta = {"max_delta_ms": 30_000, "actual_delta_ms": 41_000}
    answer = json.loads(WIRE.answer(Refused(Reason.STALE_REQUEST, details={"delta": delta}), TO) or b"")
    assert (answer["code"], answer["delta"]) == (3, delta)


def test_nothing_is_paid_so_nothing_is_told_of_a_payment() -> None:
    assert WIRE.answer(Paid(PAYMENT_HASH, PREIMAGE, Msat(1), Msat(0)), TO) is None
    assert WIRE.answer(Received(PAYMENT_HASH, Msat(1), PREIMAGE), TO) is None
