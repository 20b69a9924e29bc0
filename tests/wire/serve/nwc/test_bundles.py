"""Several payments in one request: each is read, named and answered for itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.commands import Bundle, PayInvoice, Unread
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Paid, Refused
from kitestring.nostr import kinds
from kitestring.wire.grammar import Asked, Facts
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.reply_to import ReplyTo, thaw
from kitestring.wire.serve.nwc import WIRE
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.wire.samples import event, reply_to

TO = reply_to("nwc")
KEY = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
BILL, OPEN = invoice(), invoice(None, payment_hash="ab" * 32)


def read(method: str, params: Any) -> Asked:
    text = json.dumps({"method": method, "params": params})
    return WIRE.read(text, event(kinds.NWC_REQUEST), TO, Facts("regtest"))


def bundle(method: str, **params: Any) -> Bundle:
    command = read(method, params).command
    assert isinstance(command, Bundle)
    return command


def names(found: Bundle) -> list[str]:
    ways = [thaw(part.reply_to) for part in found.parts]
    assert all(way == TO.named(way.method).of_part(way.part) for way in ways)
    return [way.part for way in ways]


def test_each_invoice_is_read_as_a_single_one_is_and_named_by_its_id_or_its_hash() -> None:
    elements = [{"id": "a", "invoice": BILL}, {"invoice": OPEN, "amount": 7_000}, {"id": 5, "invoice": BILL}]
    found = bundle("multi_pay_invoice", invoices=elements)
    payments = [part.payment for part in found.parts]
    assert [isinstance(one, PayInvoice) and (one.destination, one.amount_msat) for one in payments] == [
        (Bolt11(BILL), Msat(21_000)), (Bolt11(OPEN, True), Msat(7_000)), (Bolt11(BILL), Msat(21_000)),
    ]  # fmt: skip
    assert names(found) == ["a", "ab" * 32, "5"]


def test_each_key_is_read_as_a_single_one_is_and_named_by_its_id_or_by_itself() -> None:
    other = "03" + KEY[2:]
    elements = [{"pubkey": KEY, "amount": 1}, {"id": "b", "pubkey": KEY, "amount": 2}, {"pubkey": other, "amount": 3}]
    found = bundle("multi_pay_keysend", keysends=elements)
    assert [isinstance(part.payment, PayInvoice) and part.payment.destination for part in found.parts] == [
        Keysend(KEY), Keysend(KEY), Keysend(other),
    ]  # fmt: skip
    assert names(found) == [KEY, "b", other]


def test_what_is_wrong_with_one_is_said_of_that_one() -> None:
    elements = [
        {"id": "a", "invoice": "lnbc1"}, 5, {"invoice": invoice(network="bitcoin")}, {"id": "d", "invoice": BILL},
        {"id": "x" * 129, "invoice": BILL}, {"id": {}, "invoice": BILL}, {"invoice": OPEN},
    ]  # fmt: skip
    found = bundle("multi_pay_invoice", invoices=elements)
    reasons = [part.payment.reason if isinstance(part.payment, Unread) else "" for part in found.parts]
    assert reasons == ["malformed", "malformed", "wrong_network", "", "malformed", "malformed", "malformed"]
    assert all(Reason(reason) for reason in reasons if reason)
    assert names(found) == ["a", "1", "2", "d", "4", "5", "6"]


@pytest.mark.parametrize(
    "elements",
    [
        None, [], {}, "x", [{"invoice": BILL}] * 2, [{"id": "a", "invoice": BILL}, {"id": "a", "invoice": OPEN}],
        [{"id": str(number), "invoice": BILL} for number in range(21)],
    ],
)  # fmt: skip
def test_none_too_many_and_two_of_one_name_are_one_refusal(elements: object) -> None:
    with pytest.raises(WireRefusalError) as caught:
        read("multi_pay_invoice", {"invoices": elements})
    refused = caught.value
    assert (refused.refused.reason, refused.to) == (Reason.MALFORMED, TO.named("multi_pay_invoice"))


def test_twenty_are_taken() -> None:
    elements = [{"id": str(number), "invoice": BILL} for number in range(20)]
    assert len(bundle("multi_pay_invoice", invoices=elements).parts) == 20


@pytest.mark.parametrize("method", ["multi_pay_invoice", "multi_pay_keysend"])
def test_each_is_answered_as_a_single_payment_is(method: str) -> None:
    to: ReplyTo = TO.named(method).of_part("a")
    paid = WIRE.answer(Paid(PAYMENT_HASH, PREIMAGE, Msat(21_000), Msat(3)), to)
    assert json.loads(paid or b"") == {"result_type": method, "result": {"preimage": PREIMAGE, "fees_paid": 3}}
    assert b'"NOT_FOUND"' in (WIRE.answer(Refused(Reason.UNKNOWN_TARGET), to) or b"")
