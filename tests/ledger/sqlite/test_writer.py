"""Group commit: one commit for what waits, and a faulty member that fails alone."""

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from kitestring.base.errors import KitestringError, NotStoredError, Reason
from kitestring.base.payments import IllegalStepError
from kitestring.base.transactions.answers import Claimed, Denied, Recorded, Running, Tx
from kitestring.base.transactions.feed import ForgetNews
from kitestring.base.transactions.invoices import ExpireInvoices, LeaveInvoices
from kitestring.base.transactions.requests import ForgetRefusals, Prune
from kitestring.ledger.audit.checks import audit
from kitestring.ledger.sqlite import writer as writer_module
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.ledger.sqlite.writer import Writer
from tests.kit.ledger.values import SERVICE, answered, claim, execute, move, payment, setting, settle


class Faulty:
    """A connection that counts commits and breaks where it is told to."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.commits = 0
        self.failing_commits: list[Exception] = []
        self.began_in: list[threading.Thread] = []
        self.kept_out: threading.Event | None = None  # another process writes, and the patience ends when this is set

    def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
        if sql == "BEGIN IMMEDIATE":
            self.began_in.append(threading.current_thread())
            if self.kept_out is not None:
                if threading.current_thread() is not threading.main_thread():
                    self.kept_out.wait()
                raise locked()
        if sql == "COMMIT":
            if self.failing_commits:
                raise self.failing_commits.pop(0)
            self.commits += 1
        return self.connection.execute(sql, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


def locked() -> sqlite3.OperationalError:
    busy = sqlite3.OperationalError("database is locked")
    busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return busy


@pytest.fixture(autouse=True)
async def rich(store: SqliteStore) -> None:
    """Alice has enough for many payments at once."""
    await store.apply(execute("more", move("more", "owner", "alice", 9_900_000)))


def faulty(store: SqliteStore) -> Faulty:
    writer = store._writer
    assert writer is not None
    wrapped = Faulty(writer.connection)
    writer.connection = wrapped  # type: ignore[assignment]  # passes on whatever else is asked of it
    return wrapped


async def together(store: SqliteStore, *txs: Tx[object]) -> list[object | BaseException]:
    return await asyncio.gather(*(store.apply(tx) for tx in txs), return_exceptions=True)


async def test_what_waits_shares_one_commit(store: SqliteStore) -> None:
    connection = faulty(store)
    await store.apply(claim("first"))
    many = [claim(f"p{number}") for number in range(200)]
    assert await together(store, *many) == [Claimed()] * 200
    assert connection.commits <= 4  # the first of them may go before the others have come


async def test_members_of_one_batch_see_each_other_in_order(store: SqliteStore) -> None:
    rest = payment("b", 10_000_000 - 1100, 0)
    answers = await together(
        store, claim("a"), claim("a"), claim("b", rest), claim("c", payment("c", 1, 0)), settle("a", 0, answered("a"))
    )
    assert answers[:3] == [Claimed(), Running(), Claimed()]
    assert isinstance(answers[3], Denied)
    assert isinstance(answers[4], Recorded)


async def test_a_member_that_raises_fails_alone(store: SqliteStore) -> None:
    await store.apply(claim("done"))
    await store.apply(settle("done", 0, answered("done")))
    answers = await together(store, claim("a"), settle("done", 0), claim("b"), settle("nobody"), claim("c"))
    assert [type(answer) for answer in answers] == [Claimed, IllegalStepError, Claimed, KitestringError, Claimed]
    assert len(await store.open_payments()) == 3


async def test_a_member_that_breaks_a_constraint_fails_alone_and_writes_nothing(store: SqliteStore) -> None:
    twice = payment("b", payment_id="pay-a")
    answers = await together(store, claim("a"), claim("b", twice), claim("c"))
    assert [type(answer) for answer in answers] == [Claimed, KitestringError, Claimed]
    assert await store.request("ask-b") is None
    assert (await store.totals()).pending_msat == 2200


async def test_a_failed_commit_is_tried_again_one_by_one_and_only_what_fails_again_fails(store: SqliteStore) -> None:
    connection = faulty(store)
    connection.failing_commits = [sqlite3.OperationalError("disk I/O error")] * 3
    answers = await together(store, claim("a"), claim("b"), claim("c"), claim("d"))
    told = [answer for answer in answers if isinstance(answer, KitestringError)]
    assert len(told) in (1, 2)
    assert all("nothing was lost" in error.message and error.reason is Reason.INTERNAL for error in told)
    assert len(await store.open_payments()) == 4 - len(told)
    assert await store.apply(claim("e")) == Claimed()


async def test_nobody_is_told_before_the_commit(store: SqliteStore, ledger: Path) -> None:
    await store.apply(claim("a"))
    second = sqlite3.connect(ledger)
    assert second.execute("SELECT state FROM payments").fetchall() == [("dispatched",)]
    second.close()


async def test_a_full_disk_fails_what_did_not_fit_and_the_store_goes_on_afterwards(
    store: SqliteStore, ledger: Path
) -> None:
    writer = store._writer
    assert writer is not None
    connection = writer.connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()
    large = [claim(f"p{number}", payment(f"p{number}", metadata="m" * 5000)) for number in range(20)]
    answers = await together(store, *large)
    told = [answer for answer in answers if isinstance(answer, KitestringError)]
    assert told
    assert {error.message for error in told} == {"the disk is full: free some space; nothing was lost"}
    assert len(await store.open_payments()) == 20 - len(told)
    assert audit(ledger, SERVICE) == []
    connection.execute("PRAGMA max_page_count = 1073741823").fetchone()
    assert await store.apply(claim("later")) == Claimed()


async def test_a_caller_that_gave_up_does_not_stop_the_others(store: SqliteStore) -> None:
    gone = asyncio.ensure_future(store.apply(claim("a")))
    await asyncio.sleep(0)
    gone.cancel()
    assert await store.apply(claim("b")) == Claimed()
    assert gone.cancelled()
    assert {one.payment_id for one in await store.open_payments()} == {"pay-a", "pay-b"}


async def test_more_than_the_queue_holds_waits_in_line(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "QUEUE_LIMIT", 4)
    monkeypatch.setattr(writer_module, "BATCH_LIMIT", 3)
    assert await together(store, *(claim(f"p{number}") for number in range(30))) == [Claimed()] * 30


async def test_closing_finishes_what_waits_and_refuses_what_comes_after(ledger: Path) -> None:
    store = await SqliteStore.open(ledger, SERVICE)
    await store.apply(setting())
    waiting = [asyncio.ensure_future(store.apply(claim(f"p{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    await store.close()
    assert [await one for one in waiting] == [Claimed()] * 20
    with pytest.raises(KitestringError, match="closed"):
        await store.apply(claim("late"))
    await store.close()


async def test_the_loop_is_woken_once_per_batch(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    release = Writer._release

    def counted(self: Writer, batch: list[Any]) -> None:
        batches.append(len(batch))
        release(self, batch)

    monkeypatch.setattr(Writer, "_release", counted)
    await together(store, *(claim(f"p{number}") for number in range(100)))
    assert sum(batches) == 100
    assert len(batches) <= 3


async def test_the_loop_goes_on_while_another_process_holds_the_database(store: SqliteStore, ledger: Path) -> None:
    other = sqlite3.connect(ledger, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    claimed = asyncio.ensure_future(store.apply(claim("a")))
    for _ in range(20):
        await asyncio.sleep(0)
        assert (await store.totals()).pending_msat == 0
    assert not claimed.done()
    other.execute("ROLLBACK")
    other.close()
    assert await claimed == Claimed()
    assert store._writer is not None
    patience = store._writer.connection.execute("PRAGMA busy_timeout").fetchone()
    assert patience == (0,)  # on the loop; only the thread waits


async def test_a_batch_that_is_kept_out_fails_as_one_and_with_it_what_came_meanwhile(store: SqliteStore) -> None:
    connection = faulty(store)
    connection.kept_out = threading.Event()
    waiting = [asyncio.ensure_future(store.apply(claim(f"p{number}"))) for number in range(50)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert connection.began_in
    waiting += [asyncio.ensure_future(store.apply(claim(f"q{number}"))) for number in range(300)]
    await asyncio.sleep(0)
    connection.kept_out.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert len(connection.began_in) == 2  # once on the loop, once with patience
    assert {type(answer) for answer in answers} == {NotStoredError}
    assert {str(answer) for answer in answers} == {"another process is writing to the database: stop it, or try again"}
    connection.kept_out = None
    assert await store.apply(claim("p0")) == Claimed()


async def test_one_that_is_kept_out_after_another_raised_ends_the_attempts_of_all(store: SqliteStore) -> None:
    connection = faulty(store)
    connection.failing_commits = [locked()] * 9
    answers = await together(store, settle("nobody"), *(claim(f"p{number}") for number in range(5)))
    assert [type(answer) for answer in answers] == [KitestringError, *[NotStoredError] * 5]
    assert len(connection.failing_commits) == 8
    connection.failing_commits.clear()
    assert await store.apply(claim("p0")) == Claimed()


def test_a_loop_that_ends_without_closing_the_store_leaves_a_whole_ledger(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()

    async def leave() -> Writer:
        store = await SqliteStore.open(ledger, SERVICE)
        await store.apply(setting())
        writer = store._writer
        assert writer is not None
        commit = writer._is_committed
        monkeypatch.setattr(writer, "_is_committed", lambda: held.wait() and commit())
        claimed = asyncio.ensure_future(store.apply(claim("a")))
        for _ in range(9):
            await asyncio.sleep(0)
        assert not claimed.done()
        store._connection.close()
        return writer

    loop = asyncio.new_event_loop()
    writer = loop.run_until_complete(leave())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    held.set()
    writer._thread.join()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        writer.connection.execute("SELECT 1")
    assert audit(ledger, SERVICE) == []
    raw = sqlite3.connect(ledger)
    assert raw.execute("SELECT payment_id FROM payments").fetchall() == [("pay-a",)]
    raw.close()


@pytest.mark.parametrize(
    "tx",
    [
        Prune(0, 0),
        ForgetNews(0, 0),
        ForgetRefusals(0, 0),
        ExpireInvoices((), 0, "node", 0),
        LeaveInvoices("node", 0),
    ],
)
async def test_housekeeping_over_many_rows_does_not_hold_the_loop_up(store: SqliteStore, tx: Tx[object]) -> None:
    connection = faulty(store)
    await store.apply(claim("a"))
    await store.apply(tx)
    here, there = connection.began_in
    assert here is threading.current_thread()
    assert there is not here
