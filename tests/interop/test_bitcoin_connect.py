"""Bitcoin Connect, the wallet button of web pages, as it is: connected by its own NWC connector, asked as WebLN."""

from __future__ import annotations

import hashlib

import pytest

from kitestring.backend.sandbox.world import World
from kitestring.base.money import sat
from kitestring.codec import bolt11
from tests.interop.conftest import ForeignWallet
from tests.kit.interop.asked import ClientError
from tests.kit.interop.program import Kitestring
from tests.rig.network import LightningRig


async def test_a_page_is_connected_and_learns_what_it_may_ask(stall: Kitestring, foreign_wallet: ForeignWallet) -> None:
    uri = stall.connect("button reads", "--budget", "100/day")
    async with foreign_wallet("button", uri) as page:
        configured, info = await page("configured"), await page("getInfo")
        assert await page("getBalance") == {"balance": 100, "currency": "sats"}
        made = await page("makeInvoice", 1)
    assert (configured["connectorType"], configured["nwcUrl"]) == ("nwc.generic", uri)
    assert {"getInfo", "getBalance", "makeInvoice", "sendPayment", "lookupInvoice", "listTransactions"} <= {
        *info["methods"]
    }
    assert info["node"]["pubkey"] == bolt11.decode(made["paymentRequest"]).payee


async def test_a_page_pays_and_is_paid_and_sees_both(stall: Kitestring, foreign_wallet: ForeignWallet) -> None:
    async with foreign_wallet("button", stall.connect("button pays")) as page:
        with World(stall.home / "sandbox.db") as outside:
            bill = outside.invoice(sat(21))
            paid = await page("sendPayment", bill)
            made = (await page("makeInvoice", {"amount": 7, "defaultMemo": "a sticker"}))["paymentRequest"]
            unpaid = await page("lookupInvoice", {"paymentRequest": made})
            outside.pay(made)
        while not (found := await page("lookupInvoice", {"paymentRequest": made}))["paid"]:
            pass
        listed = (await page("listTransactions", {}))["transactions"]
    assert bolt11.decode(made).description == "a sticker"
    assert (unpaid["paid"], found["paymentRequest"]) == (False, made)
    for preimage, invoice in ((paid["preimage"], bill), (found["preimage"], made)):
        assert hashlib.sha256(bytes.fromhex(preimage)).hexdigest() == bolt11.decode(invoice).payment_hash
    assert sorted((row["type"], row["amount"]) for row in listed) == [("incoming", 7), ("outgoing", 21)]


async def test_a_page_pays_several_at_once(stall: Kitestring, foreign_wallet: ForeignWallet) -> None:
    with World(stall.home / "sandbox.db") as outside:
        bills = [outside.invoice(sat(amount)) for amount in (5, 6)]
        async with foreign_wallet("button", stall.connect("button pays many")) as page:
            paid = (await page("sendMultiPayment", bills))["payments"]
    assert sorted(one["paymentRequest"] for one in paid) == sorted(bills)


async def test_a_page_is_told_why_it_may_not_pay(stall: Kitestring, foreign_wallet: ForeignWallet) -> None:
    with World(stall.home / "sandbox.db") as outside:
        bill = outside.invoice(sat(200))
    async with foreign_wallet("button", stall.connect("button small", "--budget", "100/day")) as page:
        with pytest.raises(ClientError) as caught:
            await page("sendPayment", bill)
    assert (caught.value.name, caught.value.code) == ("Nip47WalletError", "QUOTA_EXCEEDED")


async def test_on_a_real_node_a_page_pays_and_is_paid(
    shop: Kitestring, rig: LightningRig, foreign_wallet: ForeignWallet
) -> None:
    bill = await rig.c.invoice(1_000_000)
    async with foreign_wallet("button", shop.connect("button on lnd")) as page:
        paid = await page("sendPayment", bill.bolt11)
        made = (await page("makeInvoice", 21))["paymentRequest"]
        outside = await rig.c.pay(made)
        while not (found := await page("lookupInvoice", {"paymentRequest": made}))["paid"]:
            pass
    assert (await rig.a.payments())[bill.payment_hash].preimage == paid["preimage"]
    assert found["preimage"] == outside.preimage
