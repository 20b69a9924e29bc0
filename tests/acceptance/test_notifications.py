"""A program hears of its payments from a real service, over the embedded relay, and goes on where it was."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kitestring import Notification, Notifications, Service, Wallet, sat
from kitestring.backend.sandbox.world import World
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock

LONG_S = 20.0


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as running:
        yield running


async def told(news: Notifications) -> Notification:
    return await asyncio.wait_for(anext(news), LONG_S)


async def test_a_program_hears_what_it_gets_and_pays_and_goes_on_where_it_was(relay: Relay, tmp_path: Path) -> None:
    service = Service(relays=[relay.url], store=tmp_path / "kite.db")
    mine, other = [str((await asyncio.to_thread(service.grant, name)).nwc_uri) for name in ("shop", "other")]
    async with service:
        with World(tmp_path / "kite.sandbox.db") as world:
            async with (
                Wallet.open(mine) as wallet, Wallet.open(other) as stranger,
                wallet.notifications() as news, stranger.notifications() as foreign,
            ):  # fmt: skip
                invoice = await wallet.invoice(sat(21), memo="tea")
                world.pay(invoice.bolt11)
                received = await told(news)
                assert (received.type, received.transaction.payment_hash) == (
                    "payment_received", invoice.payment_hash,
                )  # fmt: skip
                assert received.transaction == await wallet.lookup(invoice.payment_hash)
                receipt = await wallet.pay(world.invoice(sat(5)))
                sent = await told(news)
                assert (sent.type, sent.transaction.preimage) == ("payment_sent", receipt.preimage)
                later = await wallet.invoice(sat(3))
                position = news.position
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(anext(foreign), 0.5)
            world.pay(later.bolt11)
            async with Wallet.open(mine) as wallet:
                again = wallet.notifications(since=position)
                assert (await told(again)).transaction.payment_hash == later.payment_hash
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(anext(wallet.notifications(since=again.position)), 0.5)


async def test_a_service_that_dies_and_comes_back_tells_what_its_node_got_meanwhile(
    relay: Relay, tmp_path: Path
) -> None:
    service = Service(relays=[relay.url], store=tmp_path / "kite.db")
    link = str((await asyncio.to_thread(service.grant, "shop")).nwc_uri)
    async with Wallet.open(link) as wallet, wallet.notifications() as news:
        async with service:
            invoice = await wallet.invoice(sat(21))
        with World(tmp_path / "kite.sandbox.db") as world:
            world.pay(invoice.bolt11)
        async with Service(relays=[relay.url], store=tmp_path / "kite.db"):
            assert (await told(news)).transaction.payment_hash == invoice.payment_hash
