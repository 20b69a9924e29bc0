"""Frames on their way to one connection: a bounded queue and what writes it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from aiohttp import ClientError, WSMsgType, web

from kitestring.relay.limits import STALLED_S, WINDOW_BYTES, Limits
from kitestring.relay.shares import Shares

Socket = web.WebSocketResponse[bool]


class Outbox:
    """What is pushed here beyond the limits of one reader, or as the slowest when all readers together leave too much
    unread, cuts the connection off (``abort``), so that the reader learns of it. Who can wait awaits :meth:`room`.
    """

    def __init__(self, socket: Socket, limits: Limits, unread: Shares[Outbox], abort: Callable[[], None]) -> None:
        self._socket: Final = socket
        self._limits: Final = limits
        self._unread: Final = unread
        self._abort: Final = abort
        #: A delivery is kept in parts: the event itself is then the same bytes for every reader.
        self._queue: Final[deque[tuple[bytes, ...]]] = deque()
        self._queued_bytes = 0
        self._sent = 0
        self._wake: asyncio.Future[None] | None = None
        self._room: Final = asyncio.Event()
        self.cut_off = False

    def push(self, *parts: bytes) -> None:
        """One frame, in parts."""
        if self.cut_off:
            return
        size = sum(map(len, parts))
        self._queue.append(parts)
        self._queued_bytes += size
        if len(self._queue) > self._limits.max_queued_frames or self._queued_bytes > self._limits.max_queued_bytes:
            self.cut()
            return
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        self._unread.add(self, size)

    def cut(self) -> None:
        """End the connection at once; what was queued is gone."""
        self.cut_off = True
        self._queue.clear()
        self._unread.drop(self)
        self._abort()
        self._room.set()

    def leave(self) -> None:
        """The connection is gone."""
        self._unread.drop(self)

    async def room(self) -> None:
        """Wait while much is unread, which bounds how far commands run ahead of their reader.

        One that takes nothing at all for a long time is cut off.
        """
        while not self.cut_off and self._is_behind():
            self._room.clear()
            before = self._sent
            try:
                async with asyncio.timeout(STALLED_S):
                    await self._room.wait()
            except TimeoutError:
                if self._sent == before:
                    self.cut()

    def _is_behind(self) -> bool:
        return 2 * len(self._queue) > self._limits.max_queued_frames or self._queued_bytes > WINDOW_BYTES

    async def write(self) -> None:
        """Send what is pushed, until cancelled or the connection is broken."""
        with suppress(ClientError, OSError):  # a broken connection is the reader's news
            while True:
                while self._queue:
                    await self._write_one()
                self._room.set()
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake
        self.cut()

    async def _write_one(self) -> None:
        parts = self._queue.popleft()
        frame = parts[0] if len(parts) == 1 else b"".join(parts)
        await self._socket.send_frame(frame, WSMsgType.TEXT)
        self._sent += 1
        if not self.cut_off:
            self._queued_bytes -= len(frame)
            self._unread.add(self, -len(frame))
