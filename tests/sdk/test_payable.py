"""What can be paid, and for how much an offer is asked."""

from __future__ import annotations

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.codec import bolt11, pointers
from kitestring.codec.pointers import Noffer, PriceType
from kitestring.sdk.payable import agree, offer_sats, resolve
from tests.client.kit import SERVICE, invoice

OFFER = Noffer(SERVICE.public_hex, ("wss://relay.example.com",), "tips")
CODE = pointers.encode(OFFER)


@pytest.mark.parametrize(
    "text", [invoice(), invoice().upper(), f"lightning:{invoice()}", f" bitcoin:?lightning={invoice()} "]
)
def test_an_invoice_is_found_however_it_is_wrapped(text: str) -> None:
    assert resolve(text) == bolt11.decode(invoice())


@pytest.mark.parametrize("text", [CODE, CODE.upper(), f"nostr:{CODE}", f"bitcoin:bc1q?noffer={CODE}"])
def test_an_offer_is_found_however_it_is_wrapped(text: str) -> None:
    assert resolve(text) == OFFER


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.MALFORMED),
        ("hello", Reason.MALFORMED),
        (invoice()[:-1], Reason.MALFORMED),
        (CODE[:-1], Reason.MALFORMED),
        ("bitcoin:bc1q", Reason.MALFORMED),
        ("me@example.com", Reason.UNSUPPORTED),
        ("lno1abc", Reason.UNSUPPORTED),
        ("x" * 20_000, Reason.MALFORMED),
    ],
)
def test_what_cannot_be_paid_is_refused_with_a_sentence(text: str, reason: Reason) -> None:
    with pytest.raises(KitestringError) as caught:
        resolve(text)
    assert caught.value.reason is reason


def offer(price_type: PriceType, price_sats: int | None = None) -> Noffer:
    return Noffer(SERVICE.public_hex, ("wss://relay.example.com",), "tips", price_type, price_sats)


@pytest.mark.parametrize(
    ("noffer", "amount", "sats"),
    [
        (offer(PriceType.SPONTANEOUS), sat(21), 21),
        (offer(PriceType.FIXED, 21), None, 21),
        (offer(PriceType.FIXED, 21), sat(21), 21),
        (offer(PriceType.FIXED), None, None),
        (offer(PriceType.VARIABLE), None, None),
        (offer(PriceType.VARIABLE), sat(5), 5),
    ],
)
def test_an_offer_is_asked_for_the_amount_that_is_known(noffer: Noffer, amount: Msat | None, sats: int | None) -> None:
    assert offer_sats(noffer, amount) == sats


@pytest.mark.parametrize(
    ("noffer", "amount"),
    [
        (offer(PriceType.SPONTANEOUS), None),
        (offer(PriceType.SPONTANEOUS), Msat(0)),
        (offer(PriceType.SPONTANEOUS), Msat(1500)),
        (offer(PriceType.FIXED, 21), sat(20)),
    ],
)
def test_an_amount_that_cannot_be_asked_for_is_refused(noffer: Noffer, amount: Msat | None) -> None:
    with pytest.raises(KitestringError):
        offer_sats(noffer, amount)


def test_a_price_that_only_the_service_named_is_shown_and_not_paid() -> None:
    with pytest.raises(KitestringError, match="costs 21 sat now") as caught:
        agree(bolt11.decode(invoice()), None)
    assert caught.value.details == {"amount_msat": 21_000}
    agree(bolt11.decode(invoice()), 21)
