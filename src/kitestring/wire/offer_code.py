"""The code of an offer of ours."""

from __future__ import annotations

from typing import Final

from kitestring.base.grants import Offer, Pricing
from kitestring.codec.pointers import Noffer, PriceType, encode

_TYPES: Final = {
    Pricing.FIXED: PriceType.FIXED,
    Pricing.VARIABLE: PriceType.VARIABLE,
    Pricing.SPONTANEOUS: PriceType.SPONTANEOUS,
}


def noffer_of(offer: Offer, service_pubkey: str) -> str:
    """The code as it is shown and printed. Only a fixed price stands in it."""
    is_fixed = offer.pricing is Pricing.FIXED and offer.price_msat is not None
    return encode(
        Noffer(
            pubkey=service_pubkey,
            relays=offer.relays,
            offer=offer.offer_id,
            price_type=_TYPES[offer.pricing],
            price_sats=offer.price_msat.sats_up() if is_fixed and offer.price_msat is not None else None,
            currency=offer.currency or None,
        )
    )
