"""CLINK against `@shocknet/clink-sdk` under Node.js: the codes, written and read, and the client that asks an offer.

Both run in turn. The clients ask one service, each in a process of its own and with a new key each time; what is
compared is their CPU alone.
"""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from bench import world
from bench.clients import node_js
from bench.figures import Figure
from bench.process import Child, child, started
from bench.running import prepare_ledger
from kitestring.codec.pointers import Noffer, PriceType, decode, encode
from kitestring.crypto.keys import SecretKey

SCRIPT: Final = Path(__file__).with_suffix(".mjs")
SDK: Final = "@shocknet/clink-sdk"
ROUNDS: Final = 5
CODES: Final = 2_000
CALLS: Final = 160
WARM_UP: Final = 64
IN_FLIGHT: Final = (1, 16)
#: At least so many of ours to one of theirs.
CODES_LIMIT: Final = 10.0
CLIENT_LIMIT: Final = 5.0
MAKEABLE: Final = 3 * (WARM_UP + ROUNDS * len(IN_FLIGHT) * CALLS)
#: How theirs asks: over one pool that stays connected, or with one for each question, as ours does.
WAYS: Final = {"call": "which stays connected", "alone": "which connects for each"}

Costs = dict[tuple[str, int], list[float]]


async def measure(directory: Path) -> list[Figure]:
    """``directory`` is on a real disk and empty. Without the foreign client there is nothing to compare with."""
    room = directory / "node"
    setup = await prepare_ledger(directory, connections=1, makeable=MAKEABLE)
    node = node_js(room)
    if node is None:
        return [Figure(f"CLINK against {SDK}", 0.0, None, "higher", f"not measured: {SDK} is not installed")]
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(child("embedded", setup.encode()))
        codes = ",".join(_codes(await service.ask("url")))
        ours = await stack.enter_async_context(child("payer", codes))
        theirs = await stack.enter_async_context(_theirs(node, room, codes))
        return [await _pointers(theirs), *await _clients(ours, theirs)]


def _codes(url: str) -> list[str]:
    service = world.keyring().service_id
    return [encode(Noffer(service, (url,), world.offer(number).offer_id)) for number in range(world.OFFERS)]


@asynccontextmanager
async def _theirs(node: Path, room: Path, codes: str) -> AsyncIterator[Child]:
    script = room / SCRIPT.name
    shutil.copyfile(SCRIPT, script)
    async with started(str(node), str(script), codes) as process:
        yield process


# ------------------------------------------------------------ codes


async def _pointers(theirs: Child) -> Figure:
    ours_us, theirs_us = [], []
    for _ in range(ROUNDS + 1):
        theirs_us.append(await theirs.ask("codes", CODES) / CODES * 1e6)
        ours_us.append(_write_and_read_us())
    ours, other = (statistics.median(costs[1:]) for costs in (ours_us, theirs_us))
    detail = f"{ours:.1f} µs of CPU for each code that was never seen, against {other:.1f} µs of {SDK}"
    return Figure("pointers, written and read", other / ours, CODES_LIMIT, "higher", detail)


def _write_and_read_us() -> float:
    offers = [
        Noffer(
            SecretKey.generate(os.urandom).public_hex, ("wss://relay.example.com",), os.urandom(8).hex(),
            PriceType.FIXED, 1_000 + number,
        )
        for number in range(CODES)
    ]  # fmt: skip
    began = time.process_time()
    for offer in offers:
        if decode(encode(offer)) != offer:
            raise AssertionError(f"{offer} is read as another offer")
    return (time.process_time() - began) / CODES * 1e6


# ------------------------------------------------------------ clients


async def _clients(ours: Child, theirs: Child) -> list[Figure]:
    own: Costs = {("call", number): [] for number in IN_FLIGHT}
    others: Costs = {(way, number): [] for way in WAYS for number in IN_FLIGHT}
    for client in (ours, theirs):
        await client.ask("call", WARM_UP, max(IN_FLIGHT))
    for turn in range(ROUNDS):
        for client, costs in ((ours, own), (theirs, others)) if turn % 2 else ((theirs, others), (ours, own)):
            for (way, number), seconds in costs.items():
                seconds.append((await client.ask(way, CALLS, number))[0])
    return [_against(way, number, own["call", number], seconds) for (way, number), seconds in others.items()]


def _against(way: str, number: int, ours: list[float], theirs: list[float]) -> Figure:
    ratio = statistics.median(other / own for other, own in zip(theirs, ours, strict=True))
    own_ms, other_ms = (statistics.median(seconds) / CALLS * 1e3 for seconds in (ours, theirs))
    detail = f"{own_ms:.1f} ms of CPU for an offer's invoice, against {other_ms:.1f} ms of {SDK}, {WAYS[way]}"
    return Figure(f"client of offers, {WAYS[way]}, {number} in flight", ratio, CLIENT_LIMIT, "higher", detail)
