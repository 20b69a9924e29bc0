"""One thread writes to the sandbox file; what waits meanwhile shares one commit, and so one fsync."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

#: Pieces of work in one transaction: at 50 µs each the file is never locked for longer than a disk needs for its fsync.
MAX_BATCH: Final = 128
#: Pieces of work that may wait. The engine has fewer payments under way; more means that the disk stands still.
MAX_WAITING: Final = 10_000


class _Job(NamedTuple):
    work: Work[Any]
    future: asyncio.Future[Any]


class _Done(NamedTuple):
    future: asyncio.Future[Any]
    result: Any
    error: BaseException | None


class WorldWriter:
    """Runs work inside transactions, in order. A member that raises is undone alone; a failed commit fails all."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.Queue[_Job | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)
        self._thread.start()

    async def run(self, work: Work[T]) -> T:
        """The result of ``work(connection)`` after the commit that holds what it did. Raises what it raises, and
        sqlite3.Error; then nothing has happened."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put_nowait(_Job(work, future))
        return await future

    async def close(self) -> None:
        """Finish what waits, then close the connection."""
        await asyncio.to_thread(self._jobs.put, None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        with contextlib.closing(self._connection):
            more = True
            while more:
                batch, more = self._next_batch()
                # A loop that is closed already has nobody left who waits.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(_tell, self._commit(batch))

    def _next_batch(self) -> tuple[list[_Job], bool]:
        batch: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            batch.append(job)
            if len(batch) == MAX_BATCH or self._jobs.empty():
                return batch, True
            job = self._jobs.get_nowait()
        return batch, False

    def _commit(self, batch: list[_Job]) -> list[_Done]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            done = [self._do(job) for job in batch]
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            return [_Done(job.future, None, error) for job in batch]
        return done

    def _do(self, job: _Job) -> _Done:
        self._connection.execute("SAVEPOINT member")
        try:
            result, error = job.work(self._connection), None
        except Exception as raised:  # noqa: BLE001 (handed to the one who waits)
            self._connection.execute("ROLLBACK TO member")
            result, error = None, raised
        self._connection.execute("RELEASE member")
        return _Done(job.future, result, error)


def _tell(done: list[_Done]) -> None:
    for future, result, error in done:
        if future.done():
            continue  # cancelled meanwhile; the work is done all the same
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
