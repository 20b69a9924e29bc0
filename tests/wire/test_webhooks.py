"""What a webhook is told: JSON in a POST, or the query of a GET, in which no payer says what was paid; and signed."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from kitestring.base.currency import ExchangeRate
from kitestring.base.errors import CodecError
from kitestring.base.grants import Offer, Webhook
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import Msat
from kitestring.base.records import OwnInvoice
from kitestring.wire.webhooks import WebhookNotice, call, signature
from tests.kit.ledger.values import invoice

URL = "https://shop.example/paid"
TEMPLATE = "https://shop.example/paid{?amount,invoice,name}"
OFFER = Offer(offer_id="0a", label="Tea", account_id="owner", payer_data=("name", "note"))


def paid(payer_data: dict[str, str] | None = None, **changes: Any) -> OwnInvoice:
    said = {} if payer_data is None else {"payer_data": json.dumps(payer_data)}
    return invoice(
        "i", 5_000, state=InvoiceState.SETTLED, received_msat=Msat(5_999), settled_at=1_800_000_000, offer_id="0a",
        **said, **changes,
    )  # fmt: skip


def get(said: OwnInvoice | None, template: str = TEMPLATE, offer: Offer = OFFER) -> list[tuple[str, str]]:
    asked = call(Webhook(template, "get"), WebhookNotice("e", offer, said, 1))
    assert (asked.method, asked.body) == ("GET", None)
    return parse_qsl(urlsplit(asked.url).query, keep_blank_values=True)


def test_a_payment_is_told_as_one_object_with_what_the_payer_said_apart() -> None:
    made = paid({"name": "Ann", "amount": "1", "amount_msat": "1", "bolt11": "x"})
    asked = call(Webhook(URL), WebhookNotice("event", OFFER, made))
    assert (asked.method, asked.url) == ("POST", URL)
    assert json.loads(asked.body or b"") == {
        "id": "event",
        "type": "offer.paid",
        "offer_id": "0a",
        "label": "Tea",
        "amount_msat": 5_999,
        "amount_sats": 5,
        "bolt11": made.bolt11,
        "payment_hash": made.payment_hash,
        "preimage": made.preimage,
        "payer_data": {"name": "Ann", "amount": "1", "amount_msat": "1", "bolt11": "x"},
        "settled_at": 1_800_000_000,
        "rate": None,
    }


def test_a_price_in_a_currency_comes_with_its_rate_and_a_preimage_that_is_not_known_is_null() -> None:
    rate = ExchangeRate("EUR", 1_000, 1, 1_799_999_990, ("one", "two"))
    told = json.loads(call(Webhook(URL), WebhookNotice("e", OFFER, paid(rate=rate, preimage=""))).body or b"")
    assert told["rate"] == {
        "currency": "EUR",
        "msat": 1_000,
        "minor": 1,
        "at": 1_799_999_990,
        "sources": ["one", "two"],
    }
    assert (told["preimage"], told["payer_data"]) == (None, {})


def test_a_test_is_told_apart_from_a_payment() -> None:
    told = json.loads(call(Webhook(URL), WebhookNotice("e", OFFER, None, 7)).body or b"")
    assert (told["type"], told["amount_msat"], told["bolt11"], told["settled_at"]) == ("offer.test", 0, "", 7)
    assert get(None) == [("amount", "0"), ("invoice", ""), ("ok", "true"), ("test", "true")]


def test_a_get_has_whole_sats_the_invoice_what_the_payer_said_and_ok() -> None:
    made = paid({"name": "Ann & Bob", "email": "not asked for"})
    assert get(made) == [("amount", "5"), ("invoice", made.bolt11), ("name", "Ann & Bob"), ("ok", "true")]
    assert get(paid({"name": ""})) == [("amount", "5"), ("invoice", made.bolt11), ("ok", "true")]
    assert get(made, "https://shop.example/{invoice}?k=1{&amount}") == [("k", "1"), ("amount", "5"), ("ok", "true")]
    assert get(made, URL) == [("ok", "true")]


@pytest.mark.parametrize("name", ["amount", "invoice", "ok"])
def test_no_payer_says_what_was_paid_by_the_name_or_by_the_value(name: str) -> None:
    offer = Offer(offer_id="0a", label="Tea", account_id="owner", payer_data=(name, "name"))
    made = paid({name: "1000000", "name": f"x&{name}=1000000"})
    said = get(made, "https://shop.example/paid{?name,amount,invoice,ok}", offer)
    assert [value for key, value in said if key == name] == [
        {"amount": "5", "invoice": made.bolt11, "ok": "true"}[name]
    ]


def test_a_template_that_cannot_be_read_any_more_is_said() -> None:
    with pytest.raises(CodecError):
        call(Webhook("https://shop.example/{+x}", "get"), WebhookNotice("e", OFFER, paid()))


def test_the_signature_is_over_time_method_address_and_body() -> None:
    secret = "ab" * 32
    told = b'{"id":"e"}'
    expected = hmac.new(secret.encode(), b"7\nPOST\n" + URL.encode() + b"\n" + told, hashlib.sha256).hexdigest()
    assert signature(secret, 7, "POST", URL, told) == f"t=7,v1={expected}"
    others = {
        signature(secret, 7, "GET", URL, None),
        signature(secret, 8, "POST", URL, told),
        signature(secret, 7, "POST", URL + "x", told),
        signature(secret, 7, "POST", URL, told + b" "),
        signature("cd" * 32, 7, "POST", URL, told),
    }
    assert len({one.partition("v1=")[2] for one in others} - {expected}) == 5


def test_what_a_call_is_never_shows_its_address() -> None:
    """It may hold a key of the receiver's."""
    assert "shop.example" not in repr(call(Webhook(URL), WebhookNotice("e", OFFER, paid())))
