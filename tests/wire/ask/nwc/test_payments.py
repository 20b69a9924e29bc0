"""A payment is believed by its preimage, and asked for with what it needs."""

from __future__ import annotations

import json

import pytest

from kitestring.base.commands import (
    Bundle,
)
from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.base.outcomes import (
    Paid,
    Refused,
)
from kitestring.codec.keysend import keysend
from kitestring.wire.ask.nwc.methods import decode_response, encode_request
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE
from tests.kit.wire.asked import KEY, PAY, SEND


def test_a_keysend_is_asked_for_with_its_own_preimage() -> None:
    assert json.loads(encode_request(SEND)) == {
        "method": "pay_keysend",
        "params": {
            "pubkey": KEY, "amount": 5000, "preimage": PREIMAGE, "tlv_records": [{"type": 65536, "value": "00ff"}],
            "max_fee": 0, "metadata": {"tlv_records": [{"type": 65536, "value": "00ff"}]},
        },
    }  # fmt: skip
    bare = json.loads(encode_request(keysend(KEY, Msat(5000), preimage=PREIMAGE)))
    assert bare["params"] == {"pubkey": KEY, "amount": 5000, "preimage": PREIMAGE}


def test_the_preimage_of_a_keysend_is_the_payers_own_and_proves_nothing() -> None:
    beside = json.dumps({"error": {"code": "INTERNAL", "message": "no"}, "result": {"preimage": PREIMAGE}})
    assert decode_response(beside, PAY) == Paid(PAYMENT_HASH, PREIMAGE, Msat(5000), Msat(0))
    assert isinstance(decode_response(beside, SEND), Refused)
    settled = decode_response(json.dumps({"result": {"preimage": PREIMAGE, "fees_paid": 3}}), SEND)
    assert settled == Paid(PAYMENT_HASH, PREIMAGE, Msat(5000), Msat(3))


@pytest.mark.parametrize(
    "result", [{}, {"preimage": ""}, {"preimage": "zz" * 32}, {"preimage": "22" * 32}, {"preimage": None}]
)
def test_a_payment_without_its_true_preimage_is_not_believed(result: object) -> None:
    with pytest.raises(CodecError):
        decode_response(json.dumps({"result_type": "pay_invoice", "result": result}), PAY)


def test_a_preimage_in_capitals_and_missing_fees_are_read() -> None:
    outcome = decode_response(json.dumps({"result": {"preimage": PREIMAGE.upper()}}), PAY)
    assert outcome == Paid(PAYMENT_HASH, PREIMAGE, Msat(5000), Msat(0))


def test_a_payment_with_its_proof_is_paid_whatever_is_written_beside_it() -> None:
    paid = {"preimage": PREIMAGE, "fees_paid": "many"}
    outcome = decode_response(json.dumps({"result": paid, "error": {"code": "INTERNAL"}}), PAY)
    assert outcome == Paid(PAYMENT_HASH, PREIMAGE, Msat(5000), Msat(0))


def test_no_response_answers_several_payments_at_once() -> None:
    with pytest.raises(CodecError, match="one by one"):
        decode_response('{"result_type":"multi_pay_invoice","result":{}}', Bundle(parts=()))
