"""Hold invoices through somebody's wallet service."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import HoldEnded, TransactionState
from tests.kit.client.hostile import hostile_relay, info_event
from tests.kit.client.nwc import client, script
from tests.kit.clock import NOW
from tests.kit.codec.invoices import invoice

PREIMAGE = "5a" * 32
HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()
METHODS = "make_hold_invoice settle_hold_invoice cancel_hold_invoice"


def made(payment_hash: str = HASH, amount_msat: int = 1_000) -> dict[str, Any]:
    text = invoice(amount_msat, payment_hash=payment_hash)
    return {"type": "incoming", "invoice": text, "amount": amount_msat, "created_at": NOW, "state": "pending"}


async def test_a_hold_invoice_is_made_settled_and_cancelled() -> None:
    answers = script(make_hold_invoice=made(), settle_hold_invoice={}, cancel_hold_invoice={})
    async with hostile_relay(answers, stored=[info_event(METHODS)]) as relay, client(relay) as wallet:
        held = await wallet.make_hold_invoice(HASH, Msat(1_000), description="tea", min_cltv_delta=100)
        assert held.bolt11 == made()["invoice"]
        assert await wallet.settle_hold_invoice(PREIMAGE) == HoldEnded(HASH, TransactionState.SETTLED)
        assert await wallet.cancel_hold_invoice(HASH) == HoldEnded(HASH, TransactionState.EXPIRED)


@pytest.mark.parametrize("answer", [made("ab" * 32), made(amount_msat=999)])
async def test_another_invoice_than_the_one_asked_for_is_refused(answer: dict[str, Any]) -> None:
    """Of another hash somebody else has the preimage."""
    answers = script(make_hold_invoice=answer)
    async with hostile_relay(answers, stored=[info_event(METHODS)]) as relay, client(relay) as wallet:
        with pytest.raises(KitestringError) as caught:
            await wallet.make_hold_invoice(HASH, Msat(1_000))
        assert caught.value.reason is Reason.INTERNAL


async def test_a_refusal_is_raised_in_the_words_of_the_wallet() -> None:
    answers = script(settle_hold_invoice=("OTHER", "nobody has paid"))
    async with hostile_relay(answers, stored=[info_event(METHODS)]) as relay, client(relay) as wallet:
        with pytest.raises(KitestringError, match="nobody has paid"):
            await wallet.settle_hold_invoice(PREIMAGE)


async def test_a_wallet_that_does_not_announce_them_is_not_asked() -> None:
    async with hostile_relay(script(), stored=[info_event("pay_invoice")]) as relay, client(relay) as wallet:
        with pytest.raises(KitestringError) as caught:
            await wallet.cancel_hold_invoice(HASH)
        assert caught.value.reason is Reason.UNSUPPORTED
