"""Codes that say that nothing was done are told from those that do not."""

from __future__ import annotations

import pytest

from kitestring.base.errors import Reason
from kitestring.base.outcomes import Refused
from kitestring.wire.ask.nwc.codes import KNOWN, STANDARD, is_final, own_word, read_error
from kitestring.wire.serve.nwc import codes as served


def test_every_code_that_the_service_sends_is_known_to_the_client() -> None:
    assert {code for code in served.CODES.values() if code} | set(served.NARROW_CODES.values()) <= STANDARD.keys()


@pytest.mark.parametrize("code", STANDARD)
def test_a_code_of_the_specification_is_told_as_it_is(code: str) -> None:
    refused = read_error({"code": code, "message": "no"})
    assert refused == Refused(STANDARD[code].reason, "no", {"code": code})
    assert own_word(refused) == code


@pytest.mark.parametrize("code", KNOWN)
def test_a_code_of_single_wallets_keeps_its_meaning_and_its_word(code: str) -> None:
    refused = read_error({"code": code, "message": ""})
    assert refused == Refused(KNOWN[code].reason, code, {"code": "OTHER", "raw_code": code})
    assert own_word(refused) == code
    assert is_final(refused) is KNOWN[code].is_final


@pytest.mark.parametrize(
    "error", [{"code": "OTHER"}, {"code": "INTERNAL"}, {"code": "NOT_FOUND"}, {"code": "NEW"}, "no"]
)
def test_what_may_have_come_after_the_payment_was_sent_is_not_final(error: object) -> None:
    assert not is_final(read_error(error))


@pytest.mark.parametrize("code", ["EXPIRED", "UNAUTHORIZED", "QUOTA_EXCEEDED", "PAYMENT_FAILED", "BAD_REQUEST"])
def test_what_says_that_nothing_was_sent_is_final(code: str) -> None:
    assert is_final(read_error({"code": code}))


@pytest.mark.parametrize("error", [{"code": 7, "message": ["x"]}, {}, 7, True, ["no"]], ids=str)
def test_an_odd_error_is_a_refusal_all_the_same(error: object) -> None:
    assert read_error(error).reason is Reason.MALFORMED
