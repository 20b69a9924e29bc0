import asyncio
import sqlite3
import threading
from functools import partial
from pathlib import Path

import pytest

from kitestring.backend.sandbox.writer import WorldWriter


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


async def test_a_member_that_raises_is_undone_alone(tmp_path: Path) -> None:
    connection = connect(tmp_path / "x.db")
    connection.execute("CREATE TABLE t (n INTEGER)")
    writer = WorldWriter(connection)

    def work(number: int, shared: sqlite3.Connection) -> int:
        shared.execute("INSERT INTO t VALUES (?)", (number,))
        return 6 // number

    jobs = [writer.run(partial(work, number)) for number in (1, 0, 2)]
    answers = await asyncio.gather(*jobs, return_exceptions=True)
    assert (answers[0], type(answers[1]), answers[2]) == (6, ZeroDivisionError, 3)
    assert await writer.run(lambda shared: shared.execute("SELECT n FROM t").fetchall()) == [(1,), (2,)]
    await writer.close()


async def test_what_waits_is_done_before_it_closes_and_shares_commits(tmp_path: Path) -> None:
    connection = connect(tmp_path / "x.db")
    commits: list[str] = []
    connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    writer, gate = WorldWriter(connection), threading.Event()
    waiting = [asyncio.ensure_future(writer.run(lambda _: gate.wait()))]
    await asyncio.sleep(0)
    waiting += [asyncio.ensure_future(writer.run(lambda shared: bool(shared.total_changes == 0))) for _ in range(50)]
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(writer.close())
    gate.set()
    await closing
    assert await asyncio.gather(*waiting) == [True] * 51
    # Those that came before the first was taken up may be with it, all others are in one.
    assert len(commits) <= 2


async def test_a_commit_that_fails_fails_all_its_members(tmp_path: Path) -> None:
    connection = connect(tmp_path / "x.db")
    connection.executescript(
        "PRAGMA foreign_keys = ON; CREATE TABLE a (id INTEGER PRIMARY KEY);"
        "CREATE TABLE b (a INTEGER REFERENCES a DEFERRABLE INITIALLY DEFERRED)"
    )
    writer = WorldWriter(connection)
    with pytest.raises(sqlite3.IntegrityError):
        await writer.run(lambda shared: shared.execute("INSERT INTO b VALUES (1)"))
    assert await writer.run(lambda shared: shared.execute("SELECT * FROM b").fetchall()) == []
    await writer.close()
