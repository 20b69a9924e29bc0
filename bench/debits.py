"""A debit from a budget: what it costs, and what the past of the ledger and the number of grants change.

Three services run side by side, so that each round meets the same machine with all of them.
"""

from __future__ import annotations

import statistics
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from bench import fill, loads, world
from bench.figures import Figure
from bench.floor import Floor, Series
from bench.running import prepare_ledger, running

FEW: Final = 10
MANY: Final = 10_000
PAST: Final = 100_000
ROUNDS: Final = 9
REQUESTS: Final = 640
WARM_UP: Final = 1_280
PAYABLE: Final = WARM_UP + ROUNDS * REQUESTS


async def measure(floor: Floor, directory: Path) -> list[Figure]:
    """Debits of known keys, 64 in flight, on three ledgers in turn."""
    plain = await prepare_ledger(directory / "plain", payable=PAYABLE, requestors=FEW)
    past = await prepare_ledger(directory / "past", payable=PAYABLE, requestors=FEW)
    async with fill.ledger(directory / "past") as store:
        await fill.payments(store, PAST)
    many = await prepare_ledger(directory / "many", payable=PAYABLE + MANY, requestors=MANY)
    costs = [Series(floor) for _ in range(3)]
    async with AsyncExitStack() as stack:
        setups = (plain, past, many)
        services = [await stack.enter_async_context(running(setup, world.CLIENTS)) for setup in setups]
        for service, first in zip(services, (0, 0, MANY), strict=True):  # every requestor has spoken before
            await service.cost_us(loads.DEBIT, service.prepare(loads.DEBIT, WARM_UP + first))
        for turn in range(ROUNDS):
            for which in (0, 1, 2) if turn % 2 else (2, 1, 0):
                await services[which].add(costs[which], loads.DEBIT, REQUESTS)
    detail = f"{costs[0].median_us:.0f} µs of CPU; 64 in flight, {FEW} requestors, a rolling budget each"
    return [
        Figure("debit from a budget", costs[0].ratio, 8.0, "lower", detail),
        _flat(f"debit, {PAST:,} payments against none", costs[1], costs[0]),
        _flat(f"debit, {MANY:,} grants against {FEW}", costs[2], costs[0]),
    ]


def _flat(name: str, much: Series, little: Series) -> Figure:
    ratio = statistics.median(more / less for more, less in zip(much.us, little.us, strict=True))
    detail = f"{much.median_us:.0f} µs of CPU against {little.median_us:.0f} µs"
    return Figure(name, ratio, 1.2, "lower", detail)
