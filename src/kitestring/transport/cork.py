"""A cork: what is said to a relay in one turn of the event loop leaves in one system call."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp

#: Bytes that are gathered; more than that leaves at once.
MAX_GATHERED_BYTES: Final = 65_536
#: Opcodes from this on are pings, pongs and the end: they do not wait (RFC 6455 §5.2).
_FIRST_CONTROL: Final = 0x8
_OPCODE: Final = 0x0F


class Cork:
    """Stands before a transport as a WebSocket writer knows it: one write is one frame."""

    __slots__ = ("_frames", "_loop", "_size", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport: Final = transport
        self._loop: Final = loop
        self._frames: Final[list[bytes]] = []
        self._size = 0

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def write(self, frame: bytes) -> None:
        """Gather a frame until this turn of the loop is over."""
        if not self._frames:
            self._loop.call_soon(self.flush)
        self._frames.append(frame)
        self._size += len(frame)
        if self._size > MAX_GATHERED_BYTES or frame[0] & _OPCODE >= _FIRST_CONTROL:
            self.flush()

    def flush(self) -> None:
        """Send what was gathered, in order. What a connection that is closing does not take is lost with it."""
        frames, self._size = b"".join(self._frames), 0
        self._frames.clear()
        if frames and not self._transport.is_closing():
            self._transport.write(frames)


class CorkedSocket(aiohttp.ClientWebSocketResponse[Any]):
    """The WebSocket of a client with a :class:`Cork` in it."""

    def __init__(self, reader: Any, writer: Any, *rest: Any, **named: Any) -> None:
        writer.transport = Cork(writer.transport, asyncio.get_running_loop())
        super().__init__(reader, writer, *rest, **named)
