"""clink-sdk pays offers of a service that stands in front of a real node."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from kitestring.codec import bolt11
from tests.conftest import NodeJs
from tests.kit.interop.program import Json, Kitestring, Script, Witness, running, tag
from tests.rig.network import LightningRig


class Payer:
    """clink-sdk, unmodified, in a script of ours."""

    def __init__(self, node_js: NodeJs, scripts: Path) -> None:
        self.command = node_js.command(scripts / "offer.mjs")

    async def refused(self, noffer: str, **data: Any) -> Json:
        async with running(self.command, {"noffer": noffer, "data": data, "wait_for_receipt": False}) as script:
            await script.line()
            reply: Json = (await script.line())["reply"]
            await script.end()
        return reply


@pytest.fixture
def payer(node_js: NodeJs, scripts: Path) -> Payer:
    return Payer(node_js, scripts)


async def _pay_and_see_receipt(script: Script, rig: LightningRig, amount_sats: int) -> bolt11.DecodedInvoice:
    reply = (await script.line())["reply"]
    assert set(reply) == {"bolt11"}
    invoice = bolt11.decode(reply["bolt11"])
    assert invoice.amount_msat == amount_sats * 1000
    paid = await rig.c.pay(reply["bolt11"])
    assert paid.status == "SUCCEEDED"
    receipt = (await script.line())["receipt"]
    assert receipt == {"res": "ok", "preimage": paid.preimage}
    assert hashlib.sha256(bytes.fromhex(receipt["preimage"])).hexdigest() == invoice.payment_hash
    await script.end()
    return invoice


@pytest.mark.parametrize(("options", "kind", "price", "data"), [
    (("--price", "210"), 0, 210, {}),
    ((), 2, None, {"amount_sats": 777, "description": "two teas", "expires_in_seconds": 600}),
], ids=["fixed", "spontaneous"])  # fmt: skip
async def test_an_invoice_of_an_offer_is_paid_by_another_node_and_the_receipt_proves_it(
    shop: Kitestring, rig: LightningRig, payer: Payer, witness: Witness,
    options: tuple[str, ...], kind: int, price: int | None, data: Json,
) -> None:  # fmt: skip
    noffer = shop.offer(f"tea at {price}", *options)
    async with running(payer.command, {"noffer": noffer, "data": data, "wait_for_receipt": True}) as script:
        pointer = (await script.line())["pointer"]
        assert (pointer["type"], pointer["pubkey"]) == ("noffer", shop.card["service_pubkey"])
        assert (pointer["relay"], pointer["priceType"], pointer.get("price")) == (shop.card["relay"], kind, price)
        invoice = await _pay_and_see_receipt(script, rig, price or data["amount_sats"])
    request = await witness.one(21001, to=pointer["pubkey"])
    answers = witness.of(21001, author=pointer["pubkey"], answers=request["id"])
    assert [event["tags"] for event in answers] == [
        [["p", request["pubkey"]], ["e", request["id"]], ["clink_version", "1"]]
    ] * 2
    assert tag(request, "clink_version") == "1"
    (row,) = [found for found in shop.ask("transactions")["transactions"] if found["bolt11"] == invoice.text]
    assert (row["state"], row["amount_msat"], row["type"]) == ("settled", invoice.amount_msat, "incoming")


async def test_an_unknown_offer_is_refused_with_code_1(shop: Kitestring, payer: Payer) -> None:
    noffer = shop.offer("soon gone")
    shop.ask("offer", "delete", "soon gone", "--yes")
    reply = await payer.refused(noffer, amount_sats=21)
    assert (reply["res"], reply["code"]) == ("GFY", 1)
    assert "bolt11" not in reply


async def test_an_amount_out_of_range_is_refused_with_the_range(shop: Kitestring, payer: Payer) -> None:
    limited = shop.offer("between ten and a thousand", "--min", "10", "--max", "1000")
    fixed = shop.offer("exactly fifty", "--price", "50")
    *asked, not_the_price = await asyncio.gather(
        payer.refused(limited, amount_sats=9), payer.refused(limited, amount_sats=1001), payer.refused(limited),
        payer.refused(fixed, amount_sats=49),
    )  # fmt: skip
    for reply in asked:
        assert (reply["res"], reply["code"], reply["range"]) == ("GFY", 5, {"min": 10, "max": 1000})
    assert (not_the_price["code"], not_the_price["range"]) == (5, {"min": 50, "max": 50})
