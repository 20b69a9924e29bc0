"""Forgetting goes on, whatever happens to one round of it."""

from __future__ import annotations

import asyncio

import pytest

from kitestring.app.service.housekeeping import (
    FIRST_PRUNE_S,
    FORGET_EVERY_S,
    KEEP_S,
    PRUNE_EVERY_S,
    forget_refusals,
    prune_daily,
)
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.transactions.feed import ForgetNews
from kitestring.base.transactions.requests import Answer, Prune
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.rig import Life
from tests.kit.ledger.values import refuse, reply, request


@virtual
async def test_a_disk_that_is_full_once_does_not_end_forgetting_for_ever(life: Life) -> None:
    async with life.service(start=False) as rig:
        rig.store.broken = {"Prune": [KitestringError(Reason.INTERNAL, "the disk is full")]}
        begun = rig.clock.now()
        pruning = asyncio.create_task(prune_daily(rig.store, rig.clock))
        await rig.clock.sleep(2.5 * PRUNE_EVERY_S)
        pruning.cancel()
        rounds = [FIRST_PRUNE_S + number * PRUNE_EVERY_S for number in range(3)]
        for kind, done in ((Prune, rounds[1:]), (ForgetNews, rounds)):
            assert [tx.now - begun for tx in rig.store.applied if isinstance(tx, kind)] == done


@virtual
async def test_a_service_that_is_restarted_every_night_forgets_all_the_same(life: Life) -> None:
    async with life.service(start=False) as rig:
        for _ in range(3):
            pruning = asyncio.create_task(prune_daily(rig.store, rig.clock))
            await rig.clock.sleep(PRUNE_EVERY_S - 60)
            pruning.cancel()
        done = [type(tx) for tx in rig.store.applied]
        assert (done.count(Prune), done.count(ForgetNews)) == (3, 3)


@virtual
async def test_much_that_is_old_is_forgotten_in_steps_of_one_round(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.requests.PRUNE_LIMIT", 2)
    async with life.service(start=False) as rig:
        for number in range(5):
            asked = request(f"r{number}", grant_id="owner", sent_at=rig.clock.now(), received_at=rig.clock.now())
            await rig.store.apply(Answer(asked, (replace(reply(f"r{number}"), signed_at=rig.clock.now()),), 0))
        pruning = asyncio.create_task(prune_daily(rig.store, rig.clock))
        await rig.clock.sleep(KEEP_S + PRUNE_EVERY_S)
        newest = request("newest", grant_id="owner", sent_at=rig.clock.now(), received_at=rig.clock.now())
        await rig.store.apply(Answer(newest, (reply("newest"),), 0))
        await rig.clock.sleep(PRUNE_EVERY_S + 1)
        pruning.cancel()
        kept = [await rig.store.request(name) for name in ("r0", "r4", "newest")]
        assert [one is not None for one in kept] == [False, False, True]
        horizons = [tx.now for tx in rig.store.applied if isinstance(tx, Prune)]
        assert horizons.count(max(horizons)) == 3  # of two, two and one


@virtual
async def test_refusals_are_forgotten_within_minutes_after_their_time(life: Life) -> None:
    async with life.service(start=False) as rig:
        now = rig.clock.now()
        await rig.store.apply(refuse("r", None, sent_at=now, received_at=now, until=now + 360))
        forgetting = asyncio.create_task(forget_refusals(rig.store, rig.clock))
        await rig.clock.sleep(361)
        assert await rig.store.request("r") is not None
        await rig.clock.sleep(FORGET_EVERY_S)
        assert await rig.store.request("r") is None
        forgetting.cancel()
