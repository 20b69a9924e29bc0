"""CLINK Enroll, the other side: which answers are read, and what they ask for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.errors import CodecError, Reason
from kitestring.wire.ask.enroll import REQUEST, EnrollOk, EnrollRefusal, decode_reply
from tests.kit import vectors

CASES = vectors.load("clink_payloads.json")["enroll_reply"]
OK = json.loads(next(case["payload"] for case in CASES if case["id"] == "ok"))


def refusal(**members: Any) -> EnrollRefusal:
    found = decode_reply(json.dumps({"res": "GFY", "error": "no"} | members))
    assert isinstance(found, EnrollRefusal)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_what_the_vectors_read_is_read_in_the_same_way(case: dict[str, Any]) -> None:
    parsed, found = case["parsed"], decode_reply(case["payload"])
    assert isinstance(found, EnrollOk) is parsed["ok"]
    if isinstance(found, EnrollOk):
        assert found == EnrollOk(OK["noffer"], OK["ndebit"], OK["nmanage"])
        return
    assert (found.code, found.mine_bits) == (parsed["code"], parsed.get("mine_bits"))
    assert found.retry_at == parsed.get("retry_at")


def test_an_object_is_asked_with() -> None:
    assert json.loads(REQUEST) == {}


def test_codes_that_are_not_given_are_absent_and_one_of_them_is_enough() -> None:
    assert decode_reply(json.dumps({"res": "ok", "noffer": OK["noffer"]})) == EnrollOk(OK["noffer"], "", "")


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"res": "ok"},
        {"res": "ok", "noffer": ""},
        {"pointer": "acct-1"},
        {"res": "ok", "noffer": "noffer1x"},
        {"res": "ok", "noffer": OK["ndebit"]},
        {"res": "ok", "noffer": 7},
        OK | {"code": 5},
        OK | {"res": "GFY"},
        {"res": "ok", "code": 1},
    ],
)
def test_what_is_no_answer_or_two_at_once_does_not_count(members: dict[str, Any]) -> None:
    with pytest.raises(CodecError):
        decode_reply(json.dumps(members))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '"ok"'])
def test_what_is_no_object_does_not_count(text: str) -> None:
    with pytest.raises(CodecError):
        decode_reply(text)


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"),
    [
        (1, Reason.NOT_PERMITTED, 5),
        (2, Reason.UNAVAILABLE, 4),
        (3, Reason.STALE_REQUEST, 2),
        (4, Reason.RATE_LIMITED, 6),
        (5, Reason.INSUFFICIENT_POW, 6),
        (6, Reason.MALFORMED, 2),
        (77, Reason.MALFORMED, 2),
        ("5", Reason.INSUFFICIENT_POW, 6),
    ],
)
def test_a_code_has_a_reason(code: object, reason: Reason, exit_code: int) -> None:
    from kitestring.base.errors import TABLE

    assert refusal(code=code).refused.reason is reason
    assert TABLE[reason].exit == exit_code


def test_work_is_asked_for_with_code_5_and_by_early_services_with_code_4() -> None:
    assert refusal(code=5, required_difficulty=18).mine_bits == 18
    assert refusal(code=5, required_difficulty="18").mine_bits == 18
    early = refusal(code=4, required_difficulty=20)
    assert (early.code, early.mine_bits, early.refused.reason) == (5, 20, Reason.INSUFFICIENT_POW)
    assert refusal(code=1, required_difficulty=18).mine_bits is None
    assert refusal(code=5).mine_bits is None
    assert refusal(code=5, required_difficulty=0).mine_bits is None


def test_more_than_24_bits_are_told_and_not_mined() -> None:
    found = refusal(code=5, required_difficulty=25)
    assert (found.asked_bits, found.mine_bits) == (25, None)
    assert found.refused.details == {"code": 5, "required_difficulty": 25}


def test_a_time_to_come_again_is_a_date_or_seconds() -> None:
    assert refusal(code=4, retry_after=1_760_000_600).retry_at == 1_760_000_600
    assert refusal(code=4, retry_after=600).retry_in_s == 600


def test_the_words_of_a_refusal_are_cut_and_cleaned() -> None:
    found = refusal(code=1, error="no\x1b[2J" + "x" * 1_000)
    assert "\x1b" not in found.text
    assert len(found.text) <= 200
    assert refusal(code=3, delta={"actual_delta_ms": 121_000}).actual_delta_ms == 121_000
    assert refusal(code=3, actual_delta_ms=121_000).is_stale
