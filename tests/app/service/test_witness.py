"""A ledger that is not provably the one that served last does not spend, and says why."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kitestring.app.home.marker import read_marker
from kitestring.app.service.witness import Witness
from kitestring.base.errors import NotStoredError, Reason
from kitestring.base.records import StopCause
from kitestring.base.transactions.answers import Claimed, Denied
from kitestring.base.transactions.service import SetSpending
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.clock import VirtualClock
from tests.kit.ledger.values import NOW, SERVICE, answered, claim, setting, settle


@asynccontextmanager
async def served(ledger: Path, *, begin: bool = True) -> AsyncIterator[tuple[SqliteStore, Witness]]:
    store = await SqliteStore.open(ledger, SERVICE)
    witness = Witness(store, ledger, VirtualClock())
    if begin:
        await witness.begin()
    yield store, witness
    await witness.look()
    await store.close()


async def first_life(ledger: Path) -> None:
    async with served(ledger) as (store, witness):
        await store.apply(setting())
        await witness.look()


def take_away(ledger: Path) -> None:
    ledger.unlink()


async def why(store: SqliteStore) -> dict[str, str]:
    return {stop.cause.value: stop.why for stop in await store.stops()}


async def test_a_new_ledger_gets_a_marker_that_follows_it_and_the_next_start_spends(ledger: Path) -> None:
    async with served(ledger) as (store, witness):
        assert read_marker(ledger.with_suffix(".marker")) == await store.generation()
        await store.apply(setting())
        await witness.look()
        assert read_marker(ledger.with_suffix(".marker")) == await store.generation()
    async with served(ledger) as (store, _):
        assert await why(store) == {}
        assert await store.apply(claim("a")) == Claimed()
    async with served(ledger) as (store, _):
        assert await why(store) == {}


async def test_a_ledger_behind_its_marker_does_not_spend_and_leaves_the_marker_as_it_is(ledger: Path) -> None:
    await first_life(ledger)
    old = ledger.with_suffix(".old")
    shutil.copy(ledger, old)
    async with served(ledger) as (store, _):
        await store.apply(claim("a"))
        await store.apply(settle("a", 10, answered("a")))
    marker = read_marker(ledger.with_suffix(".marker"))
    old.replace(ledger)
    for _start in range(2):
        async with served(ledger) as (store, _):
            assert (await why(store))["ledger"].startswith("the ledger is older than its marker: at least 3 rows")
            assert await store.apply(claim("b")) == Denied(Reason.SPENDING_STOPPED)
    assert read_marker(ledger.with_suffix(".marker")) == marker


async def test_another_ledger_in_its_place_does_not_spend(ledger: Path) -> None:
    await first_life(ledger)
    take_away(ledger)
    async with served(ledger) as (store, _):
        assert await why(store) == {
            "ledger": "this is not the ledger that served here last: its marker names another one"
        }


async def test_a_ledger_with_money_in_it_and_no_marker_does_not_spend(ledger: Path) -> None:
    await first_life(ledger)
    ledger.with_suffix(".marker").unlink()
    async with served(ledger) as (store, _):
        assert "there is no marker" in (await why(store))["ledger"]
    assert not ledger.with_suffix(".marker").exists()


async def test_a_ledger_that_was_allowed_again_is_a_new_one_and_the_one_it_replaced_is_not_taken_for_it(
    ledger: Path,
) -> None:
    await first_life(ledger)
    newer, marker = ledger.with_suffix(".newer"), ledger.with_suffix(".marker")
    shutil.copy(ledger, newer)
    marker.unlink()
    async with served(ledger) as (store, witness):
        await store.apply(SetSpending(False, "sure", NOW, StopCause.LEDGER))
        await witness.look()
        assert read_marker(marker) == await store.generation()
    async with served(ledger) as (store, _):
        assert await why(store) == {}
    newer.replace(ledger)
    async with served(ledger) as (store, _):
        assert list(await why(store)) == ["ledger"]


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_is_taken_away_or_replaced_under_the_service_stops_spending_once(
    ledger: Path, replaced: bool
) -> None:
    async with served(ledger) as (store, witness):
        await store.apply(setting())
        take_away(ledger)
        if replaced:
            shutil.copy(__file__, ledger)
        for _look in range(3):
            await witness.look()
        assert list(await why(store)) == ["file"]
        assert await store.apply(claim("a")) == Denied(Reason.SPENDING_STOPPED)
        assert [event.subject for event in await store.alarms(0, 10)] == ["spending"]


async def test_a_stop_that_the_disk_refuses_is_stored_at_the_next_look(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(ledger) as (store, witness):
        take_away(ledger)
        with monkeypatch.context() as patch:
            patch.setattr(store, "apply", full)
            await witness.look()
        assert await why(store) == {}
        await witness.look()
        assert "taken away or replaced" in (await why(store))["file"]


async def full(_: object) -> None:
    raise NotStoredError(Reason.INTERNAL, "the disk is full")


async def test_a_marker_that_cannot_be_written_is_said_once_and_the_service_goes_on(
    ledger: Path, caplog: pytest.LogCaptureFixture
) -> None:
    marker = ledger.with_suffix(".marker")
    async with served(ledger) as (store, witness):
        marker.unlink()
        marker.mkdir()
        (marker / "in the way").touch()
        await store.apply(setting())
        for _look in range(3):
            await witness.look()
        assert caplog.text.count("the marker of the ledger is not written") == 1
        assert await store.apply(claim("a")) == Claimed()
        shutil.rmtree(marker)
        await witness.look()
        assert read_marker(marker) == await store.generation()


async def test_a_ledger_that_nobody_has_compared_yet_leaves_the_marker_alone(ledger: Path) -> None:
    await first_life(ledger)
    marker = ledger.with_suffix(".marker")
    before = marker.read_bytes()
    async with served(ledger, begin=False) as (store, _):
        await store.apply(claim("a"))
    assert marker.read_bytes() == before
