"""Every client over every foreign relay, to a service in front of a simulated node that has nothing but that relay."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from kitestring import Wallet
from kitestring.codec import bolt11
from tests.conftest import NodeJs
from tests.interop.test_nostr_sdk import order, wallet
from tests.kit.interop.program import Kitestring, running
from tests.rig.relays import RELAYS, Running

#: nostr-sdk's wallet client and clink-sdk do not authenticate, so nothing can reach them over a relay that insists.
OPEN = [name for name, relay in RELAYS.items() if not relay.auth]


@pytest.fixture(scope="module")
def shop(foreign: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kitestring]:
    service = Kitestring(tmp_path_factory.mktemp("over") / "shop", "--relay", foreign.url)
    service.start()
    yield service
    assert service.ask("audit")["violations"] == []
    assert service.stop() == 0


def bill(shop: Kitestring) -> bolt11.DecodedInvoice:
    """Somebody out there wants 21 sat."""
    return bolt11.decode(shop.ask("sandbox", "invoice", "21")["bolt11"])


def proves(preimage: str, invoice: bolt11.DecodedInvoice) -> bool:
    return hashlib.sha256(bytes.fromhex(preimage)).hexdigest() == invoice.payment_hash


@pytest.mark.parametrize("foreign", OPEN, indirect=True)
async def test_nostr_sdk_pays(shop: Kitestring) -> None:
    invoice = bill(shop)
    paid = await wallet(shop.connect("nostr-sdk")).pay_invoice(order(invoice.text))
    assert proves(paid.preimage, invoice)


async def test_nostr_tools_pays(shop: Kitestring, node_js: NodeJs, scripts: Path) -> None:
    invoice = bill(shop)
    given = {"uri": shop.connect("nostr-tools", "--encryption", "legacy"), "invoice": invoice.text}
    async with running(node_js.command(scripts / "pay.mjs"), given) as script:
        assert proves((await script.line())["reply"]["result"]["preimage"], invoice)
        await script.end()


@pytest.mark.parametrize("foreign", OPEN, indirect=True)
async def test_clink_sdk_gets_an_invoice_and_the_receipt(shop: Kitestring, node_js: NodeJs, scripts: Path) -> None:
    given = {"noffer": shop.offer("tea", "--price", "210"), "data": {}, "wait_for_receipt": True}
    async with running(node_js.command(scripts / "offer.mjs"), given) as script:
        assert (await script.line())["pointer"]["relay"] == shop.card["relay"]
        invoice = bolt11.decode((await script.line())["reply"]["bolt11"])
        assert invoice.amount_msat == 210_000
        await shop.ask_apart("sandbox", "pay", invoice.text)
        assert proves((await script.line())["receipt"]["preimage"], invoice)
        await script.end()


async def test_our_own_client_pays(shop: Kitestring) -> None:
    invoice = bill(shop)
    async with Wallet.open(shop.connect("own")) as own:
        assert proves((await own.pay(invoice.text)).preimage, invoice)


def test_our_own_client_pays_an_offer_and_is_shown_the_receipt(shop: Kitestring) -> None:
    paid = shop.ask("sandbox", "pay", shop.offer("coffee", "--price", "50"))
    assert (paid["amount_msat"], paid["receipt"]) == (50_000, "proven")


def test_doctor_proves_that_the_relay_carries_what_is_addressed_to_us(foreign: Running, shop: Kitestring) -> None:
    shop.connect("proven")
    assert f"ok    relay       {foreign.url} carries what is addressed to every key" in shop.run("doctor").out
