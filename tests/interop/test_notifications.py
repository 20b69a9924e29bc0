"""The sdk of Alby hears of the payments of its connection, in the cipher that it speaks, and our client beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from kitestring import Wallet
from kitestring.backend.sandbox.world import World
from kitestring.base.money import sat
from kitestring.codec.uri import decode_nwc
from tests.interop.conftest import ForeignWallet
from tests.kit.interop.program import WAIT_LIMIT_S, Kitestring, Witness, tag
from tests.rig.network import LightningRig

KINDS = {"nip44_v2": 23197, "nip04": 23196}


@pytest.fixture
def outside(stall: Kitestring) -> Iterator[World]:
    """Whoever is not the service: they pay, and are paid."""
    with World(stall.home / "sandbox.db") as world:
        yield world


@pytest.mark.parametrize(("setting", "spoken"), [("auto", "nip44_v2"), ("legacy", "nip04")])
async def test_it_hears_of_what_it_gets_and_of_what_it_pays_and_not_of_what_others_do(
    stall: Kitestring, foreign_wallet: ForeignWallet, outside: World, witness: Witness, setting: str, spoken: str
) -> None:
    mine = stall.connect(f"sdk hears {setting}", "--encryption", setting)
    async with (
        foreign_wallet("sdk", mine) as client,
        foreign_wallet("sdk", stall.connect(f"sdk beside {setting}")) as other,
    ):
        await client("listen")
        foreign = await other("makeInvoice", {"amount": 5_000})
        outside.pay(foreign["invoice"])
        made = await client("makeInvoice", {"amount": 21_000, "description": "a kite"})
        outside.pay(made["invoice"])
        received = await client("heard")
        assert received["notification_type"] == "payment_received"
        assert received["notification"] == await client("lookupInvoice", {"payment_hash": made["payment_hash"]})
        paid = await client("payInvoice", {"invoice": outside.invoice(sat(9))})
        sent = await client("heard")
        assert (sent["notification_type"], sent["notification"]["preimage"]) == ("payment_sent", paid["preimage"])
    event = await witness.one(KINDS[spoken], author=decode_nwc(mine).service_pubkey)
    assert [event["tags"], ("?iv=" in event["content"])] == [[["p", tag(event, "p")]], spoken == "nip04"]


async def test_on_a_real_node_both_hear_of_the_same_payment(
    shop: Kitestring, rig: LightningRig, foreign_wallet: ForeignWallet
) -> None:
    uri = shop.connect("both hear")
    async with foreign_wallet("sdk", uri) as client, Wallet.open(uri) as own, own.notifications() as news:
        await client("listen", ["payment_received"])
        made = await client("makeInvoice", {"amount": 123_456})
        paid = await rig.c.pay(made["invoice"])
        theirs = (await client("heard"))["notification"]
        ours = (await asyncio.wait_for(anext(news), WAIT_LIMIT_S)).transaction
    assert (theirs["payment_hash"], theirs["preimage"]) == (made["payment_hash"], paid.preimage)
    assert (ours.payment_hash, ours.preimage, int(ours.amount_msat)) == (made["payment_hash"], paid.preimage, 123_456)
