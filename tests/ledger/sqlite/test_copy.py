"""A copy is whole, is one file, and does not spend."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import stat
from pathlib import Path

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.payments import State
from kitestring.base.records import Stop, StopCause
from kitestring.base.transactions.answers import Claimed, Denied
from kitestring.base.transactions.service import SetSpending
from kitestring.ledger.audit.checks import audit
from kitestring.ledger.sqlite import copy as copy_module
from kitestring.ledger.sqlite.copy import copy_ledger
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.ledger.steps import state_of
from tests.kit.ledger.values import NOW, SERVICE, answered, claim, credit, lose, payment, setting, settle


async def test_a_copy_made_while_the_service_writes_is_whole_and_does_not_spend(ledger: Path, tmp_path: Path) -> None:
    store = await SqliteStore.open(ledger, SERVICE)
    await store.apply(setting(alice=10**9))
    copies = [tmp_path / f"{number}.db" for number in range(5)]

    async def traffic() -> None:
        for number in range(300):
            await store.apply(claim(f"{number}"))
            await store.apply(settle(f"{number}", 1, answered(f"{number}")))

    writing = asyncio.create_task(traffic())
    for copy in copies:
        await asyncio.to_thread(copy_ledger, ledger, copy, SERVICE, "a copy", NOW)
    await writing
    assert (await store.totals()).spending_stopped == ""
    await store.close()
    assert await asyncio.to_thread(lambda: set(tmp_path.iterdir())) == set(copies)
    for copy in copies:
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert audit(copy, SERVICE) == []
        there = await SqliteStore.open(copy, SERVICE)
        assert await there.apply(claim("new")) == Denied(Reason.SPENDING_STOPPED)
        assert await there.stops() == [Stop(StopCause.LEDGER, "a copy", NOW)]
        await there.apply(credit("received"))
        await there.apply(SetSpending(False, "sure", NOW, StopCause.LEDGER))
        assert await there.apply(claim("new")) == Claimed()
        await there.close()


@pytest.mark.parametrize("state", [State.DISPATCHED, State.UNKNOWN, State.SETTLED])
async def test_a_payment_is_in_the_copy_in_the_state_in_which_it_was(
    ledger: Path, tmp_path: Path, state: State
) -> None:
    store = await SqliteStore.open(ledger, SERVICE)
    await store.apply(setting())
    await store.apply(claim("a", payment("a")))
    if state is not State.DISPATCHED:
        await store.apply(lose("a"))
    if state is State.SETTLED:
        await store.apply(settle("a", 1, answered("a")))
    await asyncio.to_thread(copy_ledger, ledger, tmp_path / "copy.db", SERVICE, "a copy", NOW)
    await store.close()
    there = await SqliteStore.open(tmp_path / "copy.db", SERVICE)
    assert await state_of(there, "a") is state
    await there.close()


async def test_a_stop_that_was_there_stays_and_what_is_no_ledger_is_not_copied(ledger: Path, tmp_path: Path) -> None:
    store = await SqliteStore.open(ledger, SERVICE)
    await store.apply(SetSpending(True, "the first doubt", NOW, StopCause.LEDGER))
    await store.close()
    copy_ledger(ledger, tmp_path / "copy.db", SERVICE, "a copy", NOW + 1)
    there = await SqliteStore.open(tmp_path / "copy.db", SERVICE)
    assert await there.stops() == [Stop(StopCause.LEDGER, "the first doubt", NOW)]
    await there.close()
    with pytest.raises(FileExistsError):
        copy_ledger(ledger, tmp_path / "copy.db", SERVICE, "a copy", NOW)
    with pytest.raises(KitestringError, match="there is no ledger"):
        copy_ledger(tmp_path / "nothing.db", tmp_path / "new.db", SERVICE, "a copy", NOW)


async def test_a_disk_that_is_full_is_named_by_the_copy_for_the_ledger_is_only_read(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    await (await SqliteStore.open(ledger, SERVICE)).close()
    monkeypatch.setattr(copy_module, "service_number", full)
    with pytest.raises(OSError, match=str(tmp_path / "copy.db")) as caught:
        await asyncio.to_thread(copy_ledger, ledger, tmp_path / "copy.db", SERVICE, "a copy", NOW)
    assert caught.value.errno == errno.ENOSPC
