"""The embedded relay: what one event costs it with one subscriber, and with 200 of whom one is meant."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import aiohttp

from bench import world
from bench.figures import Figure
from bench.process import Child, child
from kitestring.nostr.event import encode_event

ROUNDS: Final = 7
EVENTS_PER_ROUND: Final = 400
SUBSCRIBERS: Final = 200
IN_FLIGHT: Final = 64
ROUND_S: Final = 60.0


class Audience:
    """One relay process, one publisher, and subscribers of whom only the first is addressed."""

    def __init__(
        self, relay: Child, publisher: aiohttp.ClientWebSocketResponse, reader: aiohttp.ClientWebSocketResponse
    ) -> None:
        self._relay = relay
        self._publisher = publisher
        self._reader = reader

    async def cost_us(self, frames: list[bytes]) -> float:
        """CPU microseconds of the relay per event, published, acknowledged and delivered."""
        before = await self._relay.cpu_ns()
        await asyncio.wait_for(asyncio.gather(self._publish(frames), self._read(len(frames))), ROUND_S)
        return (await self._relay.cpu_ns() - before) / len(frames) / 1000

    async def _publish(self, frames: list[bytes]) -> None:
        for number, frame in enumerate(frames):
            if number >= IN_FLIGHT:
                await _expect(self._publisher, '["OK"')
            await self._publisher.send_frame(frame, aiohttp.WSMsgType.TEXT)
        for _ in range(min(IN_FLIGHT, len(frames))):
            await _expect(self._publisher, '["OK"')

    async def _read(self, count: int) -> None:
        for _ in range(count):
            await _expect(self._reader, '["EVENT"')


async def _expect(socket: aiohttp.ClientWebSocketResponse, start: str) -> None:
    text = await socket.receive_str()
    if not text.startswith(start):
        raise AssertionError(f"the relay said {text[:200]}")


@asynccontextmanager
async def audience(subscribers: int) -> AsyncIterator[Audience]:
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(child("relay"))
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        url, readers = await relay.ask("url"), []
        for number in range(subscribers):
            socket = await stack.enter_async_context(session.ws_connect(url))
            key = world.client(0).service if number == 0 else f"{number:064x}"
            await socket.send_str(f'["REQ","inbox",{{"kinds":[23194],"#p":["{key}"]}}]')
            await _expect(socket, '["EOSE"')
            readers.append(socket)
        publisher = await stack.enter_async_context(session.ws_connect(url))
        yield Audience(relay, publisher, readers[0])


def _frames(start: int) -> list[bytes]:
    """Requests of different clients would do; all of the first one, so that each meets the same subscriber."""
    numbers = range(start, start + EVENTS_PER_ROUND)
    events = (
        world.request(world.client(0), f'{{"method":"get_info","params":{{"n":{number}}}}}') for number in numbers
    )
    return [b'["EVENT",' + encode_event(event) + b"]" for event in events]


async def measure() -> list[Figure]:
    ratios, alone_us, many_us = [], [], []
    async with audience(1) as one, audience(SUBSCRIBERS) as many:
        for number in range(ROUNDS + 1):
            alone = await one.cost_us(_frames(2 * number * EVENTS_PER_ROUND))
            crowd = await many.cost_us(_frames((2 * number + 1) * EVENTS_PER_ROUND))
            if number:
                ratios.append(alone / crowd)
                alone_us.append(alone)
                many_us.append(crowd)
    detail = (
        f"events per CPU second; {statistics.median(many_us):.0f} µs with {SUBSCRIBERS},"
        f" {statistics.median(alone_us):.0f} µs with one"
    )
    return [Figure(f"embedded relay, {SUBSCRIBERS} subscribers", statistics.median(ratios), 0.9, "higher", detail)]
