"""Group commit: one transaction and one fsync for all that waits, and one thread that waits for the disk.

What waits is applied on the loop, in one go, while the thread sleeps; the thread does the COMMIT (the fsync, and the
checkpoint) while the loop goes on. So the two never fight for the interpreter, and each batch costs one wake-up.
Nobody is told anything before the commit. Whatever cannot be done quickly goes to the thread as a whole: housekeeping
over many rows, a database that another process holds, and a batch in which a member raised or whose commit failed. Then
nothing of it has happened, and the thread tries once more, at last one by one, each in its own transaction. Only a
batch that is kept out by another writer is not tried again: after one patience it fails, and with it all that came
meanwhile, so that nobody waits much longer than that and no claim is dispatched long after it was made.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from kitestring.base.errors import KitestringError, NotStoredError, Reason
from kitestring.base.transactions.answers import Tx
from kitestring.base.transactions.feed import Committed, ForgetNews
from kitestring.base.transactions.invoices import ExpireInvoices, LeaveInvoices
from kitestring.base.transactions.requests import ForgetRefusals, Prune
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.apply.memory import Memory
from kitestring.ledger.apply.table import APPLY

log = logging.getLogger(__name__)

#: Members per commit: the gain per fsync is flat beyond this, and the first waiter's delay is not.
BATCH_LIMIT: Final = 256
#: Values that may wait for the writer; a second's work. Whoever comes then waits in line on the loop.
QUEUE_LIMIT: Final = 8_192
#: These may touch thousands of rows: the loop would stand still meanwhile.
_LONG: Final = (Prune, ForgetNews, ForgetRefusals, ExpireInvoices, LeaveInvoices)

_FULL: Final = "the disk is full: free some space; nothing was lost"
_BUSY: Final = "another process is writing to the database: stop it, or try again"


A = TypeVar("A")


@dataclass(slots=True)
class Job:
    """One value that waits, and what came of it."""

    tx: Tx[Any]
    future: asyncio.Future[Any]
    answer: object = None
    error: Exception | None = None


class Writer:
    """Owns the writing connection from :meth:`start` on. Everything but ``_run`` and what it calls is the loop's."""

    def __init__(self, connection: sqlite3.Connection, service: int) -> None:
        self.connection = connection
        #: Told of the news of each commit on the loop, before whoever applied it goes on.
        self.listeners: list[Callable[[Committed], None]] = []
        self._uncommitted: Committed | None = None
        self._news: list[Committed] = []
        self._service = service
        self._memory = Memory()
        self._jobs: deque[Job] = deque()
        self._queue: queue.SimpleQueue[tuple[list[Job], bool] | None] = queue.SimpleQueue()
        self._waiting = 0
        self._is_busy = False
        self._was_kept_out = False
        self._seen = 0
        self._room = asyncio.Event()
        self._closed = False
        self._patience_ms = int(connection.execute("PRAGMA busy_timeout").fetchone()[0])
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="kitestring-ledger", daemon=True)

    def start(self) -> None:
        self._be_patient(0)
        self._thread.start()

    async def submit(self, tx: Tx[A]) -> A:
        """Resolves after the commit. Raises KitestringError(INTERNAL) when the database failed or is closed."""
        while self._waiting >= QUEUE_LIMIT:
            self._room.clear()
            await self._room.wait()
        if self._closed:
            raise KitestringError(Reason.INTERNAL, "the ledger is closed: start the service again")
        self._waiting += 1
        future: asyncio.Future[A] = self._loop.create_future()
        self._jobs.append(Job(tx, future))
        self._wake()
        return await future

    async def close(self) -> None:
        """Finish what waits, checkpoint, close the connection."""
        if not self._closed:
            self._closed = True
            self._wake()
        await asyncio.shield(self._ended)
        self._thread.join()

    # ------------------------------------------------------------ the loop

    def _wake(self) -> None:
        if not self._is_busy:
            self._is_busy = True
            # Not at once: what else is ready to run in this turn of the loop joins the batch.
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        """Apply what waits and hand it over to be committed; until that is done the connection is the thread's.

        As long as each turn of the loop brings more, the batch waits for them: every commit that is saved is an fsync.
        """
        if self._seen < len(self._jobs) < BATCH_LIMIT:
            self._seen = len(self._jobs)
            self._loop.call_soon(self._next)
            return
        self._seen = 0
        batch = [self._jobs.popleft() for _ in range(min(len(self._jobs), BATCH_LIMIT))]
        if batch:
            self._queue.put((batch, self._is_applied(batch)))
        elif self._closed:
            self._queue.put(None)
        else:
            self._is_busy = False

    def _is_applied(self, batch: list[Job]) -> bool:
        if any(isinstance(job.tx, _LONG) for job in batch):
            return False
        try:
            self._apply(batch)
        except Exception:  # noqa: BLE001 - not hidden: the thread meets it again, and its member's caller is told
            return False
        return True

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            batch, applied = work
            self._finish(batch, applied)
            if not self._is_told(self._release, batch):
                break
        try:
            self.connection.close()
        finally:
            self._is_told(self._ended.set_result, None)

    def _finish(self, batch: list[Job], applied: bool) -> None:
        if not (applied and self._is_committed()):
            self._be_patient(self._patience_ms)
            self._commit(batch)
            self._be_patient(0)

    def _is_told(self, what: Callable[..., object], *values: object) -> bool:
        """False when the loop has ended without :meth:`close`: then nobody waits any more, and nothing will come. What
        was committed stands."""
        try:
            self._loop.call_soon_threadsafe(what, *values)
        except RuntimeError:
            return False
        return True

    def _is_committed(self) -> bool:
        try:
            self._end()
        except Exception:  # noqa: BLE001 - not hidden: the members are tried again, and told what then fails
            self._roll_back()
            return False
        return True

    def _be_patient(self, timeout_ms: int) -> None:
        """Set how long to wait for another process that writes; the loop itself never waits."""
        self.connection.execute(f"PRAGMA busy_timeout = {timeout_ms}").fetchall()

    def _commit(self, batch: list[Job]) -> None:
        try:
            self._transact(batch)
        except Exception as error:  # noqa: BLE001 - not hidden: it goes to the members' callers
            if len(batch) == 1 or _is_kept_out(error):
                self._fail(batch, error)
            else:
                self._commit_one_by_one(batch)

    def _commit_one_by_one(self, batch: list[Job]) -> None:
        for number, job in enumerate(batch):
            try:
                self._transact([job])
            except Exception as error:  # noqa: BLE001 - not hidden: it goes to the member's caller
                if _is_kept_out(error):
                    self._fail(batch[number:], error)
                    return
                self._fail([job], error)

    def _fail(self, jobs: list[Job], error: Exception) -> None:
        self._was_kept_out = _is_kept_out(error)
        for job in jobs:
            job.answer, job.error = None, _told(error)

    def _transact(self, batch: list[Job]) -> None:
        self._apply(batch)
        try:
            self._end()
        except BaseException:
            self._roll_back()
            raise

    def _end(self) -> None:
        """Commit; from now on its news are true."""
        self.connection.execute("COMMIT")
        if self._uncommitted is not None:
            self._news.append(self._uncommitted)
            self._uncommitted = None

    # ------------------------------------------------------------ whoever has the connection

    def _apply(self, batch: list[Job]) -> None:
        """Everything but the COMMIT. Raises what a member or the database raised; then nothing has happened."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            self._memory.begin(self.connection)
            state = Batch(self.connection, self._service, self._memory)
            for job in batch:
                job.answer = APPLY[type(job.tx)](state, job.tx)
            state.flush()
            if state.outgoing or state.events or state.webhooks:
                self._uncommitted = Committed(tuple(state.outgoing), tuple(state.events), tuple(state.webhooks))
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        self._memory.forget()
        self._uncommitted = None
        # A full disk has rolled back already.
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def _release(self, batch: list[Job]) -> None:
        if self._was_kept_out:
            self._was_kept_out = False
            batch = batch + self._kept_out_too()
        self._waiting -= len(batch)
        self._room.set()
        self._spread_news()
        for job in batch:
            if job.future.done():  # its caller was cancelled; what was committed stands
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            elif job.answer is not None:
                job.future.set_result(job.answer)
        self._loop.call_soon(self._next)  # after those who were just told, so that what they do next goes with it

    def _spread_news(self) -> None:
        news, self._news = self._news, []
        for committed in news:
            for listener in self.listeners:
                try:
                    listener(committed)
                except Exception:
                    log.exception("a listener to the ledger failed: what it was told is in the ledger all the same")

    def _kept_out_too(self) -> list[Job]:
        """Fail those that came while the batch was kept out: they have waited as well, and would only wait again."""
        jobs = list(self._jobs)
        self._jobs.clear()
        for job in jobs:
            job.error = NotStoredError(Reason.INTERNAL, _BUSY)
        return jobs


def _is_kept_out(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and _code(error) == sqlite3.SQLITE_BUSY


def _code(error: sqlite3.Error) -> int:
    """The primary result code."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _told(error: Exception) -> Exception:
    """Database errors as people may see them; what the code itself raised stays as it is."""
    if not isinstance(error, sqlite3.Error):
        return error
    definite = {sqlite3.SQLITE_FULL: _FULL, sqlite3.SQLITE_BUSY: _BUSY}.get(_code(error))
    if definite is not None:
        told: KitestringError = NotStoredError(Reason.INTERNAL, definite)
    else:
        sentence = f"the database refused to write ({error}): nothing was lost; see `kitestring doctor`"
        told = KitestringError(Reason.INTERNAL, sentence)
    told.__cause__ = error
    return told
