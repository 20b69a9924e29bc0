"""The embedded relay inside a service, among strangers: what an app of the service notices, and what halves cost."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from pathlib import Path
from typing import Final

import aiohttp

from bench import loads, world
from bench.figures import Figure
from bench.process import Child, child
from bench.running import prepare_ledger
from kitestring.nostr.event import encode_event

SOCKETS: Final = 50
#: Seconds of a flood, and between two requests of the app.
FLOOD_S: Final = 8
EVERY_S: Final = 0.05
#: The app gives a request up after so many seconds.
PATIENCE_S: Final = 20.0
#: Flooding is under way this many seconds before the first request.
AHEAD_S: Final = 1.0
#: Hostile events per second, from all sockets together: what the finding was, and where the service lost answers.
PACES: Final = (0, 5_000, 14_000)
INVOICES: Final = 20_000

HALVES: Final = 400
HALF_BYTES: Final = 130_000
MEGABYTE: Final = 1_000_000
_HELLO: Final = (
    b"GET / HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class App:
    """An app of the service that asks for its balance, and how long each answer took."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket: Final = socket
        self._client: Final = world.client(0)
        self._asked: Final[dict[str, float]] = {}
        self.took_s: Final[list[float]] = []

    async def listen(self) -> None:
        wanted = {"kinds": [loads.GET_BALANCE.reply_kind], "#p": [self._client.key.public_hex], "limit": 0}
        await self._socket.send_str(json.dumps(["REQ", "answers", wanted]))

    async def hear(self) -> None:
        async for message in self._socket:
            frame = json.loads(message.data)
            if frame[0] == "EVENT":
                asked = next(tag[1] for tag in frame[2]["tags"] if tag[0] == "e")
                self.took_s.append(time.monotonic() - self._asked.pop(asked))

    async def ask(self, seconds: float) -> int:
        """Ask at its pace for so long; how many requests were never answered."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            event = world.request(self._client, loads.GET_BALANCE.text(0))
            self._asked[event.id] = time.monotonic()
            await self._socket.send_str(f'["EVENT",{encode_event(event).decode()}]')
            await asyncio.sleep(EVERY_S)
        for _ in range(round(PATIENCE_S / EVERY_S)):
            if self._asked:
                await asyncio.sleep(EVERY_S)
        return len(self._asked)


async def measure(directory: Path) -> list[Figure]:
    """``directory`` is on a real disk and empty."""
    setup = await prepare_ledger(directory, makeable=INVOICES)
    async with child("embedded", setup.encode()) as service:
        url = await service.ask("url")
        async with child("crowd", url) as crowd:
            figures = [row for pace in PACES for row in await _among(service, crowd, url, pace)]
    return [*figures, await _halves()]


async def _among(service: Child, crowd: Child, url: str, pace: int) -> list[Figure]:
    await crowd.ask("prepare", pace * FLOOD_S)
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        app, before = App(socket), await service.cpu_ns()
        await app.listen()
        hearing = asyncio.create_task(app.hear())
        flood = asyncio.create_task(crowd.ask("flood", SOCKETS, max(pace, 1), FLOOD_S))
        await asyncio.sleep(AHEAD_S)
        lost = await app.ask(FLOOD_S - AHEAD_S)
        told, share = await flood, (await service.cpu_ns() - before) / FLOOD_S / 1e9
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
    took_ms = sorted(1000 * took for took in app.took_s)
    p99_ms = took_ms[int(0.99 * (len(took_ms) - 1))]
    detail = (
        f"median {statistics.median(took_ms):.0f} ms, worst {took_ms[-1]:.0f} ms of {len(took_ms)}; the service used"
        f" {100 * share:.0f} % of a core; strangers sent {told.get('sent', 0)}, {told.get('taken', 0)} taken"
    )
    name = f"get_balance among {pace:,} strangers' events/s"
    return [
        Figure(f"{name}, 99th percentile", p99_ms, 1_000, "lower", detail, "ms"),
        Figure(f"{name}, lost", lost / (lost + len(took_ms)), 0, "lower", f"{lost} of {lost + len(took_ms)}"),
    ]


async def _halves() -> Figure:
    """What the relay has more in memory when so many connections have each sent half of the largest message."""
    async with child("relay") as relay:
        port = int((await relay.ask("url")).rpartition(":")[2])
        before, _ = await relay.ask("memory")
        lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(HALVES)]
        for _, writer in lines:
            writer.write(_HELLO)
        await asyncio.gather(*(reader.readuntil(b"\r\n\r\n") for reader, _ in lines))
        half = bytes([0x81, 0xFF]) + (HALF_BYTES + 1).to_bytes(8) + bytes(4 + HALF_BYTES)
        for _, writer in lines:
            writer.write(half)
        await asyncio.sleep(2)
        after, _ = await relay.ask("memory")
        left = sum(not reader.at_eof() and reader.exception() is None for reader, _ in lines)
        for _, writer in lines:
            writer.transport.abort()
    detail = f"{HALF_BYTES // 1000} kB sent by each, {left} connections are left"
    return Figure(f"{HALVES} halves of messages", (after - before) / MEGABYTE, 40, "lower", detail, "MB")
