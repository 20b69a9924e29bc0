"""The price of an offer: one rule for every wire and every door.

Prices are whole sats. What can be received now is asked of the node before, so that the rule itself asks nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from kitestring.base.commands import NOTE, AskOffer, MakeInvoice
from kitestring.base.errors import Reason
from kitestring.base.grants import Offer, OfferState
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Refused
from kitestring.base.zaps import ZapRequest


@dataclass(frozen=True, slots=True)
class Sale:
    """The invoice to make, and the account that it fills."""

    command: MakeInvoice
    account_id: str


def price(offer: Offer | None, ask: AskOffer, receivable_msat: Msat, *, amountless: bool = False) -> Sale | Refused:
    """The invoice to make for somebody who asks an offer, or why there is none.

    ``offer`` None = unknown. ``receivable_msat`` is what can come in now; ``amountless`` says that the backend can make
    invoices without an amount, which only those get who take one.
    """
    if offer is None or offer.state is not OfferState.OPEN:
        return _closed(offer)
    missing = [name for name in offer.payer_data if not ask.payer_data.get(name)]
    if missing:
        details = {"payer_data": list(offer.payer_data)}
        return Refused(Reason.UNKNOWN_TARGET, f"payer_data is missing: {', '.join(missing)}", details)
    if offer.price_msat is not None:
        amount = _fixed(offer.price_msat, ask, receivable_msat)
    else:
        amount = _spontaneous(offer, ask, receivable_msat, amountless=amountless)
    if isinstance(amount, Refused):
        return amount
    refused = None if ask.zap is None else _no_zap(offer, ask.zap, amount)
    if refused is not None:
        return refused
    command = MakeInvoice(
        amount_msat=amount or None,
        description=ask.description or offer.label,
        description_hash=sha256(ask.zap.text.encode()).hexdigest() if ask.zap else ask.description_hash,
        zap=ask.zap.text if ask.zap else "",
        expiry_s=ask.expiry_s,
        offer_id=offer.offer_id,
        payer_data={name: text for name, text in ask.payer_data.items() if name in offer.payer_data or name == NOTE},
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


def _fixed(price_msat: Msat, ask: AskOffer, receivable_msat: Msat) -> Msat | Refused:
    asked = price_msat.sats_up()
    if ask.amount_msat not in {None, sat(asked)}:
        return _out_of_range(asked, asked)
    return sat(asked) if asked <= receivable_msat.sats_down() else _nothing_receivable()


def _spontaneous(offer: Offer, ask: AskOffer, receivable_msat: Msat, *, amountless: bool) -> Msat | Refused:
    """The amount, 0 for an invoice without one."""
    low = max(1, offer.min_msat.sats_up()) if offer.min_msat is not None else 1
    high = receivable_msat.sats_down()
    if offer.max_msat is not None:
        high = min(high, offer.max_msat.sats_down())
    if high < low:
        return _nothing_receivable()
    if ask.amount_msat is None and ask.amountless:
        return Msat(0) if amountless else Refused(Reason.UNSUPPORTED, "name an amount")
    if ask.amount_msat is None or not sat(low) <= ask.amount_msat <= sat(high):
        return _out_of_range(low, high)
    return ask.amount_msat


def _out_of_range(low: int, high: int) -> Refused:
    """``range`` is in sats, as wires show it."""
    return Refused(Reason.AMOUNT_OUT_OF_RANGE, f"from {low} to {high} sat", {"range": {"min": low, "max": high}})


def _nothing_receivable() -> Refused:
    return Refused(Reason.UNAVAILABLE, "this amount cannot be received at the moment")
