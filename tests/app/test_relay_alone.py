"""The relay without a service: it holds its directory while it runs, unless it keeps nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kitestring.app import relay_alone
from kitestring.app.home.config import Config, RelaySettings
from kitestring.app.home.datadir import DataDir
from kitestring.app.relay_alone import serve
from kitestring.base.errors import KitestringError
from kitestring.nostr import kinds
from tests.kit.relay.client import client_of
from tests.kit.transport.relays import note, within

FREE = RelaySettings(port=0)


@asynccontextmanager
async def serving(config: Config, monkeypatch: pytest.MonkeyPatch, *, memory: bool = False) -> AsyncIterator[str]:
    """A relay until the end of the context, which is the signal to it; its URL."""
    stop, up = asyncio.Event(), asyncio.get_running_loop().create_future()
    monkeypatch.setattr(relay_alone, "asked_to_stop", lambda: stop)
    running = asyncio.create_task(serve(config, up.set_result, memory=memory))
    await asyncio.wait((running, up), return_when=asyncio.FIRST_COMPLETED)
    try:
        if running.done():
            running.result()
        yield up.result()
    finally:
        stop.set()
        await asyncio.gather(running, return_exceptions=True)


async def test_it_listens_until_it_is_asked_to_stop_and_remembers_over_a_restart(
    home: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, event = Config(home.path, relay=FREE), note(kind=kinds.NWC_INFO)
    async with serving(config, monkeypatch) as url, client_of(url) as one:
        assert await one.publish(event) == [True, ""]
    async with serving(config, monkeypatch) as again, client_of(again) as one:
        assert await one.ask("all", {"kinds": [kinds.NWC_INFO]}) == [event]
        assert again == url  # its port is inside codes


async def test_a_directory_has_one_relay_or_service_at_a_time(home: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(home.path, relay=FREE)
    async with serving(config, monkeypatch):
        with pytest.raises(KitestringError, match="pid"):
            async with serving(config, monkeypatch):
                pass


async def test_one_that_keeps_nothing_touches_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = tmp_path / "nowhere"
    async with serving(Config(nowhere, relay=FREE), monkeypatch, memory=True) as url, client_of(url) as one:
        assert await one.publish(note()) == [True, ""]
        await within(asyncio.sleep(0))
    assert not nowhere.exists()
