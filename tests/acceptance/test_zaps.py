"""The service is killed between a zap and its receipt, again and again: everybody finds one receipt of each zap."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from kitestring.backend.sandbox.world import World
from kitestring.codec import bolt11
from kitestring.crypto.keys import SecretKey
from kitestring.ledger.audit.checks import audit
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, encode_event, sign_event, verify_event
from kitestring.relay.limits import RelayLimits
from tests.kit.app.process import GENEROUS, PATIENCE_S, Service, payer, relay
from tests.kit.relay.client import client
from tests.kit.waiting import until

KILLS = 10
#: Zaps in each life.
ZAPS = 4
#: Of the kills, so many at least must come before all that was zapped by then has its receipt.
HITS = 2
SEED = 20261130
SENDER, ZAPPED = SecretKey(b"\x21" * 32), SecretKey(b"\x22" * 32)


def zap_request(number: int, relay_url: str) -> str:
    tags = [["p", ZAPPED.public_hex], ["relays", relay_url], ["amount", "21000"], ["e", f"{number:064x}"]]
    signed = sign_event(SENDER, kind=kinds.ZAP_REQUEST, tags=tags, content="", created_at=int(time.time()))
    return encode_event(signed).decode()


def told(receipt: Event) -> dict[str, str]:
    return dict(tag[:2] for tag in receipt.tags)


@pytest.mark.timeout(300)
async def test_each_zap_has_one_receipt_whatever_is_killed_in_between(tmp_path: Path) -> None:
    chance, hits, zaps = random.Random(SEED), 0, dict[str, str]()
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(relay(RelayLimits(kinds=None)))
        reader = await stack.enter_async_context(client(hub))

        async def receipts() -> list[Event]:
            return list(await reader.ask("receipts", {"kinds": [kinds.ZAP_RECEIPT]}))

        async def has_all() -> bool:
            return {told(found)["description"] for found in await receipts()} == zaps.keys()

        service = Service(tmp_path / "home", hub.url, settings=f"{GENEROUS}offer_requests_per_min = 1000000\n")
        card = await service.start()
        pubkey = card["service_pubkey"]
        offer = await service.call("offer_create", "zaps", label="zaps", zap_key=ZAPPED.public_hex)
        assert offer["offer_id"].startswith("zap")
        world = stack.enter_context(World(service.home.sandbox_db))
        for _ in range(KILLS):
            async with payer(pubkey, hub.url) as asking:
                for _ in range(ZAPS):
                    zap = zap_request(len(zaps), hub.url)
                    asked = await asking.invoice(offer["offer_id"], 21, zap=zap)
                    zaps[zap] = (await asking.answer(asked))["bolt11"]
                    world.pay(zaps[zap])
            if chance.random() < 0.5:  # else it dies before it knows of the last ones
                await until(has_all, limit_s=PATIENCE_S, pause_s=0.01)
            hits += not await has_all()
            await service.end(signal.SIGKILL)
            await service.start()
        await until(has_all, limit_s=PATIENCE_S, pause_s=0.05)
        assert await service.end(signal.SIGTERM) == 0
        found = await receipts()
    assert Counter(told(receipt)["description"] for receipt in found) == dict.fromkeys(zaps, 1)
    assert all(verify_event(receipt) and receipt.pubkey == pubkey for receipt in found)
    assert {told(receipt)["description"]: told(receipt)["bolt11"] for receipt in found} == zaps
    assert {told(receipt)["e"] for receipt in found} == {f"{number:064x}" for number in range(KILLS * ZAPS)}
    hashes = {bolt11.decode(text, recover=False).description_hash for text in zaps.values()}
    assert len(hashes) == len(zaps)
    assert hits >= HITS, hits
    assert audit(service.home.ledger, pubkey) == []
