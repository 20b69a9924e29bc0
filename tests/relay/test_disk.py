from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from kitestring.relay.disk import Disk
from tests.kit.transport.relays import note


def modes(directory: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in directory.iterdir()}


async def test_nobody_else_may_read_the_files_also_those_of_an_older_version(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    before = os.umask(0)
    try:
        for _ in range(2):
            disk = Disk(path)
            await disk.open()
            await disk.write(note(), ())
            assert modes(tmp_path) == {"relay.db": 0o600, "relay.db-wal": 0o600, "relay.db-shm": 0o600}
            await disk.close()
            path.chmod(0o644)
    finally:
        os.umask(before)


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
