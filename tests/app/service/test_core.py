"""Coming up, going down, and standing on another node."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from kitestring import Service
from kitestring.app.home.config import Config
from kitestring.app.home.keyring import Keyring
from kitestring.app.service.core import Core, Place
from kitestring.base.errors import KitestringError
from kitestring.engine.limits import Limits
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.transport.clock import SystemClock

KEYRING = Keyring(b"\x07" * 32)
NOWHERE = "ws://127.0.0.1:1"


async def open_core(tmp_path: Path, sandbox: str = "one", **settings: Any) -> Core:
    place = Place(tmp_path / "ledger.db", tmp_path, (NOWHERE,))
    config = Config(tmp_path, node_url=f"sandbox://{tmp_path / sandbox}.db", **settings)
    return await Core.open(config, place, KEYRING, clock=SystemClock(), entropy=os.urandom)


class BrokenError(Exception):
    pass


async def fail(*_: object, **__: object) -> Any:
    raise BrokenError


# ------------------------------------------------------------ life


async def test_a_start_that_failed_half_way_is_stopped_without_leaving_anything_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = await open_core(tmp_path)
    monkeypatch.setattr(core.pool, "start", fail)
    with pytest.raises(BrokenError):
        await core.start()
    assert await core.stop(1) == 0
    with pytest.raises(KitestringError, match="closed database"):
        await core.store.grants()


async def test_a_stop_that_fails_half_way_still_closes_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = await open_core(tmp_path)
    await core.start()
    stop = core.engine.stop

    async def broken(grace_s: float) -> int:
        await stop(grace_s)
        raise BrokenError

    monkeypatch.setattr(core.engine, "stop", broken)
    with pytest.raises(BrokenError):
        await core.stop(1)
    with pytest.raises(KitestringError, match="closed database"):
        await core.store.grants()


@pytest.mark.parametrize("step", ["start", "listening"])
async def test_an_embedded_service_that_cannot_start_gives_its_directory_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    stopped: list[Core] = []
    stop = Core.stop

    async def counted(self: Core) -> int:
        stopped.append(self)
        return await stop(self, 1)

    monkeypatch.setattr(Core, "stop", counted)
    monkeypatch.setattr("kitestring.app.embedded.LISTEN_S", 0.0)
    service = Service(relays=[NOWHERE], store=tmp_path / "kite.db")
    with monkeypatch.context() as broken:
        broken.setattr(Core, step, fail)
        with pytest.raises(BrokenError):
            await service.__aenter__()
    assert len(stopped) == 1
    with pytest.raises(KitestringError, match="not running"):
        await service.add_grant("app")
    async with service:  # its lock is free again
        pass


# ------------------------------------------------------------ another node


async def test_coming_to_another_node_and_back_begins_a_new_epoch_each_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    epochs = []
    for sandbox in ("one", "one", "two", "two", "one"):
        core = await open_core(tmp_path, sandbox)
        epochs.append((await core.store.nodes())[-1].epoch)
        assert (await core.store.nodes())[-1].node_id == (await core.backend.info()).node_id
        await core.stop(1)
    assert epochs == [1, 1, 2, 2, 3]
    assert [record.message.count("the service stands on node") for record in caplog.records] == [1, 1]


async def test_the_settings_of_ledger_and_engine_reach_them(tmp_path: Path) -> None:
    limits = Limits(open_payments=7)
    core = await open_core(tmp_path, limits=limits, ledger_cache_mib=3)
    assert isinstance(core.store, SqliteStore)
    assert core.store._writer is not None
    assert core.store._writer.connection.execute("PRAGMA cache_size").fetchone() == (-3 * 1_024,)
    assert core.engine._context.limits is limits
    await core.stop(1)
