"""Connections that say nothing: what each costs in memory, and how long a start takes until all are listened for."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Final

from bench import world
from bench.figures import Figure
from bench.peer import Peer, peer
from bench.process import Child, child
from bench.running import idle, prepare_ledger
from bench.setup import Setup
from kitestring.transport.subscriptions import MAX_KEYS_PER_REQ

FEW: Final = 64
MANY: Final = 10_000
#: With a relay that wants to know who each key is, fifty of which go out a second.
ASKED: Final = 1_000
STARTS: Final = 3
KIBIBYTE: Final = 1_024
READY_LIMIT_S: Final = 1.5
MEMORY_LIMIT_KIB: Final = 4.0


async def measure(directory: Path) -> list[Figure]:
    """``directory`` is on a real disk and empty."""
    few = await prepare_ledger(directory / "few", connections=FEW)
    many = await prepare_ledger(directory / "many", connections=MANY)
    asked = await prepare_ledger(directory / "asked", connections=ASKED)
    least, _, _ = await _start(few, FEW)
    starts = [await _start(many, MANY) for _ in range(STARTS)]
    return [
        *_memory(least, statistics.median(resident for resident, _, _ in starts)),
        _ready([seconds for _, seconds, _ in starts], starts[0][2]),
        await _where_asked(asked),
    ]


def _memory(few: float, many: float) -> list[Figure]:
    if not many:
        return []  # the system does not tell
    each_kib = (many - few) / (MANY - FEW) / KIBIBYTE
    detail = f"{many / 1e6:.0f} MB with {MANY:,}, {few / 1e6:.0f} MB with {FEW}, without SQLite's page cache"
    return [Figure("an idle connection", each_kib, MEMORY_LIMIT_KIB, "lower", detail, "KiB")]


def _ready(took_s: list[float], requests: int) -> Figure:
    each = f"{requests} REQs, of {MAX_KEYS_PER_REQ} keys at most"
    detail = (
        f"{min(took_s):.2f} to {max(took_s):.2f} s from the opening of the ledger until all are listened for; {each}"
    )
    return Figure(f"ready with {MANY:,} connections", statistics.median(took_s), READY_LIMIT_S, "lower", detail, "s")


async def _start(setup: Setup, connections: int) -> tuple[float, float, int]:
    """Bytes in memory with nothing to do, seconds until all are listened for, and the number of REQs that takes."""
    async with peer() as relay, child("service", setup.encode(), relay.url) as process:
        await relay.listened_for(_keys(connections))
        ready_s = time.monotonic() - float(await process.ask("began"))
        await relay.has_info(_keys(connections)[1:])
        await idle(process)
        return await _resident(process), ready_s, relay.requests


async def _resident(process: Child) -> float:
    resident, page_cache = await process.ask("memory")
    return float(resident - (page_cache or 0))


def _keys(connections: int) -> list[str]:
    return [world.keyring().service_id, *(world.client(number).service for number in range(connections))]


async def _where_asked(setup: Setup) -> Figure:
    """For information: how long it takes is decided by how many keys are shown to a relay a second."""
    async with peer(wants_auth=True) as relay, child("service", setup.encode(), relay.url) as process:
        first_s = await _heard(relay, process, 1)
        last_s = await _heard(relay, process, ASKED + 1)
    detail = f"on a relay that asks each key who it is; the first {MAX_KEYS_PER_REQ} after {first_s:.1f} s"
    return Figure(f"… {ASKED:,} connections with AUTH", last_s, None, "lower", detail, "s")


async def _heard(relay: Peer, process: Child, number: int) -> float:
    await relay.listens_for(number)
    return time.monotonic() - float(await process.ask("began"))
