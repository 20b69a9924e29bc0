"""The size of a message that is under way, by the headers of its frames alone.

The WebSocket parser keeps what has not come to its end where nobody sees it. So that it can be bounded, the same bytes
are followed here; nothing of them is kept or checked, which is the parser's business.
"""

from __future__ import annotations

from typing import Final

_LENGTH: Final = 0x7F
_MASKED: Final = 0x80
_LAST: Final = 0x80
_CONTROL: Final = 0x8
_LENGTH_BYTES: Final = {126: 2, 127: 8}
#: What a message weighs beyond its payload while it waits, in bytes: the objects around it.
MESSAGE_OVERHEAD_BYTES: Final = 128


class FrameMeter:
    """``unfinished_bytes`` have come of the message under way, in so many ``frames``."""

    __slots__ = (
        "_finished", "_finished_bytes", "_head", "_is_control", "_is_last", "_left", "frames", "unfinished_bytes",
    )  # fmt: skip

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self._is_control = self._is_last = False
        self.unfinished_bytes = self.frames = 0
        self._finished = self._finished_bytes = 0

    @property
    def is_between_messages(self) -> bool:
        return not (self.frames or self._left or self._head)

    def take_finished(self) -> tuple[int, int]:
        """The number of messages that have come to their end since this was last asked, and what they weigh."""
        finished = self._finished, self._finished_bytes
        self._finished = self._finished_bytes = 0
        return finished

    def feed(self, data: bytes) -> None:
        at, end = 0, len(data)
        while at < end:
            if self._left:
                taken = min(self._left, end - at)
                at += taken
                self._take(taken)
            else:
                at = self._begin_frame(data, at)

    def _take(self, count: int) -> None:
        self._left -= count
        if not self._is_control:
            self.unfinished_bytes += count
        if not self._left:
            self._end_frame()

    def _begin_frame(self, data: bytes, at: int) -> int:
        """Read a header as far as it is there; where its payload begins."""
        have = len(self._head)
        head = self._head + data[at : at + 14 - have]
        size = 2 + _LENGTH_BYTES.get(head[1] & _LENGTH, 0) + (4 if head[1] & _MASKED else 0) if len(head) > 1 else 14
        if len(head) < size:
            self._head = head
            return len(data)
        self._head = b""
        wide = _LENGTH_BYTES.get(head[1] & _LENGTH, 0)
        self._left = int.from_bytes(head[2 : 2 + wide]) if wide else head[1] & _LENGTH
        self._is_last, self._is_control = bool(head[0] & _LAST), bool(head[0] & _CONTROL)
        if not self._is_control:
            self.frames += 1
        if not self._left:
            self._end_frame()
        return at + size - have

    def _end_frame(self) -> None:
        """A control frame may stand between the frames of a message: it counts for itself, however small it is."""
        if self._is_control:
            self._finish(0)
        elif self._is_last:
            self._finish(self.unfinished_bytes)
            self.unfinished_bytes = self.frames = 0

    def _finish(self, size_bytes: int) -> None:
        self._finished += 1
        self._finished_bytes += size_bytes + MESSAGE_OVERHEAD_BYTES
