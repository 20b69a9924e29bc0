"""A ledger that keeps step with a virtual loop, so that no run depends on how fast the disk or the machine is."""

from __future__ import annotations

import asyncio
from typing import Any

from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.ledger.sqlite.writer import Job, Writer
from tests.kit.clock import VirtualLoop


def keep_in_step(store: SqliteStore) -> None:
    """On a virtual loop, what the writer would hand to its thread is done within the hand-over."""
    loop, writer = asyncio.get_running_loop(), store._writer
    if isinstance(loop, VirtualLoop) and writer is not None and not isinstance(writer._queue, _InStep):
        writer._queue = _InStep(writer, loop)  # type: ignore[assignment]  # a queue as far as the writer uses it


class _InStep:
    """The queue between the writer and its thread, which has nothing to do but to close the connection."""

    def __init__(self, writer: Writer, loop: VirtualLoop) -> None:
        self._writer = writer
        self._loop = loop
        self._queue: Any = writer._queue

    def put(self, work: tuple[list[Job], bool] | None) -> None:
        if work is None:
            self._queue.put(None)
            self._writer._thread.join()
        else:
            self._writer._finish(*work)
            self._loop.call_soon_threadsafe(self._writer._release, work[0])

    def get(self) -> Any:
        return self._queue.get()
