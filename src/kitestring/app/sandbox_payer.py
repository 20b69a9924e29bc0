"""Somebody else pays: a CLINK payer of the sandbox's outside world, over the relays like any stranger."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from kitestring.app.home.config import Config
from kitestring.app.owner.money import payable_amount
from kitestring.app.service.execute import Result
from kitestring.backend.sandbox.world import World
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.client.offers import ask_offer
from kitestring.codec import bolt11, pointers
from kitestring.codec.target import Target, classify
from kitestring.sdk.payable import offer_sats
from kitestring.transport.clock import SystemClock

#: How long a payer waits for the receipt; the payment is done by then, so it only delays the last line.
RECEIPT_TIMEOUT_S: Final = 10.0


async def pay(sandbox: Path, target: str, amount_msat: int | None, service_id: str, config: Config) -> Result:
    """Pay an invoice or an offer of the service ``service_id``. The relays in its own codes may be on this machine.

    Raises KitestringError, UNAVAILABLE without a relay or an answer.
    """
    kind, text = classify(target)
    with World(sandbox) as world:
        if kind is Target.BOLT11:
            return _settle(world, text, amount_msat)
        if kind is Target.NOFFER:
            return await _pay_offer(world, text, amount_msat, service_id, config)
    raise KitestringError(Reason.UNSUPPORTED, f"the sandbox pays invoices and offers (noffer1…), not this ({kind})")


async def _pay_offer(world: World, text: str, amount_msat: int | None, service_id: str, config: Config) -> Result:
    noffer = pointers.decode(text)
    if not isinstance(noffer, pointers.Noffer):
        raise KitestringError(Reason.UNSUPPORTED, "this code is not an offer")
    asked = await ask_offer(
        noffer,
        amount_sats=offer_sats(noffer, None if amount_msat is None else Msat(amount_msat)),
        clock=SystemClock(),
        entropy=os.urandom,
        own_relays=noffer.relays if noffer.pubkey == service_id else (),
        allow_private=config.allow_private_relays,
        proxies=config.proxies,
    )
    async with asked:
        paid = _settle(world, asked.bolt11, None)
        receipt = await asked.wait_receipt(RECEIPT_TIMEOUT_S)
    return {**paid, "request_id": asked.request_id, "receipt": None if receipt is None else receipt.proof}


def _settle(world: World, text: str, amount_msat: int | None) -> Result:
    invoice = bolt11.decode(text)
    amount = payable_amount(invoice.amount_msat, amount_msat)
    preimage = world.pay(invoice.text, None if invoice.amount_msat is not None else Msat(amount))
    return {
        "payment_hash": invoice.payment_hash,
        "preimage": preimage,
        "amount_msat": int(amount),
        "fee_msat": 0,
    }
