"""A program's wallet straight on a real node: what ends a payment, and what two programs make of the same invoice."""

import asyncio
import hashlib
import os
from typing import Any

import pytest

from kitestring import Exit, KitestringError, Reason, Wallet, sat
from tests.kit.interop.program import eventually
from tests.rig.network import LightningRig

AMOUNT_MSAT = 30_000


def drawn() -> tuple[str, str]:
    """A preimage and its hash."""
    preimage = os.urandom(32)
    return preimage.hex(), hashlib.sha256(preimage).hexdigest()


async def refusal(own: Wallet, bolt11: str, **limits: Any) -> KitestringError:
    with pytest.raises(KitestringError) as caught:
        await own.pay(bolt11, **limits)
    return caught.value


async def test_the_same_invoice_is_paid_once_whichever_program_pays_it(rig: LightningRig) -> None:
    bill = await rig.c.invoice(AMOUNT_MSAT)
    async with Wallet.open(rig.a.backend_url) as one, Wallet.open(rig.a.backend_url) as two:
        first = await one.pay(bill.bolt11)
        assert await one.pay(bill.bolt11) == await two.pay(bill.bolt11) == first
        assert (await two.lookup(bill.payment_hash)).preimage == first.preimage
    assert (await rig.a.payments())[bill.payment_hash].fee_msat == first.fee


async def test_an_amountless_invoice_that_was_paid_with_another_amount_is_not_called_paid(rig: LightningRig) -> None:
    bill = await rig.c.invoice(0)
    async with Wallet.open(rig.a.backend_url) as one, Wallet.open(rig.a.backend_url) as two:
        assert (await one.pay(bill.bolt11, sat(30))).amount == sat(30)
        assert (await refusal(two, bill.bolt11, amount=sat(99))).reason is Reason.INVOICE_TAKEN
        assert (await two.pay(bill.bolt11, sat(30))).amount == sat(30)


async def test_a_failure_that_the_node_itself_tells_is_one_and_may_be_tried_again(rig: LightningRig) -> None:
    bill = await rig.c.invoice(AMOUNT_MSAT)
    async with Wallet.open(rig.a.backend_url) as own:
        assert (await refusal(own, bill.bolt11, max_fee=sat(0))).exit_code is Exit.PAYMENT_FAILED
        assert (await own.lookup(bill.payment_hash)).state == "failed"
        assert (await own.pay(bill.bolt11)).payment_hash == bill.payment_hash


async def test_a_payment_that_the_payee_holds_is_pending_until_it_is_settled(rig: LightningRig) -> None:
    preimage, payment_hash = drawn()
    bolt11 = await rig.c.hold_invoice(payment_hash, AMOUNT_MSAT)
    async with Wallet.open(rig.a.backend_url) as one, Wallet.open(rig.a.backend_url) as two:
        assert (await refusal(one, bolt11, timeout_s=1)).reason is Reason.PAYMENT_IN_FLIGHT
        joined = asyncio.create_task(two.pay(bolt11))
        assert (await one.lookup(payment_hash)).state == (await two.lookup(payment_hash)).state == "pending"
        await rig.c.settle(preimage)
        assert (await joined).preimage == (await one.pay(bolt11)).preimage == preimage


async def test_a_held_payment_that_the_payee_gives_back_has_failed(rig: LightningRig) -> None:
    _, payment_hash = drawn()
    bolt11 = await rig.c.hold_invoice(payment_hash, AMOUNT_MSAT)

    async def is_held() -> bool:
        return bool((await rig.c.lookup(payment_hash))["state"] == "ACCEPTED")

    async with Wallet.open(rig.a.backend_url) as own:
        paying = asyncio.create_task(refusal(own, bolt11))
        await eventually(is_held, "the payee holds the payment")
        await rig.c.cancel(payment_hash)
        assert (await paying).reason is Reason.PAYMENT_FAILED
        assert (await own.lookup(payment_hash)).state == "failed"
