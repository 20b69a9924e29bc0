"""The two examples as they stand, and the wallet of a program straight on a node."""

import hashlib
import importlib.util
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType

import nostr_sdk
import pytest

import kitestring
from kitestring import Wallet, sat
from kitestring.backend.sandbox.world import World
from kitestring.codec import bolt11
from kitestring.codec.uri import decode_nwc
from tests.interop.test_nostr_sdk import order, wallet
from tests.kit.interop.program import Kitestring, witnessing
from tests.rig.network import LightningRig
from tests.rig.process import Process, wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
SERVE_PORT = 7777


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_pay_asks_for_an_invoice_and_pays_an_offer_two_nodes_away(
    shop: Kitestring, far: Kitestring, rig: LightningRig, capsys: pytest.CaptureFixture[str]
) -> None:
    await example("pay").main(shop.connect("pay.py"), far.card["noffer"])
    code, preimage, fee, unit = capsys.readouterr().out.split()
    invoice = bolt11.decode(code)
    assert (invoice.amount_msat, invoice.description) == (210_000, "tea")
    payment_hash = hashlib.sha256(bytes.fromhex(preimage)).hexdigest()
    at_lnd = (await rig.a.payments())[payment_hash]
    assert (at_lnd.status, at_lnd.amount_msat, at_lnd.preimage) == ("SUCCEEDED", 50_000, preimage)
    assert (fee, unit) == (f"{at_lnd.fee_msat // 1000}", "sat")
    assert at_lnd.fee_msat == shop.booked(payment_hash)["fee_msat"] == 1_000
    assert (await rig.c.lookup(payment_hash))["amt_paid_msat"] == "50000"


async def test_a_wallet_opens_the_node_itself(far: Kitestring, rig: LightningRig) -> None:
    async with Wallet.open(rig.a.backend_url, relays=[far.card["relay"]]) as own:
        invoice = await own.invoice(sat(210), memo="tea")
        assert (await rig.c.pay(invoice.bolt11)).status == "SUCCEEDED"
        receipt = await own.pay(far.card["noffer"], sat(5_000), max_fee=sat(2))
        assert 0 < (await own.balance()) <= await rig.a.balance_msat()
    at_lnd = (await rig.a.payments())[receipt.payment_hash]
    assert (at_lnd.fee_msat, at_lnd.preimage) == (receipt.fee, receipt.preimage)
    assert receipt.fee > sat(1)


@pytest.fixture
async def relay_of_serve() -> AsyncIterator[None]:
    """A relay on the port that the example names."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", SERVE_PORT))
        except OSError:
            pytest.fail(f"something listens on port {SERVE_PORT}, where examples/serve.py wants its relay: stop it")
    relay = nostr_sdk.LocalRelayBuilder().addr("127.0.0.1").port(SERVE_PORT).build()
    await relay.run()
    yield
    relay.shutdown()


@pytest.mark.real
@pytest.mark.usefixtures("relay_of_serve")
async def test_serve_prints_a_connection_that_pays_and_does_nothing_else(
    tmp_path: Path, spawner: Callable[..., Process]
) -> None:
    package = str(Path(kitestring.__file__).parents[1])
    in_directory = ["env", "-C", str(tmp_path), f"PYTHONPATH={package}"]
    process = spawner("serve", [*in_directory, sys.executable, "-u", str(EXAMPLES / "serve.py")])
    wait_until(lambda: "nostr+walletconnect://" in process.log.read_text(), "the URI is printed", process)
    (uri,) = (one for one in process.log.read_text().splitlines() if one.startswith("nostr+walletconnect://"))
    async with witnessing(f"ws://127.0.0.1:{SERVE_PORT}") as onlooker:  # the link is printed before the service listens
        await onlooker.one(13194, author=decode_nwc(uri).service_pubkey)
    client, sandbox = wallet(uri), tmp_path / "kite.sandbox.db"
    with World(sandbox) as world:
        paid = await client.pay_invoice(order(world.invoice(sat(50), "tea")))
        assert len(paid.preimage) == 64
        with pytest.raises(nostr_sdk.NostrSdkError, match=r"(?i)quota"):
            await client.pay_invoice(order(world.invoice(sat(5_000), "tea")))
    with pytest.raises(nostr_sdk.NostrSdkError, match=r"(?i)restricted"):
        await client.get_balance()
    assert process.stop() == 0
