"""A payment is looked up by its hash or by its invoice."""

from __future__ import annotations

import pytest

from kitestring.app.cli.lookup import command, hash_of
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import sat
from kitestring.codec import bolt11
from tests.kit.app.console import run
from tests.kit.codec.invoices import invoice

HASH = "ab" * 32


def test_the_service_is_asked_by_the_hash_and_its_answer_shown_as_facts() -> None:
    said = run(command, HASH.upper(), answer={"state": "settled", "amount_msat": 21_000, "offer_id": ""})
    assert said.asked == [("lookup", {"payment_hash": HASH}, "")]
    assert said.lines == ["state   settled", "amount  21 sat"]


@pytest.mark.parametrize("form", ["{}", "lightning:{}", " {}\n", "bitcoin:?lightning={}"])
def test_an_invoice_is_looked_up_by_its_hash(form: str) -> None:
    text = invoice(sat(5))
    assert hash_of(form.format(text)) == bolt11.decode(text).payment_hash


@pytest.mark.parametrize(
    ("text", "why"),
    [("00", "this is no invoice"), ("npub1" + "q" * 58, "not this"), (invoice(sat(5))[:-1], "invoice: ")],
)
def test_anything_else_is_refused_before_anybody_is_asked(text: str, why: str) -> None:
    with pytest.raises(KitestringError, match="hash of 64 hexadecimal digits, or by its invoice: ") as caught:
        hash_of(text)
    assert caught.value.reason is Reason.MALFORMED
    assert why in caught.value.message
