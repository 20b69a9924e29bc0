"""Forgetting goes on, whatever happens to one round of it."""

from __future__ import annotations

import asyncio

from kitestring.app.service.housekeeping import KEEP_REQUESTS_S, PRUNE_EVERY_S, prune_daily
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.transactions import Prune
from tests.kit.clock import virtual
from tests.kit.engine.rig import Life


@virtual
async def test_a_disk_that_is_full_once_does_not_end_forgetting_for_ever(life: Life) -> None:
    async with life.service(start=False) as rig:
        rig.store.broken = {"Prune": [KitestringError(Reason.INTERNAL, "the disk is full")]}
        begun = rig.clock.now()
        pruning = asyncio.create_task(prune_daily(rig.store, rig.clock))
        await rig.clock.sleep(2.5 * PRUNE_EVERY_S)
        pruning.cancel()
        done = [tx.before for tx in rig.store.applied if isinstance(tx, Prune)]
        assert done == [begun + 2 * PRUNE_EVERY_S - KEEP_REQUESTS_S]
