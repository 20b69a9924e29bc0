from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from kitestring.app import up as service
from kitestring.app.home.config import Config
from kitestring.app.home.datadir import DataDir
from kitestring.app.service import own_relay
from kitestring.relay.limits import Limits


async def test_a_relay_full_of_strangers_still_takes_what_its_own_service_announces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_relay, "Limits", lambda **_: Limits(max_durable_events=0))
    home = DataDir(tmp_path, tmp_path)
    with home.locked():
        async with service.serving(Config(tmp_path, runtime_dir=tmp_path), home) as card, asyncio.timeout(60):
            assert card.nwc_uri is not None
            async with aiohttp.ClientSession() as session, session.ws_connect(card.relays[0]) as socket:
                await socket.send_str('["REQ","info",{"kinds":[13194]}]')
                stored = [await socket.receive_json() for _ in range(2)]
    assert [frame[0] for frame in stored] == ["EVENT", "EOSE"]
