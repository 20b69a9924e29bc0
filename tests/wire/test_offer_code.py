"""The code of an offer of ours: what of its price stands in it."""

from __future__ import annotations

import pytest

from kitestring.base.grants import Offer
from kitestring.base.money import sat
from kitestring.codec.pointers import Noffer, PriceType, decode
from kitestring.wire.offer_code import noffer_of
from tests.kit.client.hostile import SERVICE

KEY = SERVICE.public_hex
RELAYS = ("wss://relay.example",)


@pytest.mark.parametrize(
    ("offer", "kind", "price_sats", "currency"),
    [
        (Offer(offer_id="a", label="a", relays=RELAYS, price_msat=sat(21)), PriceType.FIXED, 21, None),
        (Offer(offer_id="a", label="a", relays=RELAYS), PriceType.SPONTANEOUS, None, None),
        (
            Offer(offer_id="a", label="a", relays=RELAYS, price_msat=sat(21), price_on_request=True),
            PriceType.VARIABLE, None, None,
        ),
        (
            Offer(offer_id="a", label="a", relays=RELAYS, currency="EUR", price_minor=500),
            PriceType.VARIABLE, None, "EUR",
        ),
    ],
    ids=["fixed", "spontaneous", "on request", "in a currency"],
)  # fmt: skip
def test_only_a_fixed_price_stands_in_the_code(
    offer: Offer, kind: PriceType, price_sats: int | None, currency: str | None
) -> None:
    read = decode(noffer_of(offer, KEY))
    assert read == Noffer(KEY, RELAYS, "a", kind, price_sats, currency)


def test_a_new_price_on_request_leaves_the_code_as_it_is() -> None:
    codes = {
        noffer_of(Offer(offer_id="a", label="a", relays=RELAYS, price_msat=sat(n), price_on_request=True), KEY)
        for n in (1, 2)
    }
    assert len(codes) == 1
