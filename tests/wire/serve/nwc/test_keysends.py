"""A payment to a key, with records."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.destinations import Keysend
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Paid
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE
from tests.kit.wire.nwc import KEY, decode, refusal, request, response


def test_a_keysend_is_read_with_its_records_its_words_and_its_metadata() -> None:
    records = [{"type": 34_349_334, "value": b"thank\nyou".hex()}, {"type": "65536", "value": "00FF"}]
    params = {"pubkey": KEY.upper(), "amount": 21_000, "tlv_records": records, "max_fee": 7, "metadata": {"a": 1}}
    command = decode("pay_keysend", params)
    assert command.destination == Keysend(KEY, "", ((65_536, "00ff"), (34_349_334, b"thank\nyou".hex())))
    assert (command.payment_hash, command.amount_msat, command.max_fee_msat) == ("", 21_000, 7)
    assert command.description == "thank you"
    assert json.loads(command.metadata) == {
        "a": 1,
        "tlv_records": [{"type": 65_536, "value": "00ff"}, {"type": 34_349_334, "value": b"thank\nyou".hex()}],
    }


def test_a_keysend_may_bring_its_preimage_and_then_has_its_hash() -> None:
    command = decode("pay_keysend", {"pubkey": KEY, "amount": 1, "preimage": PREIMAGE.upper()})
    assert (command.destination, command.payment_hash) == (Keysend(KEY, PREIMAGE), PAYMENT_HASH)
    assert decode("pay_keysend", {"pubkey": KEY, "amount": 1, "preimage": ""}).payment_hash == ""


def test_metadata_that_is_too_long_with_the_records_is_kept_without_them() -> None:
    records, metadata = [{"type": 65_536, "value": "00" * 1_000}], {"comment": "x" * 3_000}
    command = decode("pay_keysend", {"pubkey": KEY, "amount": 1, "tlv_records": records, "metadata": metadata})
    assert json.loads(command.metadata) == metadata


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": None}, {"amount": 0}, {"amount": 1.5}, {"pubkey": None}, {"pubkey": KEY[2:]},
        {"pubkey": "05" + KEY[2:]}, {"preimage": "ab"}, {"tlv_records": "x"}, {"tlv_records": {}}, {"max_fee": -1},
    ],
)  # fmt: skip
def test_a_keysend_of_another_form_is_refused(wrong: dict[str, Any]) -> None:
    params = {"pubkey": KEY, "amount": 1_000} | wrong
    assert refusal(request("pay_keysend", params)).refused.reason is Reason.MALFORMED


def test_a_keysend_is_answered_as_a_payment_is() -> None:
    paid = Paid(PAYMENT_HASH, PREIMAGE, Msat(1_000), Msat(3))
    assert response("pay_keysend", paid)["result"] == {"preimage": PREIMAGE, "fees_paid": 3}
