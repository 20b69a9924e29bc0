"""The wired service goes on when its surroundings come late or fail for a while."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kitestring.app import core as core_module
from kitestring.app.config import Config
from kitestring.app.core import Core, Place
from kitestring.app.keyring import Keyring
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.ledger import Claimed, Execute, Message, Request, SaveGrant
from kitestring.nostr import kinds
from kitestring.relay.server import Relay
from kitestring.sdk.clock import SystemClock
from tests.fakes.crossings import CrossedStore
from tests.relay.kit import client

KEYRING = Keyring(b"\x07" * 32)


@asynccontextmanager
async def opened(tmp_path: Path) -> AsyncIterator[tuple[Relay, Core]]:
    """A relay, and a service that is not started yet."""
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as relay:
        place = Place(tmp_path / "ledger.db", tmp_path, (relay.url,))
        core = await Core.open(Config(tmp_path), place, KEYRING, clock=SystemClock(), entropy=os.urandom)
        yield relay, core
        await core.stop(1)


async def add_connection(core: Core) -> None:
    grant = Grant(
        grant_id="app", name="app", wire="nwc", caller="ab" * 32, methods=frozenset({"get_balance"}),
        service_pubkey=KEYRING.connection_key("app").public_hex,
    )  # fmt: skip
    request = Request("ctl:1", "control", "owner", b"", b"", 1, 1)
    answer = await core.store.apply(Execute(request, (SaveGrant(grant),), Message("ctl:1", "reply", b"{}", b"", 1)))
    assert isinstance(answer, Claimed)


async def test_connections_are_announced_also_when_the_first_relay_comes_late(tmp_path: Path) -> None:
    async with opened(tmp_path) as (relay, core):
        await add_connection(core)
        connected, answers = core.pool.connected, [False]

        async def late() -> bool:
            return answers.pop() if answers else await connected()

        core.pool.connected = late  # type: ignore[method-assign, assignment]
        await core.start()
        wanted = {"kinds": [kinds.NWC_INFO], "authors": [KEYRING.connection_key("app").public_hex]}
        async with client(relay) as reader, asyncio.timeout(20):
            while not (found := await reader.ask("info", wanted)):
                pass
        assert found[0].content == "get_balance get_info"


async def test_a_disk_that_is_full_once_does_not_end_forgetting_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_module, "PRUNE_EVERY_S", 0.001)
    async with opened(tmp_path) as (_, core):
        store = CrossedStore(core.store)
        store.broken = {"Prune": [KitestringError(Reason.INTERNAL, "the disk is full")]}
        core.store = store  # type: ignore[misc]
        await core.start()
        async with asyncio.timeout(20):
            while "Prune" not in [type(tx).__name__ for tx in store.applied]:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert store.broken == {"Prune": []}
