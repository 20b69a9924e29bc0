"""The rig is what other tests trust: the line, its fee, and what its macaroon may not do."""

import asyncio
import hashlib

import pytest

from tests.rig.network import LightningRig
from tests.rig.node import NodeError


async def test_a_payment_from_a_to_c_costs_b_s_fee_and_both_ends_agree_on_it(rig: LightningRig) -> None:
    invoice = await rig.c.invoice(5_000_000)
    payment = await rig.a.pay(invoice.bolt11)
    assert (payment.status, payment.fee_msat) == ("SUCCEEDED", 1_005)
    assert hashlib.sha256(bytes.fromhex(payment.preimage)).hexdigest() == invoice.payment_hash
    assert (await rig.c.lookup(invoice.payment_hash))["state"] == "SETTLED"
    assert (await rig.a.payments())[invoice.payment_hash] == payment


async def test_neighbours_pay_each_other_without_a_fee(rig: LightningRig) -> None:
    invoice = await rig.a.invoice(7_000)
    assert (await rig.b.pay(invoice.bolt11)).fee_msat == 0


async def test_the_service_macaroon_makes_invoices_but_opens_no_wallet(rig: LightningRig) -> None:
    made = await rig.a.post("/v1/invoices", {"value_msat": 1000}, macaroon=rig.a.service_macaroon)
    assert made["payment_request"].startswith("lnbcrt")
    with pytest.raises(NodeError, match="permission denied"):
        await rig.a.get("/v1/newaddress", macaroon=rig.a.service_macaroon)


async def test_a_held_payment_stays_in_flight_until_it_is_cancelled(rig: LightningRig) -> None:
    payment_hash = hashlib.sha256(b"a preimage nobody reveals").hexdigest()
    bolt11 = await rig.c.hold_invoice(payment_hash, 3_000_000)
    paying = asyncio.create_task(rig.a.pay(bolt11))
    while (await rig.c.lookup(payment_hash))["state"] != "ACCEPTED":
        pass  # lnd decides how soon; asking takes time enough
    assert (await rig.a.payments())[payment_hash].status == "IN_FLIGHT"
    await rig.c.cancel(payment_hash)
    assert (await paying).status == "FAILED"
