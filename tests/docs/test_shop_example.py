"""The example of the shop runs as it stands, against a real service, and hears of what was paid while it was closed."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from kitestring import Service
from kitestring.backend.sandbox.world import World
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock
from tests.kit.waiting import until

EXAMPLE = Path(__file__).parents[2] / "examples" / "shop.py"
LONG_S = 20.0


async def opened(link: str, room: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), link, cwd=room,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def line(shop: asyncio.subprocess.Process) -> str:
    assert shop.stdout is not None
    return (await asyncio.wait_for(shop.stdout.readline(), LONG_S)).decode().rstrip()


async def closed(shop: asyncio.subprocess.Process) -> str:
    """What it has complained about until it was killed."""
    assert shop.stderr is not None
    shop.kill()
    await shop.wait()
    return (await shop.stderr.read()).decode()


async def test_the_shop_hands_out_what_is_paid_also_while_it_was_closed(tmp_path: Path) -> None:
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as relay:
        service = Service(relays=[relay.url], store=tmp_path / "kite.db")
        may = {"make_invoice", "list_transactions", "payment_received"}
        link = str((await asyncio.to_thread(service.grant, "shop", methods=may)).nwc_uri)
        async with service:
            with World(tmp_path / "kite.sandbox.db") as world:
                shop = await opened(link, tmp_path)
                world.pay((await line(shop)).removeprefix("to be paid: "))
                assert await line(shop) == "tea, paid with 210 sat"
                await until((tmp_path / "shop.position").exists, "the place was kept")
                assert await closed(shop) == ""
                shop = await opened(link, tmp_path)
                second = (await line(shop)).removeprefix("to be paid: ")
                await closed(shop)
                world.pay(second)
                shop = await opened(link, tmp_path)
                third = (await line(shop)).removeprefix("to be paid: ")
                assert await line(shop) == "tea, paid with 210 sat"
                world.pay(third)
                assert await line(shop) == "tea, paid with 210 sat"
                assert await closed(shop) == ""
