"""Invoices that are asked for and looked up."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.commands import LookupInvoice, MakeInvoice
from kitestring.base.errors import Reason
from kitestring.base.outcomes import Invoiced, Refused
from tests.kit.codec.invoices import PAYMENT_HASH, invoice
from tests.kit.wire.nwc import answer, decode, response
from tests.kit.wire.samples import transaction


def test_the_hash_of_a_description_wins_and_times_are_clamped() -> None:
    command = decode("make_invoice", {"amount": 0, "description": "x", "description_hash": "AB" * 32, "expiry": 1})
    assert command == MakeInvoice(amount_msat=None, description_hash="ab" * 32, expiry_s=60)
    assert decode("make_invoice", {"amount": 1, "expiry": 10**9}).expiry_s == 604_800
    assert decode("make_invoice", {"description": "", "expiry": None}) == MakeInvoice(amount_msat=None)


def test_a_description_is_cut_to_what_an_invoice_can_carry() -> None:
    description = decode("make_invoice", {"amount": 1, "description": "ä\u202e" * 1000}).description
    assert description == "ä" * 319


def test_a_lookup_by_invoice_is_one_by_its_hash() -> None:
    expected = LookupInvoice(payment_hash=PAYMENT_HASH)
    assert decode("lookup_invoice", {"invoice": invoice(1000), "payment_hash": ""}) == expected
    assert decode("lookup_invoice", {"payment_hash": PAYMENT_HASH.upper(), "invoice": invoice(1000)}) == expected


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.text(max_size=40))
def test_any_text_from_a_caller_makes_an_answer_that_is_json(description: str, method: str) -> None:
    description = description.encode(errors="ignore").decode()
    command = decode("make_invoice", {"amount": 1, "description": description})
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in command.description)
    made = response("make_invoice", Invoiced(transaction(description=command.description)))
    assert made["result"].get("description", "") == command.description
    json.loads(answer(method.encode(errors="ignore").decode(), Refused(Reason.MALFORMED), narrow=True) or b"")
