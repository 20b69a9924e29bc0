"""applesauce, the client library of another author than Alby's, as it is, over a relay pool of its own."""

from __future__ import annotations

import hashlib

import pytest

from kitestring.backend.sandbox.world import World
from kitestring.base.money import sat
from kitestring.codec import bolt11
from kitestring.codec.uri import decode_nwc
from tests.interop.conftest import ForeignWallet
from tests.kit.interop.asked import ClientError
from tests.kit.interop.program import Kitestring, Witness, tag
from tests.rig.network import LightningRig


async def test_it_reads_what_the_wallet_announces(stall: Kitestring, foreign_wallet: ForeignWallet) -> None:
    async with foreign_wallet("applesauce", stall.connect("sauce reads")) as client:
        support, info = await client("getSupport"), await client("getInfo")
        assert [await client("supportsMethod", name) for name in ("pay_invoice", "make_offer")] == [True, False]
        assert await client("supportsNotifications") is bool(info.get("notifications"))
    assert support["encryption"] == ["nip44_v2", "nip04"]
    assert sorted(set(support["methods"]) - {"notifications"}) == sorted(info["methods"])


@pytest.mark.parametrize("setting", ["auto", "nip44", "legacy"])
async def test_it_pays_is_paid_and_looks_through_both_in_each_cipher(
    stall: Kitestring, foreign_wallet: ForeignWallet, witness: Witness, setting: str
) -> None:
    uri = stall.connect(f"sauce pays {setting}", "--encryption", setting)
    async with foreign_wallet("applesauce", uri) as client:
        with World(stall.home / "sandbox.db") as outside:
            bill = outside.invoice(sat(21))
            paid = await client("payInvoice", bill)
            made = await client("makeInvoice", 7_001, {"description": "a sticker", "expiry": 600})
            open_bill = outside.invoice(None)
            await client("payInvoice", open_bill, 9_001)
            await client("listen", made)
            outside.pay(made["invoice"])
        received = await client("heard")
        found = await client("lookupInvoice", None, made["invoice"])
        listed = await client("listTransactions", {"limit": 2})
        assert (await client("getBalance"))["balance"] == stall.ask("balance")["balance_msat"]
    assert hashlib.sha256(bytes.fromhex(paid["preimage"])).hexdigest() == bolt11.decode(bill).payment_hash
    assert (bolt11.decode(made["invoice"]).amount_msat, found["state"]) == (7_001, "settled")
    assert (received["payment_hash"], received["preimage"]) == (made["payment_hash"], found["preimage"])
    assert ([len(listed["transactions"]), listed["total_count"]]) == [2, 3]
    request = await witness.one(23194, to=decode_nwc(uri).service_pubkey)
    assert ("?iv=" in request["content"], tag(request, "encryption") == "nip44_v2") == (
        setting == "legacy", setting != "legacy",
    )  # fmt: skip


async def test_a_refusal_reaches_it_with_its_sentence(stall: Kitestring, foreign_wallet: ForeignWallet) -> None:
    with World(stall.home / "sandbox.db") as outside:
        bill = outside.invoice(sat(200))
    async with foreign_wallet("applesauce", stall.connect("sauce small", "--budget", "100/day")) as client:
        with pytest.raises(ClientError, match="budget"):
            await client("payInvoice", bill)
        assert (await client("getBalance"))["balance"] == 100_000


async def test_on_a_real_node_it_pays_and_is_paid(
    shop: Kitestring, rig: LightningRig, foreign_wallet: ForeignWallet
) -> None:
    bill = await rig.c.invoice(1_000_000)
    async with foreign_wallet("applesauce", shop.connect("sauce on lnd")) as client:
        paid = await client("payInvoice", bill.bolt11)
        made = await client("makeInvoice", 21_000)
        await client("listen", made)
        outside = await rig.c.pay(made["invoice"])
        received = await client("heard")
    assert (await rig.a.payments())[bill.payment_hash].preimage == paid["preimage"]
    assert received["preimage"] == outside.preimage
