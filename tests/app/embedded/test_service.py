"""The service inside a program of somebody's own, over a real relay and a sandbox beside its store."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from kitestring import (
    Budget,
    KitestringError,
    Reason,
    Service,
    Wallet,
    sat,
)
from kitestring.backend.sandbox.world import World
from kitestring.codec.pointers import decode
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock


async def test_a_wallet_pays_through_a_grant_made_before_the_service_ran(relay: Relay, tmp_path: Path) -> None:
    service = Service(relays=[relay.url], store=tmp_path / "kite.db")
    grant = await asyncio.to_thread(service.grant, "agent", budget=Budget.daily(sat(100)))
    assert grant.nwc_uri is not None
    async with service, Wallet.open(grant.nwc_uri) as wallet:
        with World(tmp_path / "kite.sandbox.db") as world:
            receipt = await wallet.pay(world.invoice(sat(50)), max_fee=sat(1))
            with pytest.raises(KitestringError) as refused:
                await wallet.pay(world.invoice(sat(60)), max_fee=sat(1))
            paid = [payment.preimage for payment in world.payments()]
    assert refused.value.reason is Reason.OVER_BUDGET
    figures = refused.value.details
    assert (figures["limit_msat"], figures["left_msat"]) == (100_000, 100_000 - int(receipt.amount + receipt.fee))
    assert figures["used_msat"] == int(receipt.amount + receipt.fee)
    assert isinstance(figures["renews_at"], int)
    assert paid == [receipt.preimage]


async def test_a_grant_and_a_code_over_a_relay_that_was_left_still_work(relay: Relay, tmp_path: Path) -> None:
    before = Service(relays=[relay.url], store=tmp_path / "kite.db")
    grant = await asyncio.to_thread(before.grant, "agent", budget=Budget.daily(sat(100)))
    tea = await asyncio.to_thread(before.offer, "tea")
    assert grant.nwc_uri is not None
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as other:
        service = Service(relays=[other.url], store=tmp_path / "kite.db")
        assert await asyncio.to_thread(service.offer, "tea") == tea
        async with service, Wallet.open(grant.nwc_uri) as wallet:
            with World(tmp_path / "kite.sandbox.db") as world:
                await wallet.pay(world.invoice(sat(50)), max_fee=sat(1))
            made = await service.add_offer("mug")
    assert decode(made.noffer).relays == (other.url,)
