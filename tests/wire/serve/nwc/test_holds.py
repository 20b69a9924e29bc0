"""Hold invoices over Nostr Wallet Connect (extension 03), the service's side."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

from kitestring.base.commands import CancelHold, MakeHoldInvoice, SettleHold
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Found, HoldEnded, Invoiced, Outcome, Refused, TransactionState
from kitestring.nostr import kinds
from kitestring.wire.grammar import Facts
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.serve.nwc import WIRE
from tests.kit.wire.samples import event, reply_to, transaction

PREIMAGE = "5a" * 32
HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()
TO = reply_to("nwc")


def decode(method: str, params: object) -> Any:
    plaintext = json.dumps({"method": method, "params": params})
    return WIRE.read(plaintext, event(kinds.NWC_REQUEST), TO, Facts("regtest")).command


def answer(method: str, outcome: Outcome) -> Any:
    to = TO.named(method)
    encoded = WIRE.refuse(outcome, to) if isinstance(outcome, Refused) else WIRE.encode(outcome, to)
    assert encoded is not None
    return json.loads(encoded)


def test_an_invoice_of_a_hash_is_asked_for_with_all_that_an_ordinary_one_may_have() -> None:
    assert decode("make_hold_invoice", {"payment_hash": HASH.upper(), "amount": "1000"}) == MakeHoldInvoice(
        payment_hash=HASH, amount_msat=Msat(1_000)
    )
    digest = "cd" * 32
    more = {"description": "tea", "description_hash": digest, "expiry": 5, "min_cltv_expiry_delta": 200}
    asked = decode("make_hold_invoice", {"payment_hash": HASH, "amount": 1, **more, "metadata": {"comment": "x"}})
    assert asked == MakeHoldInvoice(
        payment_hash=HASH, amount_msat=Msat(1), description_hash=digest, expiry_s=60, min_cltv_delta=200,
        metadata='{"comment":"x"}',
    )  # fmt: skip


def test_a_preimage_settles_and_a_hash_cancels() -> None:
    assert decode("settle_hold_invoice", {"preimage": PREIMAGE}) == SettleHold(payment_hash=HASH, preimage=PREIMAGE)
    assert decode("cancel_hold_invoice", {"payment_hash": HASH}) == CancelHold(payment_hash=HASH)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("make_hold_invoice", {}),
        ("make_hold_invoice", {"amount": 1_000}),
        ("make_hold_invoice", {"payment_hash": HASH}),
        ("make_hold_invoice", {"payment_hash": HASH, "amount": 0}),
        ("make_hold_invoice", {"payment_hash": HASH, "amount": -1}),
        ("make_hold_invoice", {"payment_hash": "12", "amount": 1}),
        ("make_hold_invoice", {"payment_hash": HASH, "amount": 1, "min_cltv_expiry_delta": -1}),
        ("make_hold_invoice", {"payment_hash": HASH, "amount": 1, "min_cltv_expiry_delta": "many"}),
        ("settle_hold_invoice", {}),
        ("settle_hold_invoice", {"preimage": "12"}),
        ("settle_hold_invoice", {"payment_hash": HASH}),
        ("cancel_hold_invoice", {"preimage": PREIMAGE}),
        ("cancel_hold_invoice", {"payment_hash": None}),
    ],
)
def test_what_lacks_its_hash_or_its_preimage_is_malformed(method: str, params: object) -> None:
    with pytest.raises(WireRefusalError) as caught:
        decode(method, params)
    assert (caught.value.refused.reason, caught.value.to.method) == (Reason.MALFORMED, method)


def test_an_end_is_told_by_an_empty_result_without_an_error() -> None:
    settled = HoldEnded(HASH, TransactionState.SETTLED, Msat(1))
    for method in ("settle_hold_invoice", "cancel_hold_invoice"):
        assert answer(method, settled) == {"result_type": method, "result": {}}


def test_what_is_held_is_shown_with_the_block_at_which_it_goes_back() -> None:
    made = answer("make_hold_invoice", Invoiced(transaction(state=TransactionState.PENDING)))["result"]
    assert (made["type"], made["state"], "settle_deadline" in made) == ("incoming", "pending", False)
    held = transaction(state=TransactionState.ACCEPTED, settle_deadline=1_144, preimage=PREIMAGE)
    found = answer("lookup_invoice", Found(held))["result"]
    assert (found["state"], found["settle_deadline"], "preimage" in found) == ("accepted", 1_144, False)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.UNKNOWN_TARGET, "NOT_FOUND"),
        (Reason.CONFLICT, "OTHER"),
        (Reason.INVOICE_TAKEN, "OTHER"),
        (Reason.UNSUPPORTED, "NOT_IMPLEMENTED"),
        (Reason.NOT_PERMITTED, "RESTRICTED"),
    ],
)
def test_refusals_have_the_codes_of_the_text(reason: Reason, code: str) -> None:
    assert answer("settle_hold_invoice", Refused(reason, "no"))["error"]["code"] == code
