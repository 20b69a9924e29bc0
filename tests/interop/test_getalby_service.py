"""The service helper of Alby's sdk, as it is, with our own client in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kitestring import KitestringError, Reason, Wallet, sat
from kitestring.backend.sandbox.payments import Behaviour
from kitestring.backend.sandbox.world import World
from kitestring.codec import bolt11
from kitestring.codec.uri import encode_nwc
from tests.conftest import NodeJs
from tests.kit.backend.alby import METHODS, SandboxWallet, served
from tests.kit.backend.sides import open_url


@pytest.fixture
async def wallet(node_js: NodeJs, scripts: Path, tmp_path: Path) -> AsyncIterator[Wallet]:
    node = open_url("sandbox://?latency_ms=5", tmp_path)
    await node.open()
    async with (
        served(SandboxWallet(node), node_js.command(scripts / "service.mjs")) as uri,
        Wallet.open(encode_nwc(uri)) as found,
    ):
        yield found
    await node.close()


@pytest.fixture
def outside(tmp_path: Path, wallet: Wallet) -> World:
    del wallet  # which makes the world
    return World(tmp_path / "sandbox.db")


async def test_it_pays_is_paid_and_shows_both(wallet: Wallet, outside: World) -> None:
    with outside:
        bill = outside.invoice(sat(1_000), "tea")
        before = await wallet.balance()
        paid = await wallet.pay(bill)
        assert await wallet.pay(bill) == paid
        assert await wallet.balance() == before - paid.amount - paid.fee
        made = await wallet.invoice(sat(7), memo="a kite")
        outside.pay(made.bolt11)
        received = await wallet.lookup(made.payment_hash)
        listed = await wallet.transactions()
    assert paid.payment_hash == bolt11.decode(bill).payment_hash
    assert (received.state, received.amount_msat) == ("settled", sat(7))
    assert [(row.type, row.amount_msat) for row in listed] == [("incoming", sat(7)), ("outgoing", sat(1_000))]


async def test_its_refusals_are_typed_and_what_it_does_not_announce_is_not_asked(
    wallet: Wallet, outside: World
) -> None:
    with outside:
        bill = outside.invoice(sat(5), behaviour=Behaviour.FAIL)
        for target, reason in ((bill, Reason.PAYMENT_FAILED), (outside.invoice(sat(10**9)), Reason.INSUFFICIENT_FUNDS)):
            with pytest.raises(KitestringError) as caught:
                await wallet.pay(target, max_fee=sat(10**7))
            assert caught.value.reason is reason
        with pytest.raises(KitestringError) as caught:
            await wallet.lookup("00" * 32)
        assert caught.value.reason is Reason.UNKNOWN_TARGET
    assert "get_budget" not in METHODS
    with pytest.raises(KitestringError, match="does not announce get_budget"):
        await wallet.budget()
