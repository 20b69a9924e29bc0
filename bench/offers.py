"""A request to an offer: what it costs, and what the number of offers and of their invoices changes.

Three services run side by side, so that each round meets the same machine with all of them.
"""

from __future__ import annotations

import asyncio
import statistics
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from bench import fill, loads, world
from bench.figures import Figure
from bench.floor import Floor, Series
from bench.running import prepare_ledger, running
from bench.setup import Setup
from kitestring.app.service.gateway import ROUNDED_S
from kitestring.base.clocks import AHEAD_S

#: One offer may have a thousand unpaid invoices: so many rounds and requests leave room for it.
FEW: Final = 1
ROUNDS: Final = 9
REQUESTS: Final = 96
WARM_UP: Final = 96
MANY: Final = 10_000
INVOICES: Final = 100_000
MAKEABLE: Final = WARM_UP + ROUNDS * REQUESTS
#: In its first minute a service looks in the ledger whether it has answered a stranger in an earlier life.
FIRST_S: Final = AHEAD_S + ROUNDED_S + 1
LIMIT: Final = 6.5
FLAT: Final = 1.2


async def measure(floor: Floor, directory: Path) -> list[Figure]:
    """Requests of strangers, 64 in flight, on three ledgers in turn."""
    setups = [
        await _ledger(directory / "few", FEW, 0),
        await _ledger(directory / "many", MANY, 0),
        await _ledger(directory / "full", MANY, INVOICES),
    ]
    costs = [Series(floor) for _ in setups]
    async with AsyncExitStack() as stack:
        services = [await stack.enter_async_context(running(setup, world.CLIENTS)) for setup in setups]
        await asyncio.sleep(FIRST_S)
        asking = [loads.offer_request(number) for number in (FEW, MANY, MANY)]
        for service, load in zip(services, asking, strict=True):
            await service.cost_us(load, service.prepare(load, WARM_UP))
        for turn in range(ROUNDS):
            for which in (0, 1, 2) if turn % 2 else (2, 1, 0):
                await services[which].add(costs[which], asking[which], REQUESTS)
    few, many, full = costs
    detail = f"{full.median_us:.0f} µs of CPU; 64 in flight, each a key that nobody has met"
    return [
        Figure(f"offer request, {MANY:,} offers, {INVOICES:,} invoices", full.ratio, LIMIT, "lower", detail),
        _flat(f"offer request, {MANY:,} offers against {FEW}", many, few),
        _flat(f"offer request, {INVOICES:,} invoices against none", full, many),
    ]


async def _ledger(directory: Path, offers: int, invoices: int) -> Setup:
    setup = await prepare_ledger(directory, makeable=MAKEABLE, offers=offers)
    async with fill.ledger(directory) as store:
        await fill.given_out(store, range(MAKEABLE, MAKEABLE + invoices), offers)  # the node gives out those before
    return setup


def _flat(name: str, much: Series, little: Series) -> Figure:
    ratio = statistics.median(more / less for more, less in zip(much.us, little.us, strict=True))
    detail = f"{much.median_us:.0f} µs ({much.ratio:.2f}×) against {little.median_us:.0f} µs ({little.ratio:.2f}×)"
    return Figure(name, ratio, FLAT, "lower", detail)
