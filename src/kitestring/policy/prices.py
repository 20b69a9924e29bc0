"""The price of an offer: one rule for every wire and every door.

Prices are whole sats. What can be received now and what a currency is worth is asked before, so that the rule itself
asks nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from kitestring.base.commands import NOTE, AskOffer, MakeInvoice
from kitestring.base.currency import ExchangeRate
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Offer, OfferState
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Refused
from kitestring.base.zaps import ZapRequest

#: No price is made of a rate that was told longer ago than so many seconds. A price that a payer was told is sold for
#: some minutes more.
MAX_RATE_AGE_S: Final = 300


@dataclass(frozen=True, slots=True)
class Market:
    """The world while an offer is asked: what can come in ``now`` (Unix seconds), and the ``rates`` of its currency.

    The present rate stands first, then those at which prices were told in the last minutes.

    ``amountless`` says that the backend can make invoices without an amount, which only those get who take one.
    """

    receivable_msat: Msat
    now: int
    rates: tuple[ExchangeRate, ...] = ()
    amountless: bool = False


@dataclass(frozen=True, slots=True)
class Sale:
    """The invoice to make, and the account that it fills."""

    command: MakeInvoice
    account_id: str


def price(offer: Offer | None, ask: AskOffer, market: Market) -> Sale | Refused:
    """The invoice to make for somebody who asks an offer (None = unknown), or why there is none."""
    if offer is None or not offer.is_open(market.now):
        return _closed(offer)
    missing = [name for name in offer.required if not ask.payer_data.get(name)]
    if missing:
        details = {"payer_data": list(offer.required)}
        return Refused(Reason.UNKNOWN_TARGET, f"payer_data is missing: {', '.join(missing)}", details)
    quote = _quote(offer, ask, market)
    if isinstance(quote, Refused):
        return quote
    refused = None if ask.zap is None else _no_zap(offer, ask.zap, quote.amount_msat)
    if refused is not None:
        return refused
    kept = offer.kept | {NOTE}
    command = MakeInvoice(
        amount_msat=quote.amount_msat or None,
        description=ask.description or offer.label,
        description_hash=sha256(ask.zap.text.encode()).hexdigest() if ask.zap else ask.description_hash,
        zap=ask.zap.text if ask.zap else "",
        expiry_s=ask.expiry_s,
        offer_id=offer.offer_id,
        payer_data={name: text for name, text in ask.payer_data.items() if name in kept},
        rate=quote.rate,
    )
    return Sale(command, offer.account_id)


def _no_zap(offer: Offer, zap: ZapRequest, amount_msat: Msat) -> Refused | None:
    """The reason why this offer does not take a zap; a plain invoice is never given in its place."""
    if not offer.zap_pubkey:
        return Refused(Reason.UNSUPPORTED, "zaps are not supported by this offer")
    if zap.recipient != offer.zap_pubkey:
        return Refused(Reason.MALFORMED, "the zap request is for somebody else")
    if zap.amount_msat not in {None, amount_msat}:
        sats = amount_msat.sats_up()
        return Refused(
            Reason.AMOUNT_OUT_OF_RANGE, "the zap request has another amount", {"range": {"min": sats, "max": sats}}
        )
    return None


def _closed(offer: Offer | None) -> Refused:
    if offer is None or offer.state is OfferState.DELETED:
        return Refused(Reason.UNKNOWN_TARGET, "there is no such offer here")
    if offer.state is OfferState.OFF:
        return Refused(Reason.NOT_PERMITTED, "this offer is switched off for now")
    if offer.latest:
        return Refused(Reason.MOVED_OR_EXPIRED_OFFER, "this offer has moved", {"latest": offer.latest})
    return Refused(Reason.MOVED_OR_EXPIRED_OFFER, "this offer has ended")


@dataclass(frozen=True, slots=True)
class _Quote:
    """The amount to pay (0: whatever the payer likes), and the rate that it was made with."""

    amount_msat: Msat
    rate: ExchangeRate | None = None


def _quote(offer: Offer, ask: AskOffer, market: Market) -> _Quote | Refused:
    if offer.currency:
        return _in_currency(offer, ask, market)
    if offer.price_msat is None:
        return _spontaneous(offer, ask, market)
    return _exactly(_Quote(sat(offer.price_msat.sats_up())), ask, market)


def _in_currency(offer: Offer, ask: AskOffer, market: Market) -> _Quote | Refused:
    """The price at the present rate, or the one that the payer names, if it was told in the last minutes: a price that
    changes while it is being read could otherwise be paid by nobody."""
    quotes = [_at(rate, offer) for rate in market.rates]
    if not quotes or not 0 <= market.now - market.rates[0].at <= MAX_RATE_AGE_S:
        return Refused(Reason.UNAVAILABLE, f"nothing can be priced in {offer.currency} at the moment")
    present = quotes[0]
    if present is None:
        return Refused(Reason.UNAVAILABLE, "the price of this offer cannot be paid at the moment")
    told = next((quote for quote in quotes if quote is not None and quote.amount_msat == ask.amount_msat), present)
    return _exactly(told, ask, market)


def _at(rate: ExchangeRate, offer: Offer) -> _Quote | None:
    """The price at a rate, None where that is nothing to pay, or more than all bitcoin."""
    try:
        return _Quote(rate.to_pay(offer.price_minor or 0), rate)
    except KitestringError:
        return None


def _exactly(quote: _Quote, ask: AskOffer, market: Market) -> _Quote | Refused:
    if ask.amount_msat not in {None, quote.amount_msat}:
        return _out_of_range(quote.amount_msat.sats_up(), quote.amount_msat.sats_up())
    return quote if quote.amount_msat <= market.receivable_msat else _nothing_receivable()


def _spontaneous(offer: Offer, ask: AskOffer, market: Market) -> _Quote | Refused:
    low = max(1, offer.min_msat.sats_up()) if offer.min_msat is not None else 1
    high = market.receivable_msat.sats_down()
    if offer.max_msat is not None:
        high = min(high, offer.max_msat.sats_down())
    if high < low:
        return _nothing_receivable()
    if ask.amount_msat is None and ask.amountless:
        return _Quote(Msat(0)) if market.amountless else Refused(Reason.UNSUPPORTED, "name an amount")
    if ask.amount_msat is None or not sat(low) <= ask.amount_msat <= sat(high):
        return _out_of_range(low, high)
    return _Quote(ask.amount_msat)


def _out_of_range(low: int, high: int) -> Refused:
    """``range`` is in sats, as wires show it."""
    words = f"it is {low:,} sat" if low == high else f"from {low:,} to {high:,} sat"
    return Refused(Reason.AMOUNT_OUT_OF_RANGE, words, {"range": {"min": low, "max": high}})


def _nothing_receivable() -> Refused:
    return Refused(Reason.UNAVAILABLE, "this amount cannot be received at the moment")
