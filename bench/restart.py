"""A start with 10,000 invoices that nobody has paid: how long until a request is answered, and until all were looked
at.

Wall time, because whoever restarts a service waits for it. It begins where the service opens its ledger; starting
Python and loading the modules come before that and depend on nothing that is stored.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from typing import Final

import msgspec

from bench import fill, loads, world
from bench.figures import Figure
from bench.floor import Floor
from bench.peer import ROUND_S
from bench.running import Running, prepare_ledger, started
from bench.setup import Setup

OPEN: Final = 10_000
STARTS: Final = 3
#: What a node on the same machine takes to look an invoice up.
LOOKUP_S: Final = 0.001
LOOK_S: Final = 0.1


async def measure(_floor: Floor, directory: Path) -> list[Figure]:
    none = await prepare_ledger(directory / "none")
    many = msgspec.structs.replace(await prepare_ledger(directory / "many"), lookup_s=LOOKUP_S)
    async with fill.ledger(directory / "many") as store:
        await fill.open_invoices(store, range(OPEN))
    none_s, many_s, looked_s = [], [], []
    for _ in range(STARTS):
        none_s.append((await _start(none, 0))[0])
        served, looked = await _start(many, OPEN)
        many_s.append(served)
        looked_s.append(looked)
    detail = (
        f"{min(many_s):.2f} to {max(many_s):.2f} s until a request is answered, {statistics.median(none_s):.2f} s with"
        f" none; all of them looked up after {statistics.median(looked_s):.1f} s, {1000 * LOOKUP_S:.0f} ms each"
    )
    return [Figure(f"start with {OPEN:,} open invoices", statistics.median(many_s), 2.0, "lower", detail, "s")]


async def _start(setup: Setup, open_invoices: int) -> tuple[float, float]:
    """Seconds from the start of the service until it has answered, and until it has looked at every open invoice."""
    async with started(setup, world.CLIENTS) as service:
        sent = service.prepare(loads.GET_INFO, 1)
        answers = await service.relay.round(service.frames(sent), in_flight=1)
        answered_at = time.monotonic()
        service.note(loads.GET_INFO, sent, answers)
        began_at = float(await service.process.ask("began"))
        looked_at = await _looked_up(service, open_invoices)
    return answered_at - began_at, looked_at - began_at


async def _looked_up(service: Running, number: int) -> float:
    """When the last of so many invoices was looked up, in monotonic seconds, which all processes share."""
    async with asyncio.timeout(ROUND_S):
        while True:
            count, at = await service.process.ask("looked_up")
            if count >= number:
                return float(at)
            await asyncio.sleep(LOOK_S)
