"""The service is killed between a sale and the word about it, again and again: the server is told of each sale."""

from __future__ import annotations

import os
import random
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from kitestring.backend.sandbox.world import World
from kitestring.base.money import sat
from kitestring.client.net import Net
from kitestring.client.payable import Terms, ask
from kitestring.ledger.audit.checks import audit
from kitestring.transport.clock import SystemClock
from kitestring.transport.proxies import Proxies
from tests.kit.app.process import GENEROUS, PATIENCE_S, Service, relay
from tests.kit.app.receiver import receiver, says
from tests.kit.waiting import until

KILLS = 12
#: Sales in each life.
SALES = 4
#: Of the kills, so many at least must come while something waits to be told.
HITS = KILLS // 3
SEED = 20261130
PRICE = sat(210)
WAITING = "SELECT 1 FROM deliveries WHERE state = 'waiting'"


@pytest.mark.timeout(300)
async def test_a_server_is_told_of_every_sale_whatever_is_killed_in_between(tmp_path: Path) -> None:
    chance, hits, hashes = random.Random(SEED), 0, set[str]()
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(relay())
        server = await stack.enter_async_context(receiver(says(204)))
        settings = f'{GENEROUS}offer_requests_per_min = 1000000\n[network]\nprivate_hosts = ["127.0.0.1"]\n'
        service = Service(tmp_path / "home", hub.url, settings=settings)
        card = await service.start()
        made = await service.call(
            "offer_create", "tea", label="tea", price_msat=int(PRICE), webhook=f"{server.base}/paid"
        )
        secret = (await service.call("offer_webhook", "see", offer="tea"))["secret"]
        net = Net(SystemClock(), os.urandom, Proxies(), own_relays=(hub.url,), allow_private=True)
        world = stack.enter_context(World(service.home.sandbox_db))
        for life in range(KILLS):
            for _ in range(SALES):
                async with await ask(made["noffer"], Terms(), net) as payable:
                    world.pay(payable.invoice.text)
                    hashes.add(payable.invoice.payment_hash)
            server.answers[:] = [says(500 if life % 2 else 204)]
            sold = f"SELECT 1 FROM deliveries LIMIT {len(hashes)}"
            if chance.random() < 0.5:  # else it dies before it knows of the last sales
                await until(lambda: len(service.read(sold)) == len(hashes), limit_s=PATIENCE_S, pause_s=0.005)  # noqa: B023 - awaited in the same round
            await service.end(signal.SIGKILL)
            hits += bool(service.read(WAITING)) or len(service.read(sold)) < len(hashes)
            await service.start()
        server.answers[:] = [says(204)]
        done = "SELECT 1 FROM deliveries WHERE state = 'delivered'"
        await until(lambda: len(service.read(done)) == len(hashes), limit_s=PATIENCE_S, pause_s=0.05)
        assert service.read(WAITING) == []
        assert await service.end(signal.SIGTERM) == 0
    told = [asked.told for asked in server.asked]
    assert {one["payment_hash"] for one in told} == hashes
    assert len({one["id"] for one in told}) == len(hashes) == KILLS * SALES
    assert {one["amount_sats"] for one in told} == {210}
    assert all(asked.is_signed(secret, server.base) for asked in server.asked)
    assert hits >= HITS, hits
    assert audit(service.home.ledger, card["service_pubkey"]) == []
