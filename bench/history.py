"""What the past of a ledger changes: a payment on 200,000 of them against one on none, with caches of several sizes."""

from __future__ import annotations

import os
import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from bench import fill, loads, world
from bench.figures import Figure
from bench.floor import Floor, Series
from bench.running import prepare_ledger, running
from bench.setup import Setup

PAST: Final = 200_000
ROUNDS: Final = 11
REQUESTS: Final = 640
WARM_UP: Final = 2_560
PAYABLE: Final = WARM_UP + ROUNDS * REQUESTS
#: MiB of page cache. Each has two turns, in an order that follows neither the size nor the growth of the ledger.
SIZES: Final = (16, 2, 64, 8, 32)
TURNS: Final = (*SIZES, *reversed(SIZES))
WARM_ROUNDS: Final = 6
COLD_ROUNDS: Final = 2
PAYABLE_IN_A_TURN: Final = WARM_UP + (WARM_ROUNDS + COLD_ROUNDS) * REQUESTS


async def measure(floor: Floor, directory: Path) -> list[Figure]:
    """Payments on both ledgers, in turn."""
    empty = await prepare_ledger(directory / "empty", payable=PAYABLE)
    full = await _with_past(directory / "full", PAYABLE)
    costs = (Series(floor), Series(floor))
    async with AsyncExitStack() as stack:
        services = [await stack.enter_async_context(running(setup, world.CLIENTS)) for setup in (empty, full)]
        for service in services:
            await service.cost_us(loads.PAY_INVOICE, service.prepare(loads.PAY_INVOICE, WARM_UP))
        for turn in range(ROUNDS):
            for which in (0, 1) if turn % 2 else (1, 0):
                await services[which].add(costs[which], loads.PAY_INVOICE, REQUESTS)
    ratio = statistics.median(much / none for none, much in zip(costs[0].us, costs[1].us, strict=True))
    detail = f"{costs[1].median_us:.0f} µs of CPU ({costs[1].ratio:.2f}×) against {costs[0].median_us:.0f} µs"
    return [Figure(f"pay_invoice, {PAST:,} payments against none", ratio, 1.2, "lower", detail)]


async def _with_past(directory: Path, payable: int) -> Setup:
    setup = await prepare_ledger(directory, payable=payable)
    async with fill.ledger(directory) as store:
        await fill.payments(store, PAST)
    return setup


# ------------------------------------------------------------ the page cache


@dataclass(slots=True)
class _Cost:
    """Of one size of the cache: CPU and bytes read per payment, and what came from the disk when the system had
    forgotten the file."""

    cpu: Series
    read: list[float] = field(default_factory=list)
    disk: list[float] = field(default_factory=list)


async def measure_cache(floor: Floor, directory: Path) -> list[Figure]:
    """One ledger with each size of the cache."""
    setup = await _with_past(directory, PAYABLE_IN_A_TURN)
    costs = {mib: _Cost(Series(floor)) for mib in sorted(SIZES)}
    for number, mib in enumerate(TURNS):
        first = number * PAYABLE_IN_A_TURN
        await _turn(msgspec.structs.replace(setup, cache_mib=mib, first_payable=first), costs[mib])
    return [_cache_row(mib, cost) for mib, cost in costs.items()]


async def _turn(setup: Setup, cost: _Cost) -> None:
    async with running(setup, world.CLIENTS) as service:
        await service.cost_us(loads.PAY_INVOICE, service.prepare(loads.PAY_INVOICE, WARM_UP))
        for _ in range(WARM_ROUNDS):
            read, _disk = await service.process.ask("read")
            await service.add(cost.cpu, loads.PAY_INVOICE, REQUESTS)
            cost.read.append(((await service.process.ask("read"))[0] - read) / REQUESTS)
        for _ in range(COLD_ROUNDS):
            _forget(service.directory)
            _read, disk = await service.process.ask("read")
            await service.cost_us(loads.PAY_INVOICE, service.prepare(loads.PAY_INVOICE, REQUESTS))
            cost.disk.append(((await service.process.ask("read"))[1] - disk) / REQUESTS)


def _forget(directory: Path) -> None:
    """Have the system write back the ledger, and forget it: what the cache does not hold comes from the disk then."""
    for path in directory.glob(f"{fill.LEDGER}*"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def _cache_row(mib: int, cost: _Cost) -> Figure:
    read, disk = (statistics.median(amounts) / 1_000 for amounts in (cost.read, cost.disk))
    spread = f"{min(cost.cpu.ratios):.2f} to {max(cost.cpu.ratios):.2f}×, {cost.cpu.median_us:.0f} µs of CPU"
    detail = f"{spread}; {read:.1f} kB read, {disk:.1f} kB from a disk that nobody else caches"
    return Figure(f"pay_invoice, {PAST:,} payments, cache {mib} MiB", cost.cpu.ratio, None, "lower", detail)
