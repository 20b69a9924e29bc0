"""Answers and refusals, in words that the caller knows."""

from __future__ import annotations

import pytest

from kitestring.base.errors import TABLE, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Balance, Received, Refused
from kitestring.wire.serve.nwc import WIRE
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE
from tests.kit.wire.nwc import answer, response

NARROW_CODES = {
    "RATE_LIMITED",
    "NOT_IMPLEMENTED",
    "INSUFFICIENT_BALANCE",
    "PAYMENT_FAILED",
    "NOT_FOUND",
    "QUOTA_EXCEEDED",
    "RESTRICTED",
    "UNAUTHORIZED",
    "INTERNAL",
    "OTHER",
}


@pytest.mark.parametrize("reason", Reason)
def test_old_clients_see_only_codes_they_know(reason: Reason) -> None:
    outcome = Refused(reason, details={"max_fee_msat": 1})
    wide, narrow = response("pay_invoice", outcome), response("pay_invoice", outcome, narrow=True)
    if WIRE.codes[reason] is None:
        assert wide is narrow is None
        return
    assert wide == {
        "result_type": "pay_invoice",
        "error": {"code": WIRE.codes[reason], "message": TABLE[reason].sentence},
        "result": None,
    }
    assert narrow["error"]["code"] in NARROW_CODES


def test_a_fee_limit_is_named_only_to_a_caller_who_set_one() -> None:
    assert response("pay_invoice", Refused(Reason.FEE_LIMIT))["error"]["code"] == "PAYMENT_FAILED"
    given_one = Refused(Reason.FEE_LIMIT, details={"max_fee_msat": 0})
    assert response("pay_invoice", given_one)["error"]["code"] == "FEE_LIMIT_EXCEEDED"


def test_a_receipt_is_no_second_response() -> None:
    assert answer("make_invoice", Received(PAYMENT_HASH, Msat(1), PREIMAGE)) is None
    assert answer("no_such_method", Balance(Msat(1))) is None
