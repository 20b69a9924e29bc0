"""Zaps (NIP-57): what a payer asks for with one, as everybody here knows it."""

from __future__ import annotations

import msgspec

from kitestring.base.money import Msat


class ZapRequest(msgspec.Struct, frozen=True):
    """A zap request whose signature is good. ``text`` is what was received, to the byte: its hash stands in the
    invoice, and it stands in the receipt. ``recipient`` is the public key that is zapped; ``amount_msat`` is what it
    says to pay, None where it does not say."""

    text: str
    recipient: str
    amount_msat: Msat | None = None
