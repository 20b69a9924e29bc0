"""A record that is found by any of its names, and told with what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.commands import LookupPayment
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Direction, Found, Refused, TransactionState
from kitestring.nostr import kinds
from kitestring.wire.grammar import Facts
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.serve.nwc import WIRE
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.wire.samples import event, reply_to, transaction

TO = reply_to("nwc")
BILL = invoice()


def read(params: Any) -> Any:
    text = json.dumps({"method": "lookup_payment", "params": params})
    return WIRE.read(text, event(kinds.NWC_REQUEST), TO, Facts("regtest")).command


@pytest.mark.parametrize(
    ("params", "direction"),
    [
        ({"payment_hash": PAYMENT_HASH.upper()}, ""),
        ({"invoice": BILL}, ""),
        ({"invoice": BILL, "payment_hash": PAYMENT_HASH}, ""),
        ({"payment_type": "bolt11", "lookup": {"payment_hash": PAYMENT_HASH}}, ""),
        ({"payment_type": "bolt11", "lookup": {"invoice": BILL}}, ""),
        ({"transaction_id": f"outgoing:{PAYMENT_HASH}"}, "outgoing"),
        ({"transaction_id": f"incoming:{PAYMENT_HASH}"}, "incoming"),
    ],
)
def test_a_payment_is_named_in_one_of_three_ways(params: Any, direction: str) -> None:
    assert read(params) == LookupPayment(payment_hash=PAYMENT_HASH, direction=direction)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "BAD_REQUEST"),
        ({"payment_hash": PAYMENT_HASH, "transaction_id": f"incoming:{PAYMENT_HASH}"}, "BAD_REQUEST"),
        ({"payment_hash": PAYMENT_HASH, "payment_type": "bolt11", "lookup": {}}, "BAD_REQUEST"),
        ({"payment_type": "bolt11"}, "BAD_REQUEST"),
        ({"payment_type": "bolt11", "lookup": {"payment_hash": "ab"}}, "BAD_REQUEST"),
        ({"payment_hash": "ab" * 32, "invoice": BILL}, "BAD_REQUEST"),
        ({"payment_type": "ark", "lookup": {}}, "UNSUPPORTED_PAYMENT_TYPE"),
        ({"transaction_id": "t1"}, "NOT_FOUND"),
        ({"transaction_id": "incoming:ab"}, "BAD_REQUEST"),
    ],
)
def test_what_names_none_or_several_is_refused_in_the_words_of_the_draft(params: Any, code: str) -> None:
    with pytest.raises(WireRefusalError) as caught:
        read(params)
    said = json.loads(WIRE.answer(caught.value.refused, caught.value.to) or b"")
    assert said["error"]["code"] == code


def test_two_records_of_one_hash_are_refused_as_such() -> None:
    refused = Refused(Reason.AMBIGUOUS_LOOKUP)
    said = json.loads(WIRE.answer(refused, TO.named("lookup_payment")) or b"")
    assert said["error"]["code"] == "MULTIPLE_MATCHES"


def result(**changes: Any) -> Any:
    answer = WIRE.answer(Found(transaction(**changes)), TO.named("lookup_payment"))
    return json.loads(answer or b"")["result"]


def test_a_settled_payment_is_told_with_its_proof_and_an_open_one_without() -> None:
    record = {
        "type": Direction.OUTGOING, "payment_hash": PAYMENT_HASH, "bolt11": BILL, "amount_msat": Msat(21_000),
        "fee_msat": Msat(3), "preimage": PREIMAGE, "created_at": 1, "settled_at": 2, "expires_at": 3,
        "description": "tea", "description_hash": "", "metadata": '{"a":1}',
    }  # fmt: skip
    assert result(**record, state=TransactionState.SETTLED) == {
        "transaction_id": f"outgoing:{PAYMENT_HASH}", "type": "outgoing", "state": "settled",
        "payment_type": "bolt11", "amount": 21_000, "created_at": 1, "fees_paid": 3, "expires_at": 3, "settled_at": 2,
        "metadata": {"a": 1},
        "details": {"payment_hash": PAYMENT_HASH, "invoice": BILL, "preimage": PREIMAGE, "description": "tea"},
    }  # fmt: skip
    assert "preimage" not in result(**record, state=TransactionState.PENDING)["details"]
    keysend = result(**(record | {"bolt11": "", "metadata": "", "settled_at": None}), state=TransactionState.FAILED)
    assert (keysend["payment_type"], "metadata" in keysend, "settled_at" in keysend) == ("keysend", False, False)
