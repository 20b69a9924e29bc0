"""From what somebody pasted to something that can be paid: one row per kind of target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MSAT_PER_SAT, Msat, sat
from kitestring.codec import bolt11, pointers
from kitestring.codec.bolt11 import Invoice
from kitestring.codec.pointers import Noffer, PriceType
from kitestring.codec.target import Target, classify

Payable = Invoice | Noffer


def resolve(text: str) -> Payable:
    """What ``text`` asks to be paid: an invoice, or an offer that has to be asked for one first.

    Takes them bare or inside ``lightning:``, ``nostr:`` and ``bitcoin:`` links. Raises KitestringError: MALFORMED, or
    UNSUPPORTED for something known that cannot be paid.
    """
    try:
        kind, bare = classify(text)
        reader = READERS.get(kind)
        if reader is not None:
            return reader(bare)
    except CodecError as error:
        raise KitestringError(Reason.MALFORMED, f"the target cannot be read: {error}") from error
    raise KitestringError(
        Reason.UNSUPPORTED, f"kitestring pays Lightning invoices and offers (noffer1…), not this ({kind.value})"
    )


def _offer(text: str) -> Noffer:
    pointer = pointers.decode(text)
    if not isinstance(pointer, Noffer):
        raise CodecError("this code is no offer")
    return pointer


#: What can be paid. Each reader gets the bare text and raises CodecError.
READERS: Final[Mapping[Target, Callable[[str], Payable]]] = {Target.BOLT11: bolt11.decode, Target.NOFFER: _offer}


def offer_sats(noffer: Noffer, amount: Msat | None) -> int | None:
    """The sats to ask an offer for; None where only its service knows the price.

    Raises KitestringError when the amount is missing, not whole sats, or not the price in the code.
    """
    if amount is not None and (amount <= 0 or amount % MSAT_PER_SAT):
        raise KitestringError(Reason.MALFORMED, "an offer is paid in whole sats, at least one")
    fixed = noffer.price_type is PriceType.FIXED and noffer.price_sats
    if fixed and amount not in (None, sat(fixed)):
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, f"this offer costs {sat(fixed)}: leave the amount out")
    if amount is None and noffer.price_type is PriceType.SPONTANEOUS:
        raise KitestringError(Reason.MALFORMED, "this offer has no price: say how much to pay")
    return noffer.price_sats if amount is None else amount.sats_down()


def agree(invoice: Invoice, asked_sats: int | None) -> None:
    """Nobody pays a price that he has not seen: raises KitestringError (detail ``amount_msat``) when the service alone
    has named it."""
    if asked_sats is None and invoice.amount_msat is not None:
        text = f"this offer costs {invoice.amount_msat} now: pay it with that amount if you agree"
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, text, amount_msat=int(invoice.amount_msat))
