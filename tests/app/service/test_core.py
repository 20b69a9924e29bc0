"""Coming up, going down, and standing on another node."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from kitestring import Service
from kitestring.app.home.config import Config
from kitestring.app.home.keyring import Keyring
from kitestring.app.service import core
from kitestring.app.service.core import Core, Place
from kitestring.app.service.execute import execute
from kitestring.base.errors import KitestringError
from kitestring.base.grants import Grant, Offer
from kitestring.base.transactions.owner import SaveGrant, SaveOffer
from kitestring.engine.limits import Limits
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.nostr import kinds
from kitestring.policy.enrolling import EnrollTerms
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock
from kitestring.transport.relays import MAX_RELAYS

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

    async def counted(self: Core, grace_s: float) -> int:
        stopped.append(self)
        return await stop(self, grace_s)

    monkeypatch.setattr(Core, "stop", counted)
    monkeypatch.setattr("kitestring.app.embedded.host.LISTEN_S", 0.0)
    service = Service(relays=[NOWHERE], store=tmp_path / "kite.db")
    with monkeypatch.context() as broken:
        broken.setattr(Core, step, fail)
        with pytest.raises(BrokenError):
            await service.__aenter__()
    assert len(stopped) == 1
    with pytest.raises(KitestringError, match="no service is running"):
        await service.balance()
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


# ------------------------------------------------------------ old relays

LEFT = "wss://left.example"


async def name_relays(tmp_path: Path, *relays: str) -> None:
    """Let an open offer and a connection name them."""
    core = await open_core(tmp_path)
    offer = SaveOffer(Offer(offer_id="tea", label="tea", relays=relays))
    grant = SaveGrant(Grant(grant_id="shop", name="shop", wire="nwc", relays=relays[:1]))
    await execute(core.store, "named", "owner", (offer, grant), {}, core.clock.now())
    await core.stop(1)


def urls(core: Core) -> list[str]:
    return [row.url for row in core.pool.status()]


async def test_relays_that_a_link_or_a_code_still_names_are_served_and_named_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await name_relays(tmp_path, LEFT, f"{NOWHERE}/")
    core = await open_core(tmp_path)
    assert urls(core) == [NOWHERE, LEFT]
    assert (core.desk.relay_urls(), core.desk.served) == ((NOWHERE,), (NOWHERE, LEFT))
    (line,) = [record.getMessage() for record in caplog.records if LEFT in record.getMessage()]
    assert "is served for the connection shop and the offer tea: `kitestring connection rotate NAME`" in line
    await core.stop(1)


async def test_of_more_relays_than_a_pool_has_some_are_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    many = [f"wss://{number}.example" for number in range(MAX_RELAYS)]
    await name_relays(tmp_path, *many)
    core = await open_core(tmp_path)
    assert urls(core) == [NOWHERE, *many[:-1]]
    assert f"{many[-1]} is not served, there are too many relays, though the offer tea needs it" in caplog.text
    await core.stop(1)


async def test_our_own_relay_among_the_old_ones_is_known_by_its_headers_and_is_not_outside(tmp_path: Path) -> None:
    await name_relays(tmp_path, "ws://127.0.0.1:2/", LEFT)
    own = "ws://127.0.0.1:2"
    place = Place(tmp_path / "ledger.db", tmp_path, (NOWHERE,), relay_headers={own: {"X": "y"}}, own_relay=own)
    config = Config(tmp_path, node_url=f"sandbox://{tmp_path / 'one'}.db", relays=(NOWHERE,))
    core = await Core.open(config, place, KEYRING, clock=SystemClock(), entropy=os.urandom)
    assert urls(core) == [NOWHERE, own, LEFT]
    assert core.clocks._relays == core._relay_witness._outside == (NOWHERE, LEFT)
    await core.stop(1)


async def test_the_other_relays_have_a_moment_to_be_there_too(tmp_path: Path) -> None:
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as relay, asyncio.timeout(20):
        place = Place(tmp_path / "ledger.db", tmp_path, (NOWHERE, relay.url))
        core = await Core.open(Config(tmp_path), place, KEYRING, clock=SystemClock(), entropy=os.urandom)
        await core.start()
        assert await core.listening(10)
        assert core.connections.settled()
        assert core.desk.relays_for_codes() == (relay.url, NOWHERE)
        await core.stop(1)


async def test_a_use_in_the_last_minute_before_a_stop_is_stored(tmp_path: Path) -> None:
    core = await open_core(tmp_path)
    await core.start()
    core.gateway._seen("app")
    await core.stop(1)
    core = await open_core(tmp_path)
    assert list(await core.store.last_uses()) == ["app"]
    await core.stop(1)


def test_the_beacon_tells_of_enrolment_what_is_enforced_and_nothing_while_it_is_closed(tmp_path: Path) -> None:
    place = Place(tmp_path / "kite.db", tmp_path, ("wss://relay.example",))
    closed = core._told_of(Config(tmp_path), place)
    assert (kinds.ENROLL in closed.supported_kinds, closed.enroll_difficulty) == (False, None)
    opened = core._told_of(Config(tmp_path, enroll=EnrollTerms("open", 12)), place)
    assert (kinds.ENROLL in opened.supported_kinds, opened.enroll_difficulty) == (True, 12)
