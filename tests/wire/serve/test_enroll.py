"""CLINK Enroll on the wire: what is asked, how much work it proves, and the exact answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.commands import Enroll
from kitestring.base.errors import Reason
from kitestring.base.outcomes import Enrolled, Granted, Received, Refused
from kitestring.codec import pointers
from kitestring.codec.pointers import Ndebit, Nmanage, Noffer, PriceType
from kitestring.nostr import kinds
from kitestring.nostr.work import find_nonce
from kitestring.wire.grammar import Asked, Facts
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.serve.enroll import WIRE
from tests.kit import vectors
from tests.kit.changed import replace
from tests.kit.wire.samples import event, reply_to

VERSION = ["clink_version", "1"]
TO = reply_to("enroll")
SERVICE = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
CODES = Enrolled(SERVICE, "0f" * 16, ("wss://relay.example",), "d0" * 16, ("wss://relay.example",))


def asked(payload: object = "{}", *tags: list[str], event_id: str = "") -> Asked:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    made = event(kinds.ENROLL, *(tags or (VERSION,)))
    return WIRE.read(text, replace(made, id=event_id) if event_id else made, TO, Facts("regtest"))


def refusal(payload: object, *tags: list[str]) -> Refused:
    with pytest.raises(WireRefusalError) as caught:
        asked(payload, *tags)
    return caught.value.refused


def told(reason: Reason, **details: Any) -> Any:
    return json.loads(WIRE.answer(Refused(reason, "no", details), TO) or b"null")


@pytest.mark.parametrize("payload", [{}, {"name": "Bob", "work": [1]}, {"": None}])
def test_any_object_asks_for_an_account_whatever_is_in_it(payload: object) -> None:
    assert asked(payload) == Asked(Enroll(), TO)


@pytest.mark.parametrize("text", ["", "[]", '"{}"', "null", "7", "{}{}", '{"a":1,"a":2}', "{"])
def test_what_is_no_object_is_an_invalid_request(text: str) -> None:
    assert refusal(text).reason is Reason.MALFORMED
    assert told(Reason.MALFORMED) == {"res": "GFY", "code": 6, "error": "Invalid Request: no"}


@pytest.mark.parametrize("tags", [[["x", "1"]], [["clink_version", "2"]], [["clink_version"]]])
def test_a_request_without_version_1_is_invalid(tags: list[list[str]]) -> None:
    assert refusal("{}", *tags).reason is Reason.UNSUPPORTED_VERSION
    assert told(Reason.UNSUPPORTED_VERSION)["code"] == 6


@pytest.mark.parametrize("case", vectors.load("nip13.json")["committed_target"], ids=lambda case: case.get("why", "ok"))
def test_the_work_of_a_request_is_the_target_that_was_committed_to_and_reached(case: dict[str, Any]) -> None:
    tags = [VERSION, *([case["nonce_tag"]] if case["nonce_tag"] else [])]
    command = asked("{}", *tags, event_id=case["id"]).command
    assert isinstance(command, Enroll)
    assert (command.work_bits >= case["required"]) is case["accept"]


def test_work_that_was_done_is_found_again() -> None:
    made = event(kinds.ENROLL, VERSION)
    nonce = find_nonce(made.pubkey, made.created_at, made.kind, made.tags, made.content, 8)
    assert nonce[2] == "8"


def test_the_answer_is_three_codes_of_one_account() -> None:
    reply = json.loads(WIRE.answer(CODES, TO) or b"")
    assert list(reply) == ["res", "noffer", "ndebit", "nmanage"]
    assert reply["res"] == "ok"
    relays = ("wss://relay.example",)
    assert pointers.decode(reply["noffer"]) == Noffer(SERVICE, relays, "0f" * 16, PriceType.SPONTANEOUS)
    assert pointers.decode(reply["ndebit"]) == Ndebit(SERVICE, relays, "d0" * 16)
    assert pointers.decode(reply["nmanage"]) == Nmanage(SERVICE, relays, "d0" * 16)
    assert WIRE.answer(CODES, TO) == WIRE.answer(CODES, TO)


def test_other_outcomes_are_not_told() -> None:
    assert WIRE.answer(Granted(), TO) is None
    assert WIRE.answer(Received("", 1, ""), TO) is None  # type: ignore[arg-type]  # whatever it is


@pytest.mark.parametrize(
    ("reason", "code", "member"),
    [
        (Reason.NOT_PERMITTED, 1, None),
        (Reason.UNAVAILABLE, 2, None),
        (Reason.INTERNAL, 2, None),
        (Reason.STALE_REQUEST, 3, "delta"),
        (Reason.RATE_LIMITED, 4, "retry_after"),
        (Reason.INSUFFICIENT_POW, 5, "required_difficulty"),
        (Reason.UNSUPPORTED, 6, None),
    ],
)
def test_every_code_is_told_with_its_member_and_no_other(reason: Reason, code: int, member: str | None) -> None:
    reply = told(reason, delta={"max_delta_ms": 1}, retry_after=7, required_difficulty=18, remaining_msat=3)
    assert reply["code"] == code
    assert set(reply) - {"res", "code", "error"} == ({member} if member else set())


def test_required_difficulty_stands_with_no_other_code_because_early_clients_mine_then() -> None:
    assert "required_difficulty" not in told(Reason.RATE_LIMITED, required_difficulty=18)
