"""The whole service in its own process: socket, ledger, engine. CPU per request is that process's own CPU time."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench import loads, world
from bench.figures import Figure
from bench.floor import Floor, Series, cpu_per_call_us
from bench.loads import Load
from bench.peer import IN_FLIGHT
from bench.running import Running, prepare_ledger, running
from kitestring.codec import bolt11

ROUNDS: Final = 7
REQUESTS_PER_ROUND: Final = 1_280
WARM_UP: Final = 640
PER_LOAD: Final = WARM_UP + ROUNDS * REQUESTS_PER_ROUND
#: With one in flight a request waits for the disk and for the other process, so there are fewer of them.
ALONE_ROUNDS: Final = 7
ALONE_PER_ROUND: Final = 160
ALONE: Final = (ALONE_ROUNDS + 1) * ALONE_PER_ROUND

MANY: Final = (loads.GET_INFO, loads.GET_BALANCE, loads.PAY_INVOICE, loads.MAKE_INVOICE, loads.OFFER_REQUEST)
ONE: Final = (loads.GET_INFO, loads.MAKE_INVOICE, loads.PAY_INVOICE)
#: Floors of a request that is alone: half of what it cost when this was measured first, see README.md.
ALONE_LIMITS: Final = {"get_info": 2.4, "make_invoice": 11.5, "pay_invoice": 12.0}
MEGABYTE: Final = 1_000_000


async def measure(floor: Floor, directory: Path) -> list[Figure]:
    """Every load against one running service. ``directory`` is on a real disk and empty."""
    setup = await prepare_ledger(directory, payable=PER_LOAD + ALONE, makeable=2 * PER_LOAD + ALONE)
    async with running(setup, world.CLIENTS) as service:
        idle, _ = await service.process.ask("memory")
        many = {
            load.name: await service.measure(load, floor, rounds=ROUNDS, count=REQUESTS_PER_ROUND, warm_up=WARM_UP)
            for load in MANY
        }
        alone = {load.name: await _alone(service, load, floor) for load in ONE}
        disk_us = fdatasync_us(directory)
        rows, written = await service.check_ledger()
        resident, page_cache = await service.process.ask("memory")
    journal = f"rows = requests = {rows}, {written}, fdatasync {fdatasync_us(directory):.0f} µs"
    return [
        *_with_many(many, _fresh_keys(floor), _decoding(floor), journal),
        *(_with_one(load, alone[load.name], many[load.name], disk_us) for load in ONE),
        *memory("memory after these", resident, page_cache, 60, f"; {idle / MEGABYTE:.0f} MB resident at the start"),
    ]


async def _alone(service: Running, load: Load, floor: Floor) -> Series:
    return await service.measure(
        load, floor, rounds=ALONE_ROUNDS, count=ALONE_PER_ROUND, warm_up=ALONE_PER_ROUND, in_flight=1
    )


def _decoding(floor: Floor) -> Series:
    """The invoices that were paid, read once more on their own."""
    series, invoices = Series(floor), [world.invoice(number) for number in range(WARM_UP)]
    for _ in range(ROUNDS):
        before = floor.sample()
        series.add(cpu_per_call_us(lambda i: bolt11.decode(invoices[i], recover=False), WARM_UP), before)
    return series


def _fresh_keys(floor: Floor) -> Series:
    series = Series(floor)
    for _ in range(ROUNDS):
        before = floor.sample()
        series.add(floor.fresh_key_us(), before)
    return series


def _with_many(many: dict[str, Series], fresh: Series, decoding: Series, journal: str) -> list[Figure]:
    def row(name: str, load: Load, limit: float | None, more: str = "") -> Figure:
        cost = f"{load.name} {many[load.name].median_us:.0f} µs of CPU"
        return Figure(name, many[load.name].ratio, limit, "lower", f"{cost}{more}")

    reading = f"; {IN_FLIGHT} in flight, {world.CLIENTS} clients, {REQUESTS_PER_ROUND * ROUNDS} requests"
    read, paid, decoded = many["get_info"].ratio, many["pay_invoice"].ratio, decoding.ratio
    parts = f"a request that reads {read:.1f}× + BOLT11 {decoded:.1f}× + ledger and engine {paid - read - decoded:.1f}×"
    key = f"; the fresh key by itself {fresh.ratio:.2f}× ({fresh.median_us:.0f} µs: point and shared secret)"
    return [
        row("service with WebSocket", loads.GET_INFO, 2.4, reading),
        row("… get_balance", loads.GET_BALANCE, None),
        row("with durable ledger", loads.PAY_INVOICE, 7.0, f" = {parts}; {journal}"),
        row("… make_invoice", loads.MAKE_INVOICE, 5.5),
        row("… offer request of a stranger", loads.OFFER_REQUEST, 6.5, key),
    ]


def _with_one(load: Load, alone: Series, many: Series, disk_us: float) -> Figure:
    times = alone.ratio / many.ratio
    spread = f"{min(alone.ratios):.1f} to {max(alone.ratios):.1f}×"
    disk = f"; fdatasync {disk_us:.0f} µs" if load.journaled else ""
    detail = f"{spread}, {alone.median_us:.0f} µs of CPU, {times:.2f}× one of {IN_FLIGHT} in flight{disk}"
    return Figure(f"one at a time: {load.name}", alone.ratio, ALONE_LIMITS[load.name], "lower", detail)


def memory(name: str, resident: int, page_cache: int | None, limit: float | None, more: str = "") -> Iterator[Figure]:
    """The row about memory beside SQLite's page cache. Where that cannot be told apart, everything counts and nothing
    is judged; no row where the system does not tell even that."""
    if not resident:
        return
    beside = "SQLite does not say" if page_cache is None else f"{page_cache / MEGABYTE:.0f} MB"
    detail = f"{resident / MEGABYTE:.0f} MB resident, of which page cache: {beside}{more}"
    value = (resident - (page_cache or 0)) / MEGABYTE
    yield Figure(name, value, None if page_cache is None else limit, "lower", detail, "MB")


def fdatasync_us(directory: Path, times: int = 30) -> float:
    """The median time of writing one page through to the disk in this directory, in microseconds."""
    path, taken = directory / "fdatasync", []
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            file.write(bytes(4096))
            began = time.perf_counter_ns()
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter_ns() - began) / 1000)
    path.unlink()
    return statistics.median(taken)
