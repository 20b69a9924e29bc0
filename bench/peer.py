"""The other end of the socket: a relay that only hands prepared requests to the service and takes its answers.

It checks nothing while the clock runs; answers are kept as they came and read afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from aiohttp import WSMsgType, web

from kitestring.nostr.kinds import NWC_RESPONSE

IN_FLIGHT: Final = 64
#: Seconds for one round; more means the service has stopped answering.
ROUND_S: Final = 90.0
CONNECT_S: Final = 20.0


class _Head(msgspec.Struct):
    id: str
    kind: int


class _Published(msgspec.Struct, array_like=True):
    label: str
    event: _Head


_head: Final = msgspec.json.Decoder(_Published).decode
_asked: Final = msgspec.json.Decoder(list[object]).decode


class Peer:
    """``subscription_id`` is that of the service's REQ, known once it is listening."""

    def __init__(self) -> None:
        self.url = ""
        self.subscription_id = ""
        self.listening: Final = asyncio.Event()
        self._socket: web.WebSocketResponse[bool] | None = None
        self._next: Iterator[bytes] = iter(())
        self._expected = 0
        self._answers: list[bytes] = []
        self._complete = asyncio.Event()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        socket: web.WebSocketResponse[bool] = web.WebSocketResponse(decode_text=False, compress=False)
        await socket.prepare(request)
        self._socket = socket
        async for message in socket:
            data: bytes = message.data
            if data.startswith(b'["EVENT"'):
                await self._take(socket, data)
            elif data.startswith(b'["REQ"'):
                self.subscription_id = str(_asked(data)[1])
                await socket.send_frame(b'["EOSE","' + self.subscription_id.encode() + b'"]', WSMsgType.TEXT)
                self.listening.set()
        return socket

    async def _take(self, socket: web.WebSocketResponse[bool], data: bytes) -> None:
        head = _head(data).event
        await socket.send_frame(b'["OK","' + head.id.encode() + b'",true,""]', WSMsgType.TEXT)
        if head.kind != NWC_RESPONSE:
            return
        self._answers.append(data)
        following = next(self._next, None)
        if following is not None:
            await socket.send_frame(following, WSMsgType.TEXT)
        if len(self._answers) == self._expected:
            self._complete.set()

    async def round(self, frames: list[bytes]) -> list[bytes]:
        """Send all of them, 64 in flight; the answers, when all are there."""
        assert self._socket is not None
        self._next, self._expected, self._answers = iter(frames), len(frames), []
        self._complete.clear()
        for _ in range(IN_FLIGHT):
            frame = next(self._next, None)
            if frame is not None:
                await self._socket.send_frame(frame, WSMsgType.TEXT)
        await asyncio.wait_for(self._complete.wait(), ROUND_S)
        return self._answers


@asynccontextmanager
async def peer() -> AsyncIterator[Peer]:
    relay = Peer()
    app = web.Application()
    app.router.add_get("/", relay.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    relay.url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield relay
    finally:
        await runner.cleanup()
