"""The whole service in its own process: socket, ledger, engine. CPU per request is that process's own CPU time."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import world
from bench.figures import Figure
from bench.floor import Floor, Series, cpu_per_call_us
from bench.peer import CONNECT_S, IN_FLIGHT, Peer, peer
from bench.process import Child, child
from kitestring.codec import bolt11
from kitestring.nostr.event import Event, first_tag, verify_event
from kitestring.wire.envelope import decrypt

ROUNDS: Final = 7
REQUESTS_PER_ROUND: Final = 1_280
WARM_UP: Final = 640
#: After a round the service still writes its marks of publication (every 0.25 s); they belong to the cost.
SETTLE_S: Final = 0.4

_published: Final = msgspec.json.Decoder(tuple[str, Event]).decode


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of request: its plaintext by number, and the check of the result it must get."""

    name: str
    text: Callable[[int], str]
    check: Callable[[int, dict[str, Any]], bool]


def _pay_text(number: int) -> str:
    return '{"method":"pay_invoice","params":{"invoice":"' + world.invoice(number) + '"}}'


LOADS: Final = (
    Load("get_info", lambda _: '{"method":"get_info","params":{}}', lambda _, r: r["network"] == world.NETWORK),
    Load("get_balance", lambda _: '{"method":"get_balance","params":{}}', lambda _, r: r["balance"] > 0),
    Load("pay_invoice", _pay_text, lambda n, r: r["preimage"] == world.preimage(n).hex()),
    Load(
        "make_invoice",
        lambda n: '{"method":"make_invoice","params":{"amount":1000000,"description":"tea"}}',
        lambda _, r: r["invoice"].startswith("lnbcrt") and r["state"] == "pending",
    ),
)
JOURNALED: Final = frozenset({"pay_invoice", "make_invoice"})


async def measure(floor: Floor, directory: Path) -> list[Figure]:
    """Every load against one running service. ``directory`` is on a real disk and empty."""
    per_load = WARM_UP + ROUNDS * REQUESTS_PER_ROUND
    async with peer() as relay, child("service", str(directory), relay.url, str(per_load), str(per_load)) as service:
        await asyncio.wait_for(relay.listening.wait(), CONNECT_S)
        series = {load.name: await _measure(load, floor, relay, service) for load in LOADS}
        series["bolt11"] = _decoding(floor)
        pragmas = await service.ask("pragmas")
    rows = _journal_rows(directory / "kitestring.db")
    expected = per_load * len(JOURNALED)
    if rows != expected:
        raise AssertionError(f"{expected} journaled requests were sent, but the ledger has {rows} of them")
    if pragmas["synchronous"] != 2:
        raise AssertionError(f"the ledger was written with synchronous={pragmas['synchronous']}, not FULL (2)")
    return _figures(series, floor, pragmas, rows, directory)


async def _measure(load: Load, floor: Floor, relay: Peer, service: Child) -> Series:
    series, number = Series(floor), 0
    for count in (WARM_UP, *[REQUESTS_PER_ROUND] * ROUNDS):
        numbers = range(number, number + count)
        number += count
        events = {(event := world.request(n, load.text(n))).id: (n, event) for n in numbers}
        frames = [world.frame(relay.subscription_id, event) for _, event in events.values()]
        floor_us = floor.sample()
        before = await service.cpu_ns()
        answers = await relay.round(frames)
        await asyncio.sleep(SETTLE_S)
        cost_us = (await service.cpu_ns() - before) / count / 1000
        if count != WARM_UP:
            series.add(cost_us, floor_us)
        _check(load, events, answers)
    return series


def _decoding(floor: Floor) -> Series:
    """The invoices that were paid, read once more on their own."""
    series, invoices = Series(floor), [world.invoice(number) for number in range(WARM_UP)]
    for _ in range(ROUNDS):
        before = floor.sample()
        series.add(cpu_per_call_us(lambda i: bolt11.decode(invoices[i], recover=False), WARM_UP), before)
    return series


def _check(load: Load, events: dict[str, tuple[int, Event]], answers: list[bytes]) -> None:
    """Every answer: author, addressee, signature, cipher, content; and one per request."""
    for answer in answers:
        reply = _published(answer)[1]
        number, _ = events.pop(first_tag(reply, "e") or "")
        client = world.clients()[number % world.CLIENTS]
        genuine = reply.pubkey == client.service and first_tag(reply, "p") == client.key.public_hex
        content = msgspec.json.decode(decrypt(reply.content, "nip44", client.shared))
        if not (genuine and verify_event(reply) and content["error"] is None and load.check(number, content["result"])):
            raise AssertionError(f"{load.name} {number} was answered with {content}")
    if events:
        raise AssertionError(f"{len(events)} requests were not answered")


def _journal_rows(path: Path) -> int:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        query = "SELECT count(*) FROM requests WHERE wire = 'nwc' AND finished_at IS NOT NULL"
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()


def _figures(
    series: dict[str, Series], floor: Floor, pragmas: dict[str, Any], rows: int, directory: Path
) -> list[Figure]:
    def cost(name: str) -> str:
        return f"{name} {series[name].median_us:.0f} µs of CPU"

    reading = f"{IN_FLIGHT} in flight, {world.CLIENTS} clients, {REQUESTS_PER_ROUND * ROUNDS} requests"
    journal = (
        f"rows = requests = {rows}, synchronous={pragmas['synchronous']} ({pragmas['journal_mode']}),"
        f" fdatasync {fdatasync_us(directory):.0f} µs"
    )
    read, paid, decoded = (series[name].ratio for name in ("get_info", "pay_invoice", "bolt11"))
    parts = f"a request that reads {read:.1f}× + BOLT11 {decoded:.1f}× + ledger and engine {paid - read - decoded:.1f}×"
    return [
        Figure("service with WebSocket", series["get_info"].ratio, 3.0, "lower", f"{cost('get_info')}; {reading}"),
        Figure("… get_balance", series["get_balance"].ratio, None, "lower", cost("get_balance")),
        Figure(
            "with durable ledger",
            series["pay_invoice"].ratio,
            4.5,
            "lower",
            f"{cost('pay_invoice')} = {parts}; {journal}",
        ),
        Figure("… make_invoice", series["make_invoice"].ratio, None, "lower", cost("make_invoice")),
    ]


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
