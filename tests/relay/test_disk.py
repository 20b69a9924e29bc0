from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kitestring.relay.disk import APPLICATION_ID, Disk
from kitestring.relay.entry import KeptEvent
from kitestring.relay.limits import RelayLimits
from tests.kit.transport.relays import note


def modes(directory: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in directory.iterdir()}


async def test_nobody_else_may_read_the_files_also_those_of_an_older_version(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    before = os.umask(0)
    try:
        for _ in range(2):
            disk = Disk(path)
            await disk.open(RelayLimits())
            await disk.write(KeptEvent(note(), is_vouched=False), ())
            assert modes(tmp_path) == {"relay.db": 0o600, "relay.db-wal": 0o600, "relay.db-shm": 0o600}
            await disk.close()
            path.chmod(0o644)
    finally:
        os.umask(before)


def _named(name: str) -> KeptEvent:
    return KeptEvent(note(content=name), is_vouched=name.startswith("own"))


async def test_a_start_keeps_within_the_bounds_the_newest_and_whatever_is_vouched_for(tmp_path: Path) -> None:
    path, names = tmp_path / "relay.db", ["own 1", "a", "b", "own 2", "c"]
    disk = Disk(path)
    await disk.open(RelayLimits())
    for name in names:
        await disk.write(_named(name), ())
    await disk.close()
    small = RelayLimits(max_durable_events=2)
    for limits, kept in (
        (RelayLimits(), names),
        (small, ["own 1", "b", "own 2", "c"]),
        (RelayLimits(), names[:1] + names[2:]),
    ):
        disk = Disk(path)
        assert [row.event.content for row in await disk.open(limits)] == kept
        await disk.close()


async def test_a_file_of_the_version_before_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    with closing(sqlite3.connect(path)) as old:
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        old.execute("PRAGMA user_version = 1")
        old.execute("CREATE TABLE event (id TEXT PRIMARY KEY, json BLOB NOT NULL)")
        old.execute("INSERT INTO event VALUES ('1', zeroblob(10000000))")
        old.commit()
    disk = Disk(path)
    assert await disk.open(RelayLimits()) == []
    await disk.write(_named("new"), ())
    await disk.close()
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR | 3 << 8])
def test_a_full_disk_is_called_one_and_other_trouble_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    disk, error = Disk(tmp_path / "relay.db"), sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code

    def free(space: int) -> None:
        usage: Any = lambda _: shutil._ntuple_diskusage(1, 1, space)  # noqa: E731 - one of two
        monkeypatch.setattr(shutil, "disk_usage", usage)

    free(4096)
    assert disk.explain(error).endswith("is full (4 KiB free): make room, then it goes on by itself")
    free(10**10)
    assert "is full" not in disk.explain(error)
    assert "disk I/O error" in disk.explain(error)
    assert disk.explain(sqlite3.OperationalError("locked")).endswith("relay.db: locked")
