"""When an app has last asked is known after a restart, and costs few rows."""

from __future__ import annotations

import asyncio
import itertools

from kitestring.app.service.last_uses import STORE_EVERY_S, STORED_AGE_S, LastUses
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.transactions.service import NoteUses
from tests.kit.clock import virtual
from tests.kit.engine.rig import Life


@virtual
async def test_an_app_that_asks_all_the_time_is_noted_every_ten_minutes(life: Life) -> None:
    async with life.service(start=False) as rig:
        uses = LastUses(rig.store, rig.clock)
        begun, keeping = rig.clock.now(), asyncio.create_task(uses.keep())
        for _ in range(3 * STORED_AGE_S):
            uses.seen("app")
            await rig.clock.sleep(1)
        keeping.cancel()
        noted = [at - begun for tx in rig.store.applied if isinstance(tx, NoteUses) for _, at in tx.uses]
        assert len(noted) == 3
        assert all(later - earlier >= STORED_AGE_S for earlier, later in itertools.pairwise(noted))
        assert noted[0] <= STORE_EVERY_S


@virtual
async def test_the_last_use_before_a_stop_is_known_to_the_next_life_and_a_clock_that_was_ahead_leaves_none_for_ever(
    life: Life,
) -> None:
    async with life.service(start=False) as rig:
        uses = LastUses(rig.store, rig.clock)
        uses.seen("app")
        uses.seen("other")
        last = rig.clock.now()
        await uses.save()
    async with life.service(start=False) as rig:
        uses = LastUses(rig.store, rig.clock)
        assert await uses.load() == {"app": last, "other": last}
        rig.clock.skew_s = -3_600
        uses.seen("app")
        again = rig.clock.now()
        await uses.save()
        assert await rig.store.last_uses() == {"app": again, "other": last}


@virtual
async def test_what_a_full_disk_did_not_take_is_stored_another_time(life: Life) -> None:
    async with life.service(start=False) as rig:
        rig.store.broken = {"NoteUses": [KitestringError(Reason.INTERNAL, "the disk is full")]}
        uses = LastUses(rig.store, rig.clock)
        uses.seen("app")
        last = rig.clock.now()
        await uses.save()
        assert await rig.store.last_uses() == {}
        await uses.save()
        assert await rig.store.last_uses() == {"app": last}
