"""Frames on their way to one connection: a bounded queue and what writes it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from aiohttp import ClientError, WSMsgType, web

from kitestring.relay.limits import PACE_BYTES, PACE_FRAMES, PACE_S, STALLED_S, WINDOW_BYTES, RelayLimits
from kitestring.relay.shares import Shares

PeerSocket = web.WebSocketResponse[bool]


class Outbox:
    """Frames that wait for one reader. More than one reader may leave unread, or being the slowest when all readers
    together leave too much unread, cuts the connection off (``abort``), so that the reader learns of it. A sender that
    can wait awaits :meth:`room`; a publisher to this reader awaits :meth:`headroom` while it is ``behind``.
    """

    def __init__(
        self, socket: PeerSocket, limits: RelayLimits, unread: Shares[Outbox], abort: Callable[[], None]
    ) -> None:
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
        self._headroom: Final = asyncio.Event()
        self._sent_bytes = 0
        self._judgement: asyncio.TimerHandle | None = None
        self._too_slow = False
        self.cut_off = False
        #: From half of the limits on, until a quarter is left or it proves too slow to be waited for.
        self.behind = False
        #: The service of the relay's owner reads here.
        self.is_own = False
        self._is_vouched = False

    def push(self, *parts: bytes) -> None:
        """One frame, in parts."""
        if self.cut_off:
            return
        size = sum(map(len, parts))
        self._queue.append(parts)
        self._queued_bytes += size
        if self._holds_more_than(self._limits.own_queue_factor if self.is_own else 1):
            self.cut()
            return
        if not self.behind and not self._too_slow and self._holds_more_than(1 / 2):
            self._fall_behind()
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        self._count(size)

    def vouch(self) -> None:
        """A known key reads here: it has not to go for what strangers leave unread."""
        self._is_vouched = True
        self._unread.drop(self)

    def _count(self, size: int) -> None:
        if not self._is_vouched:
            self._unread.add(self, size)

    def cut(self) -> None:
        """End the connection at once; what was queued is gone."""
        self.cut_off = True
        self._queue.clear()
        self._unread.drop(self)
        self._abort()
        self._room.set()
        self._catch_up()

    def leave(self) -> None:
        """The connection is gone."""
        self._unread.drop(self)
        self._catch_up()

    def _holds_more_than(self, share: float) -> bool:
        limits = self._limits
        return (
            len(self._queue) > share * limits.max_queued_frames or self._queued_bytes > share * limits.max_queued_bytes
        )

    # ------------------------------------------------------------ who publishes to this reader

    async def headroom(self) -> None:
        """Wait until this reader is no longer ``behind``."""
        if self.behind:
            await self._headroom.wait()

    def _fall_behind(self) -> None:
        self.behind = True
        self._headroom.clear()
        self._judge_later()

    def _judge_later(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + PACE_S
        self._judgement = loop.call_at(due, self._judge, due, self._sent, self._sent_bytes)

    def _judge(self, due: float, sent: int, sent_bytes: int) -> None:
        is_slow = self._sent - sent < PACE_FRAMES and self._sent_bytes - sent_bytes < PACE_BYTES
        was_held_up = asyncio.get_running_loop().time() > due + PACE_S  # all of this process was, not the reader
        if is_slow and not was_held_up:
            self._too_slow = True
            self._catch_up()
        else:
            self._judge_later()

    def _catch_up(self) -> None:
        self.behind = False
        self._headroom.set()
        if self._judgement is not None:
            self._judgement.cancel()
            self._judgement = None

    # ------------------------------------------------------------ the reader itself

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
                self._too_slow = False
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake
        self.cut()

    async def _write_one(self) -> None:
        parts = self._queue.popleft()
        frame = parts[0] if len(parts) == 1 else b"".join(parts)
        await self._socket.send_frame(frame, WSMsgType.TEXT)
        self._sent += 1
        self._sent_bytes += len(frame)
        if not self.cut_off:
            self._queued_bytes -= len(frame)
            self._count(-len(frame))
            if self.behind and not self._holds_more_than(1 / 4):
                self._catch_up()
