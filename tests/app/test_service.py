from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kitestring.app import service
from kitestring.app.config import Config
from kitestring.app.datadir import DataDir
from kitestring.relay.limits import Limits


def test_a_service_asks_for_more_open_files_where_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    for limits in ((1_024, 4_096), (1_024, resource.RLIM_INFINITY), (4_096, 4_096), (resource.RLIM_INFINITY,) * 2):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limits=limits: limits)
        service._raise_open_files()
    assert asked == [(4_096, 4_096), (service.OPEN_FILES, resource.RLIM_INFINITY)]


async def test_a_relay_full_of_strangers_still_takes_what_its_own_service_announces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "RelayLimits", lambda **_: Limits(max_durable_events=0))
    home = DataDir(tmp_path, tmp_path)
    with home.locked():
        async with service.serving(Config(tmp_path, runtime_dir=tmp_path), home) as card, asyncio.timeout(60):
            assert card.nwc_uri is not None
            async with aiohttp.ClientSession() as session, session.ws_connect(card.relays[0]) as socket:
                await socket.send_str('["REQ","info",{"kinds":[13194]}]')
                stored = [await socket.receive_json() for _ in range(2)]
    assert [frame[0] for frame in stored] == ["EVENT", "EOSE"]
