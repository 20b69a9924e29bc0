"""Strangers who write to a service as fast as they are told to: each event by a key that nobody has met before."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from typing import Final

import aiohttp

from bench import loads, world
from kitestring.nostr.event import encode_event


class Crowd:
    """``prepare`` signs so many requests for invoices, ``flood`` sends them; both answer what came of it."""

    def __init__(self, url: str) -> None:
        self._url: Final = url
        self._frames: Iterator[str] = iter(())
        self._told: Final[Counter[str]] = Counter()

    async def prepare(self, count: int) -> object:
        sent = loads.prepare(loads.OFFER_REQUEST, range(count), world.client)
        self._frames = iter([f'["EVENT",{encode_event(one.event).decode()}]' for one in sent])
        return count

    async def flood(self, sockets: int, per_s: int, seconds: int) -> object:
        """At this pace over so many connections, whatever is answered; how much was sent, taken and refused."""
        self._told.clear()
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
            opened = [await stack.enter_async_context(session.ws_connect(self._url)) for _ in range(sockets)]
            readers = [asyncio.create_task(self._hear(socket)) for socket in opened]
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await asyncio.gather(*(self._write(socket, per_s / sockets) for socket in opened))
            for task in readers:
                task.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
        return dict(self._told)

    async def _write(self, socket: aiohttp.ClientWebSocketResponse, per_s: float) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for sent, frame in enumerate(self._frames):
            await asyncio.sleep(max(0, began + sent / per_s - loop.time()))
            await socket.send_str(frame)
            self._told["sent"] += 1

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            self._told["taken" if ",true," in message.data[:80] else "refused"] += 1
