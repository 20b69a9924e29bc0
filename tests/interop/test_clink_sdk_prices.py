"""clink-sdk pays an offer with a price in a currency, at the rate of exchanges on this machine."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kitestring.codec import bolt11
from kitestring.codec.pointers import Noffer, PriceType, decode
from tests.conftest import NodeJs
from tests.kit.client.exchange import exchanges
from tests.kit.interop.program import Json, Kitestring, running


@pytest.fixture
async def bakery(tmp_path: Path, foreign_relay: str) -> AsyncIterator[Kitestring]:
    """A service on a sandbox for whose exchanges a bitcoin costs 97,012 EUR."""
    async with exchanges("97000", "97024") as two:
        urls, hosts = [source.pattern for source in two], [source.address for source in two]
        service = Kitestring(tmp_path / "bakery", "--node", "sandbox://", "--relay", foreign_relay)
        service.home.mkdir(mode=0o700)
        (service.home / "kitestring.toml").write_text(
            f"[rates]\nsources = []\nurls = {json.dumps(urls)}\n[network]\nprivate_hosts = {json.dumps(hosts)}\n"
        )
        service.start()
        yield service
        assert service.ask("audit", "--node")["violations"] == []
        assert service.stop() == 0


class Payer:
    """clink-sdk, unmodified, in a script of ours."""

    def __init__(self, node_js: NodeJs, scripts: Path) -> None:
        self.command = node_js.command(scripts / "offer.mjs")

    async def told(self, noffer: str, **data: object) -> tuple[Json, Json]:
        """What it reads in the code, and what it is answered."""
        asking = {"noffer": noffer, "data": data, "wait_for_receipt": False}
        async with running(self.command, asking) as script:
            pointer, reply = (await script.line())["pointer"], (await script.line())["reply"]
            await script.end()
        return pointer, reply


@pytest.fixture
def payer(node_js: NodeJs, scripts: Path) -> Payer:
    return Payer(node_js, scripts)


async def test_a_price_in_euros_is_paid_at_the_rate_of_the_exchanges_rounded_up_to_a_whole_sat(
    bakery: Kitestring, payer: Payer
) -> None:
    cake = await bakery.ask_apart("offer", "create", "cake", "--price", "2EUR")
    async with running(payer.command, {"noffer": cake["noffer"], "data": {}, "wait_for_receipt": True}) as script:
        pointer = (await script.line())["pointer"]
        assert (pointer["priceType"], pointer.get("price"), pointer["offer"]) == (1, None, cake["offer_id"])
        invoice = bolt11.decode((await script.line())["reply"]["bolt11"])
        # 2 EUR are 2061.600… sat at 97,012 EUR
        assert invoice.amount_msat == 2_062_000 == -(-2 * 10**8 // 97_012) * 1_000
        paid = await bakery.ask_apart("sandbox", "pay", invoice.text)
        assert (await script.line())["receipt"] == {"res": "ok", "preimage": paid["preimage"]}
        await script.end()
    row = await bakery.ask_apart("lookup", invoice.payment_hash)
    assert (row["state"], row["price"]) == ("settled", "2.00 EUR at 1 BTC = 97,012 EUR")
    _, same = await payer.told(cake["noffer"], amount_sats=2062)
    assert bolt11.decode(same["bolt11"]).amount_msat == 2_062_000
    _, other = await payer.told(cake["noffer"], amount_sats=2061)
    assert (other["res"], other["code"], other["range"]) == ("GFY", 5, {"min": 2062, "max": 2062})


async def test_an_offer_that_is_switched_off_moved_or_ended_has_its_code(bakery: Kitestring, payer: Payer) -> None:
    tea = await bakery.ask_apart("offer", "create", "tea", "--price", "50")
    await bakery.ask_apart("offer", "off", "tea")
    _, off = await payer.told(tea["noffer"])
    assert (off["res"], off["code"], "latest" in off) == ("GFY", 1, False)
    await bakery.ask_apart("offer", "on", "tea")
    await bakery.ask_apart("offer", "edit", "tea", "--price", "60")
    dearer = await bakery.ask_apart("offer", "edit", "tea", "--price", "70")
    _, moved = await payer.told(tea["noffer"], amount_sats=50)
    assert (moved["res"], moved["code"], moved["latest"]) == ("GFY", 3, dearer["noffer"])
    pointer = decode(moved["latest"])
    assert isinstance(pointer, Noffer)
    assert (pointer.price_type, pointer.price_sats) == (PriceType.FIXED, 70)
    _, reply = await payer.told(moved["latest"])
    assert bolt11.decode(reply["bolt11"]).amount_msat == 70_000
    await bakery.ask_apart("offer", "forward", tea["offer_id"], "--end")
    _, ended = await payer.told(tea["noffer"])
    assert (ended["code"], "latest" in ended) == (3, False)
