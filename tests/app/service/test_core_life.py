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
from kitestring.app.service.owner_wire import encode_control
from kitestring.app.service.waiters import Waiters
from kitestring.base.commands import PayInvoice
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Outcome, Paid
from kitestring.base.ports import Encoded
from kitestring.transport.clock import SystemClock
from tests.engine.kit import Life
from tests.fakes.clock import virtual

KEYRING = Keyring(b"\x07" * 32)
NOWHERE = "ws://127.0.0.1:1"


async def open_core(tmp_path: Path, sandbox: str = "one") -> Core:
    place = Place(tmp_path / "ledger.db", tmp_path, (NOWHERE,))
    config = Config(tmp_path, node_url=f"sandbox://{tmp_path / sandbox}.db")
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


# ------------------------------------------------------------ waiting for an answer


@virtual
async def test_a_repeated_command_whose_answer_is_stored_gets_it_at_once(life: Life) -> None:
    async with life.service(start=False) as rig:

        def encode(_: bytes, part: str, outcome: Outcome, now: int) -> Encoded | None:
            return encode_control(part, outcome, now)

        core = Core.__new__(Core)
        core.clock, core.engine = rig.clock, rig.engine  # type: ignore[misc]
        core.waiters = Waiters()  # type: ignore[misc]
        rig.store.subscribe(core.waiters.hear)
        rig.context.encode, rig.context.deliver = encode, core.waiters.tell
        text, payment_hash = life.node.outside_invoice()
        command = PayInvoice(
            bolt11=text, payment_hash=payment_hash, amount_msat=Msat(1_000), network="regtest",
            expires_at=rig.clock.now() + 60,
        )  # fmt: skip
        assert isinstance(await core.perform("ctl:1", "owner", command, 75), Paid)
        rig.clock.skew_s = 3_600
        again_at = rig.clock.monotonic()
        assert isinstance(await core.perform("ctl:1", "owner", command, 75), Paid)
        assert rig.clock.monotonic() == again_at


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


async def test_a_payment_that_is_not_unknown_is_not_resolved(tmp_path: Path) -> None:
    core = await open_core(tmp_path)
    with pytest.raises(KitestringError) as refused:
        await core.resolve_payment("nothing", "why")
    assert refused.value.reason is Reason.INTERNAL
    await core.stop(1)
