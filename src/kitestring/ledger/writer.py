"""The one thread that writes and checkpoints: group commit.

Whatever waits is applied in one transaction with one fsync; nobody is told anything before the commit. If a member
raises or the commit fails, nothing of the batch happened, and its members go one by one, each in its own transaction.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from dataclasses import dataclass
from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.ledger import Tx, TxAnswer
from kitestring.ledger.batch import Batch
from kitestring.ledger.dispatch import APPLY

#: Members per commit: the gain per fsync is flat beyond this, and the first waiter's delay is not.
BATCH_LIMIT: Final = 256
#: Values that may wait for the writer; a second's work. Whoever comes then waits in line on the loop.
QUEUE_LIMIT: Final = 8_192

_FULL: Final = "the disk is full: free some space; nothing was lost"
_BUSY: Final = "another process is writing to the database: stop it, or try again"


@dataclass(slots=True)
class Job:
    """One value that waits, and what came of it."""

    tx: Tx
    future: asyncio.Future[TxAnswer]
    answer: TxAnswer | None = None
    error: Exception | None = None


class Writer:
    """Owns the writing connection from :meth:`start` on. ``submit`` and ``close`` belong to the loop's thread."""

    def __init__(self, connection: sqlite3.Connection, service: int) -> None:
        self.connection = connection
        self._service = service
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting = 0
        self._room = asyncio.Event()
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="kitestring-ledger", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def submit(self, tx: Tx) -> TxAnswer:
        """Resolves after the commit. Raises KitestringError(INTERNAL) when the database failed or is closed."""
        while self._waiting >= QUEUE_LIMIT:
            self._room.clear()
            await self._room.wait()
        if self._closed:
            raise KitestringError(Reason.INTERNAL, "the ledger is closed: start the service again")
        self._waiting += 1
        future: asyncio.Future[TxAnswer] = self._loop.create_future()
        self._queue.put(Job(tx, future))
        return await future

    async def close(self) -> None:
        """Finish what waits, checkpoint, close the connection."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            batch, last = self._gather(job)
            self._commit(batch)
            self._loop.call_soon_threadsafe(self._release, batch)
            if last:
                break
        try:
            self.connection.close()
        finally:
            self._loop.call_soon_threadsafe(self._ended.set_result, None)

    def _gather(self, first: Job) -> tuple[list[Job], bool]:
        batch = [first]
        while len(batch) < BATCH_LIMIT:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _commit(self, batch: list[Job]) -> None:
        try:
            self._transact(batch)
        except Exception as error:  # noqa: BLE001 - not hidden: it goes to the member's caller
            if len(batch) == 1:
                batch[0].answer, batch[0].error = None, _told(error)
                return
            for job in batch:
                self._commit([job])

    def _transact(self, batch: list[Job]) -> None:
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            state = Batch(connection, self._service)
            for job in batch:
                job.answer = APPLY[type(job.tx)](state, job.tx)
            state.flush()
            connection.execute("COMMIT")
        except BaseException:
            # A full disk has rolled back already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _release(self, batch: list[Job]) -> None:
        self._waiting -= len(batch)
        self._room.set()
        for job in batch:
            if job.future.done():  # its caller was cancelled; what was committed stands
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            elif job.answer is not None:
                job.future.set_result(job.answer)


def _told(error: Exception) -> Exception:
    """Database errors as people may see them; what the code itself raised stays as it is."""
    if not isinstance(error, sqlite3.Error):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    sentence = {
        sqlite3.SQLITE_FULL: _FULL,
        sqlite3.SQLITE_BUSY: _BUSY,
    }.get(code, f"the database refused to write ({error}): nothing was lost; see `kitestring doctor`")
    told = KitestringError(Reason.INTERNAL, sentence)
    told.__cause__ = error
    return told
