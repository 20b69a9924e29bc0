from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from kitestring.app import up as service
from kitestring.app.home.config import Config
from kitestring.app.home.datadir import DataDir
from kitestring.app.service.core import Core
from kitestring.base.errors import KitestringError
from kitestring.relay.limits import RelayLimits


async def test_a_relay_full_of_strangers_still_takes_what_its_own_service_announces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RelayLimits, "beside_service", lambda: RelayLimits(max_durable_events=0))
    home = DataDir(tmp_path, tmp_path)
    with home.locked():
        async with service.serving(Config(tmp_path, runtime_dir=tmp_path), home) as card, asyncio.timeout(60):
            assert card.nwc_uri is not None
            async with aiohttp.ClientSession() as session, session.ws_connect(card.relays[0]) as socket:
                await socket.send_str('["REQ","info",{"kinds":[13194]}]')
                stored = [await socket.receive_json() for _ in range(2)]
    assert [frame[0] for frame in stored] == ["EVENT", "EOSE"]


async def test_a_ledger_that_is_gone_is_not_replaced_as_long_as_its_marker_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = DataDir(tmp_path, tmp_path)
    with home.locked():
        async with service.serving(Config(tmp_path, runtime_dir=tmp_path), home):
            assert [record.getMessage() for record in caplog.records if record.name == "kitestring"] == []
    home.ledger.unlink()
    with home.locked(), pytest.raises(KitestringError, match="is gone"):
        async with service.serving(Config(tmp_path, runtime_dir=tmp_path), home):
            pass
    assert not home.ledger.exists()
    home.marker_file.unlink()
    wrong = Config(tmp_path, node_url="lnd+https://127.0.0.1:1", runtime_dir=tmp_path)
    with home.locked(), pytest.raises(KitestringError, match="lacks macaroon"):
        async with service.serving(wrong, home):
            pass
    assert "begins now" not in caplog.text, "nothing began"
    with home.locked():
        async with service.serving(Config(tmp_path, runtime_dir=tmp_path), home):
            assert "there is no ledger beside service.key: an empty one begins now" in caplog.text


async def test_first_starts_that_fail_leave_no_ledger_to_be_missed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = DataDir(tmp_path, tmp_path)
    wrong = Config(tmp_path, node_url="lnd+https://127.0.0.1:1", runtime_dir=tmp_path)
    for _ in range(2):
        with home.locked(), pytest.raises(KitestringError, match="lacks macaroon"):
            async with service.serving(wrong, home):
                pass
    assert (home.key_file.exists(), home.unused_file.exists()) == (True, True)
    with home.locked():
        async with service.serving(Config(tmp_path, runtime_dir=tmp_path), home):
            assert "begins now" not in caplog.text
    assert not home.unused_file.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_start_that_waits_for_a_relay_ends_at_once_when_it_is_asked_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    async def asked_while_nobody_answers(_core: Core, _timeout_s: float) -> bool:
        os.kill(os.getpid(), number)
        return await asyncio.Event().wait()

    monkeypatch.setattr(Core, "listening", asked_while_nobody_answers)
    home, shown = DataDir(tmp_path, tmp_path), list[object]()
    with home.locked():
        async with asyncio.timeout(60):
            await service._serve(Config(tmp_path, runtime_dir=tmp_path), home, shown.append)
        assert shown == []
        assert not home.control_path().exists()
