"""The terms of an offer as the owner names them: one price or one range, an end, and what a payer is asked for."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kitestring.app.owner.connections import MAX_EXPIRY_S
from kitestring.app.owner.desk import Managing
from kitestring.app.owner.params import ID_BYTES, AmountMsat, Currency, Name, plain_line
from kitestring.base.currency import decimals_of
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import OPTIONAL, ZAP_PREFIX, Offer
from kitestring.base.money import MAX_WHOLE, MSAT_PER_SAT, Msat

#: As many as a payer fills in by hand; the wire itself carries at most 32.
MAX_PAYER_FIELDS: Final = 8

PriceMinor = Annotated[int, Meta(ge=1, le=MAX_WHOLE)]
ExpiresIn = Annotated[int, Meta(ge=1, le=MAX_EXPIRY_S)]
PayerData = Annotated[list[Name], Meta(max_length=MAX_PAYER_FIELDS)]


class PriceParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A price is ``price_msat``, which stands in the code unless it is told on request alone, or ``price_minor`` minor
    units of ``currency`` (350 and EUR are 3.50 EUR)."""

    price_msat: AmountMsat | None = None
    price_on_request: bool = False
    currency: Currency = ""
    price_minor: PriceMinor | None = None


def new_id(desk: Managing, *, takes_zaps: bool) -> str:
    """An id that nobody guesses."""
    return (ZAP_PREFIX if takes_zaps else "") + desk.entropy(ID_BYTES).hex()


def end_of(expires_at: int | None, expires_in_s: int | None, now: int) -> int | None:
    """The end that is named in one way or the other. Raises KitestringError for one that has passed, and for two."""
    if expires_at is not None and expires_in_s is not None:
        raise KitestringError(Reason.MALFORMED, "an offer ends at a time or after a time, not both")
    if expires_in_s is not None:
        return now + expires_in_s
    if expires_at is not None and expires_at <= now:
        raise KitestringError(Reason.MALFORMED, "this end has passed: `kitestring offer off` ends the sale at once")
    return expires_at


def money(amount_msat: int | None) -> Msat | None:
    """An amount as it is kept."""
    return None if amount_msat is None else Msat(amount_msat)


def check(offer: Offer) -> None:
    """Raise KitestringError for terms that no payer could keep, or that contradict each other."""
    amounts = (offer.price_msat, offer.min_msat, offer.max_msat)
    if any(amount is not None and amount % MSAT_PER_SAT for amount in amounts):
        raise KitestringError(Reason.MALFORMED, "an offer is priced in whole sats")
    _check_price(offer)
    if offer.min_msat is not None and offer.max_msat is not None and offer.min_msat > offer.max_msat:
        raise KitestringError(Reason.MALFORMED, "the smallest amount is larger than the largest")
    plain_line(offer.label, "a label")
    _check_questions(offer)


def _check_price(offer: Offer) -> None:
    if (offer.currency == "") != (offer.price_minor is None):
        raise KitestringError(Reason.MALFORMED, "a price in a currency is both its code, such as EUR, and an amount")
    if offer.currency:
        decimals_of(offer.currency)
    if offer.currency and offer.price_msat is not None:
        raise KitestringError(Reason.MALFORMED, "an offer has a price in sats or in a currency, not both")
    if offer.price_on_request and offer.price_msat is None:
        raise KitestringError(Reason.MALFORMED, "a price on request is one in sats: name it")
    is_priced = offer.currency != "" or offer.price_msat is not None
    if is_priced and (offer.min_msat is not None or offer.max_msat is not None):
        raise KitestringError(Reason.MALFORMED, "an offer has either a price or a range, not both")


def _check_questions(offer: Offer) -> None:
    for field in offer.payer_data:
        plain_line(field, "what a payer is asked for")
        if field == OPTIONAL:
            raise KitestringError(Reason.MALFORMED, f"{field!r} asks a payer for nothing: name it, such as email?")
    if len(offer.kept) < len(offer.payer_data):
        raise KitestringError(Reason.MALFORMED, "a payer is asked for each thing once")
