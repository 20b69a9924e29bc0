"""A record of a payment is evidence as far as it can be read."""

from __future__ import annotations

import json

import pytest

from kitestring.base.errors import CodecError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import (
    Refused,
)
from kitestring.base.payments import Failed, InFlight, NeverSeen, Settled, Unknown
from kitestring.wire.ask.nwc.records import decode_record
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE
from tests.kit.wire.asked import ROW


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        ("settled", Settled(PREIMAGE, Msat(7))),
        ("pending", InFlight()),
        ("failed", Failed("its record says failed", attempt_at=NOW)),
        (None, InFlight()),
    ],
)
def test_of_a_record_of_a_keysend_the_state_alone_counts(state: str | None, answer: object) -> None:
    record = {"type": "outgoing", "state": state, "preimage": PREIMAGE, "fees_paid": 7, "created_at": NOW}
    text = json.dumps({"result": record})
    assert decode_record(text, PAYMENT_HASH, NOW, is_keysend=True) == answer
    assert decode_record(text, PAYMENT_HASH, NOW) == Settled(PREIMAGE, Msat(7))
    unproven = json.dumps({"result": record | {"preimage": "22" * 32}})
    assert not isinstance(decode_record(unproven, PAYMENT_HASH, NOW, is_keysend=True), Settled)
    refused = json.dumps({"error": {"code": "OTHER"}, "result": record})
    assert isinstance(decode_record(refused, PAYMENT_HASH, NOW, is_keysend=True), Refused)


@pytest.mark.parametrize(
    ("result", "error", "answer"),
    [
        ({**ROW, "preimage": PREIMAGE, "state": "failed", "amount": None}, None, Settled(PREIMAGE, Msat(0))),
        ({"type": "outgoing", "preimage": PREIMAGE, "fees_paid": 3}, {"code": "OTHER"}, Settled(PREIMAGE, Msat(3))),
        ({**ROW, "state": "failed"}, None, Failed("its record says failed", attempt_at=NOW)),
        ({**ROW, "state": "failed", "created_at": 1.5}, None, Failed("its record says failed")),
        ({**ROW, "state": "settled"}, None, Unknown("its record says settled, without a proof")),
        ({**ROW, "state": "expired"}, None, InFlight()),
        ({**ROW, "state": None, "amount": "x"}, None, InFlight()),
        ({**ROW, "type": "incoming"}, None, Unknown("its record is of an invoice, not of a payment")),
        (None, {"code": "NOT_FOUND"}, NeverSeen(NOW)),
        (
            {},
            {"code": "EXPIRED"},
            Refused(Reason.CONNECTION_ENDED, "EXPIRED", {"code": "OTHER", "raw_code": "EXPIRED"}),
        ),
    ],
)
def test_a_record_is_evidence_as_far_as_it_can_be_read(result: object, error: object, answer: object) -> None:
    assert decode_record(json.dumps({"result": result, "error": error}), PAYMENT_HASH, NOW) == answer


@pytest.mark.parametrize("plaintext", ["{}", "[]", '{"result":[]}', '{"result":{"payment_hash":"' + "ab" * 32 + '"}}'])
def test_a_record_that_says_nothing_is_no_evidence(plaintext: str) -> None:
    with pytest.raises(CodecError):
        decode_record(plaintext, PAYMENT_HASH, NOW)
