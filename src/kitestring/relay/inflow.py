"""Bytes that connections have sent and nobody could take yet: bounded for each in number and time, and for all.

Half a message costs whoever sends it nothing, and us its memory until the other half comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from kitestring.relay.frames import MESSAGE_OVERHEAD_BYTES, FrameMeter
from kitestring.relay.limits import MAX_FRAGMENTS, MAX_REQUEST_BYTES, MESSAGE_TIMEOUT_S, WAITING_BYTES
from kitestring.relay.shares import Shares

_END_OF_HEAD: Final = b"\r\n\r\n"


class Inflows:
    """The sum over all connections, and the watch over messages that do not come to their end."""

    def __init__(self, limit_bytes: int) -> None:
        self.held: Final[Shares[Inflow]] = Shares(limit_bytes, lambda inflow: inflow.cut())
        #: Connections with an unfinished message, by the time (of the loop) when it began; the oldest comes first.
        self._begun: Final[dict[Inflow, float]] = {}
        self._watch: asyncio.TimerHandle | None = None

    def begin(self, inflow: Inflow) -> None:
        """A message of this connection has begun now, and the one before it, if any, has ended."""
        loop = asyncio.get_running_loop()
        self._begun.pop(inflow, None)
        self._begun[inflow] = loop.time()
        if self._watch is None:
            self._watch = loop.call_later(MESSAGE_TIMEOUT_S, self._look)

    def end(self, inflow: Inflow) -> None:
        """No message of this connection is under way. May be called again."""
        self._begun.pop(inflow, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        too_old = loop.time() - MESSAGE_TIMEOUT_S
        for inflow in [inflow for inflow, begun in self._begun.items() if begun <= too_old]:
            self.end(inflow)
            inflow.cut()
        oldest = next(iter(self._begun.values()), None)
        self._watch = None if oldest is None else loop.call_at(oldest + MESSAGE_TIMEOUT_S, self._look)


class Inflow:
    """One connection, from its first byte on. ``abort`` ends it, ``resume`` goes on reading after it was full."""

    def __init__(self, all_of_them: Inflows, abort: Callable[[], None], resume: Callable[[], None]) -> None:
        self._all: Final = all_of_them
        self._abort: Final = abort
        self._resume: Final = resume
        self._meter: Final = FrameMeter()
        #: The last bytes of a request whose end has not come; None behind it.
        self._request_tail: bytes | None = b""
        self._request_bytes = 0
        self._waiting_bytes = self._held_bytes = 0
        self._is_served = self._is_vouched = False
        self._is_cut = False

    @property
    def is_full(self) -> bool:
        """Whether so many finished messages wait that no more should be read."""
        return self._waiting_bytes > WAITING_BYTES

    def serve(self) -> None:
        """The request is answered with a WebSocket: what comes behind it are messages."""
        self._is_served = True

    def vouch(self) -> None:
        """Count it among the strangers no more: a known key is at the other end."""
        self._is_vouched = True
        self._all.held.drop(self)

    def came(self, data: bytes) -> bool:
        """Count what has come; False when that was too much, and the connection is at its end."""
        frames = data if self._request_tail is None else self._behind_request(data)
        meter, was_between = self._meter, self._meter.is_between_messages
        meter.feed(frames)
        finished, finished_bytes = meter.take_finished()
        self._waiting_bytes += finished_bytes
        if meter.is_between_messages:
            self._all.end(self)
        elif was_between or finished:
            self._all.begin(self)
        self._count()
        if meter.frames > MAX_FRAGMENTS or (self._held_bytes > MAX_REQUEST_BYTES and not self._is_served):
            self.cut()
        return not self._is_cut

    def _behind_request(self, data: bytes) -> bytes:
        """Cut off the HTTP request: the bytes behind its end, as soon as that is there."""
        seen = (self._request_tail or b"") + data
        head, end, rest = seen.partition(_END_OF_HEAD)
        self._request_tail = None if end else head[-len(_END_OF_HEAD) + 1 :]
        self._request_bytes = 0 if end else self._request_bytes + len(data)
        return rest

    def took(self, payload_bytes: int) -> None:
        """A message with so many bytes was taken; 0 for a control frame."""
        was_full = self.is_full
        self._waiting_bytes -= payload_bytes + MESSAGE_OVERHEAD_BYTES
        self._count()
        if was_full and not self.is_full:
            self._resume()

    def _count(self) -> None:
        held = self._request_bytes + self._waiting_bytes + self._meter.unfinished_bytes
        before, self._held_bytes = self._held_bytes, held
        if held != before and not self._is_vouched and not self._is_cut:
            self._all.held.add(self, held - before)

    def cut(self) -> None:
        """End the connection at once."""
        self._is_cut = True
        self.leave()
        self._abort()

    def leave(self) -> None:
        """The connection is gone. May be called again."""
        self._all.held.drop(self)
        self._all.end(self)
