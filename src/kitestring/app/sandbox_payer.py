"""Somebody else pays: a CLINK payer of the sandbox's outside world, over the relays like any stranger."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from kitestring.app.home.config import Config
from kitestring.app.service.execute import Result
from kitestring.backend.sandbox.world import World
from kitestring.client.net import Net
from kitestring.client.offers.asking import AskedOffer
from kitestring.client.payable import Source, Terms, ask, read
from kitestring.codec.pointers import Noffer
from kitestring.transport.clock import SystemClock

#: How long a payer waits for the receipt; the payment is done by then, so it only delays the last line.
RECEIPT_TIMEOUT_S: Final = 10.0


async def pay(sandbox: Path, target: str, terms: Terms, service_id: str, config: Config) -> Result:
    """Pay a target of the service ``service_id``, by the payer's ``terms``. The relays in its own codes may be on this
    machine. Where the node holds the payment there is no preimage yet, and ``held`` is true.

    Raises KitestringError, UNAVAILABLE without a relay or an answer.
    """
    net = Net(
        SystemClock(), os.urandom, config.proxies, own_relays=_own_relays(read(target), service_id),
        allow_private=config.allow_private_relays,
    )  # fmt: skip
    with World(sandbox) as world:
        async with await ask(target, terms, net) as payable:
            invoice = payable.invoice
            preimage = world.pay(invoice.text, payable.amount_msat if invoice.amount_msat is None else None)
            paid: Result = {
                "payment_hash": invoice.payment_hash,
                "preimage": preimage,
                "amount_msat": int(payable.amount_msat),
                "fee_msat": 0,
            }
            if not preimage:
                return {**paid, "held": True}
            return paid if payable.asked is None else {**paid, **await _receipt(payable.asked)}


def _own_relays(source: Source, service_id: str) -> tuple[str, ...]:
    return source.relays if isinstance(source, Noffer) and source.pubkey == service_id else ()


async def _receipt(asked: AskedOffer) -> Result:
    receipt = await asked.wait_receipt(RECEIPT_TIMEOUT_S)
    return {"request_id": asked.request_id, "receipt": None if receipt is None else receipt.proof}
