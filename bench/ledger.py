"""Group commit: reserve + settle cycles that share their fsyncs, against cycles that each wait for their own."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Final

from bench import fill, world
from bench.figures import Figure
from bench.service import fdatasync_us

ROUNDS: Final = 5
GROUPED: Final = 1_500
SINGLE: Final = 150


async def measure(directory: Path) -> list[Figure]:
    grouped, single = [], []
    async with fill.ledger(directory) as store:
        await fill.connections(store, range(world.CLIENTS))
        cycles = fill.Cycles(store)
        await cycles.write(fill.AT_ONCE, fill.AT_ONCE)
        for _ in range(ROUNDS):
            single.append(SINGLE / await cycles.write(SINGLE, 1))
            grouped.append(GROUPED / await cycles.write(GROUPED, fill.AT_ONCE))
    ratio = statistics.median(group / alone for group, alone in zip(grouped, single, strict=True))
    detail = (
        f"{statistics.median(grouped):.0f} against {statistics.median(single):.0f} reserve + settle cycles/s,"
        f" fdatasync {fdatasync_us(directory):.0f} µs"
    )
    return [Figure("group commit against single commits", ratio, 6.0, "higher", detail)]
