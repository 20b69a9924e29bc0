"""The data directory: one service at a time, one seed forever, one socket for its owner."""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.home import datadir
from kitestring.app.home.datadir import MAX_SOCKET_PATH_BYTES, DataDir
from kitestring.base.errors import Exit, KitestringError, Reason

SEED = bytes(range(32))


@pytest.fixture
def home(tmp_path: Path) -> DataDir:
    found = DataDir(tmp_path / "data", tmp_path / "run")
    found.create()
    return found


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_directory_is_its_owners_alone(home: DataDir) -> None:
    assert mode(home.path) == 0o700


def test_a_new_directory_is_durable_before_anything_is_written_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(datadir, "sync_directory", synced.append)
    home = DataDir(tmp_path / "a" / "b", tmp_path)
    home.create()
    assert sorted(synced) == [tmp_path, tmp_path / "a"]
    home.create()
    assert len(synced) == 2


def test_a_second_service_is_told_who_runs(home: DataDir) -> None:
    held = (
        "import sys; from pathlib import Path; from kitestring.app.home.datadir import DataDir\n"
        f"with DataDir(Path({str(home.path)!r}), Path('/x')).locked():\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with (
            pytest.raises(KitestringError, match=rf"another kitestring is running on .* \(pid {child.pid}\)") as caught,
            home.locked(),
        ):
            pass
        assert caught.value.exit_code is Exit.UNAVAILABLE  # it may end in a moment
        child.kill()
    with home.locked():
        assert home.lock_file.read_text() == f"{os.getpid()}\n"
    with home.locked():
        pass


def test_the_seed_is_drawn_once(home: DataDir) -> None:
    assert home.seed(lambda size: SEED[:size]) == SEED
    assert home.seed(bytes) == SEED == home.read_seed()
    assert mode(home.key_file) == 0o600


@pytest.mark.parametrize("kept", ["seed", "port"])
def test_a_disk_that_fills_up_leaves_no_half_file(kept: str, home: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def keep() -> None:
        if kept == "seed":
            home.seed(lambda _: SEED)
        else:
            home.keep_relay_port(7777)

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            keep()
    assert list(home.path.iterdir()) == []
    keep()
    assert (home.read_seed() if kept == "seed" else home.relay_port()) in (SEED, 7777)


def test_a_seed_that_others_can_read_is_refused(home: DataDir) -> None:
    home.seed(lambda _: SEED)
    home.key_file.chmod(0o640)
    with pytest.raises(KitestringError, match="chmod 600"):
        home.read_seed()


def test_a_directory_in_the_place_of_the_seed_is_named(home: DataDir) -> None:
    home.key_file.mkdir(mode=0o700)
    with pytest.raises(KitestringError, match=r"service\.key is no file: put the key back"):
        home.read_seed()


def test_the_address_of_a_socket_is_bytes_as_paths_are(home: DataDir) -> None:
    home.address_file.write_bytes(b"/run/caf\xe9.sock\n")
    assert os.fsencode(home.control_path()) == b"/run/caf\xe9.sock"


@pytest.mark.parametrize("text", ["", "00" * 31, "00" * 33, "zz" * 32, "é"])
def test_a_damaged_seed_is_refused_without_showing_it(home: DataDir, text: str) -> None:
    home.key_file.write_text(text, encoding="utf-8")
    home.key_file.chmod(0o600)
    with pytest.raises(KitestringError, match="damaged") as caught:
        home.seed(lambda _: SEED)
    assert not text or text not in caught.value.message


def test_no_new_seed_is_drawn_beside_an_old_ledger(home: DataDir) -> None:
    home.ledger.touch()
    for look in (partial(home.seed, lambda _: SEED), home.read_seed):
        with pytest.raises(KitestringError, match="put that file back"):
            look()
    assert not home.key_file.exists()


def test_the_ledger_of_another_service_is_refused(home: DataDir) -> None:
    home.check_owner("aa" * 32)
    connection = sqlite3.connect(home.ledger)
    home.check_owner("aa" * 32)  # an empty file belongs to nobody
    connection.execute("CREATE TABLE services (service INTEGER PRIMARY KEY, service_id TEXT)")
    connection.execute("INSERT INTO services VALUES (1, ?)", ("bb" * 32,))
    connection.commit()
    connection.close()
    home.check_owner("bb" * 32)
    with pytest.raises(KitestringError, match="ledger of another service") as caught:
        home.check_owner("aa" * 32)
    assert caught.value.reason is Reason.MALFORMED


def test_a_file_that_is_no_ledger_is_refused(home: DataDir) -> None:
    home.ledger.write_text("this is not a database, and long enough to be looked at as one " * 20)
    with pytest.raises(KitestringError, match="cannot be read as a ledger"):
        home.check_owner("aa" * 32)


@pytest.fixture
def listener(home: DataDir) -> Iterator[socket.socket]:
    with home.bind_control() as found:
        yield found


def test_the_socket_is_its_owners_alone(home: DataDir, listener: socket.socket) -> None:
    assert home.control_path() == home.path / "control.sock"
    assert mode(home.control_path()) & 0o077 == 0
    home.release_control()
    assert not home.control_path().exists()


def test_a_socket_left_by_a_killed_service_is_replaced(home: DataDir, listener: socket.socket) -> None:
    with home.bind_control(), socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(home.control_path()))


def test_a_path_too_long_for_a_socket_goes_to_the_runtime_directory(tmp_path: Path) -> None:
    home = DataDir(tmp_path / ("long" * 30), Path(f"/tmp/kitestring-test-{os.getpid()}"))
    home.create()
    assert len(os.fsencode(home.path)) > MAX_SOCKET_PATH_BYTES
    try:
        with home.bind_control():
            path = home.control_path()
            assert path.is_socket()
            assert path == Path(home.address_file.read_text().strip())
            assert mode(path.parent) == 0o700
        home.release_control()
        assert not path.exists()
        assert not home.address_file.exists()
    finally:
        path.parent.rmdir()


def test_a_runtime_directory_of_others_is_not_used(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    home = DataDir(tmp_path / ("long" * 30), shared)
    home.create()
    with pytest.raises(KitestringError, match="belong to you alone"):
        home.bind_control()


def test_a_runtime_directory_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    home = DataDir(tmp_path / ("long" * 30), tmp_path / "theirs")
    home.create()
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    with pytest.raises(KitestringError, match="belong to you alone"):
        home.bind_control()


def test_the_port_of_the_relay_is_kept(home: DataDir) -> None:
    assert home.relay_port() == 0
    home.keep_relay_port(7777)
    assert home.relay_port() == 7777
    home.port_file.write_text("70000")
    with pytest.raises(KitestringError, match="damaged"):
        home.relay_port()


def test_something_else_in_the_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KitestringError, match="not a directory"), DataDir(tmp_path / "file", tmp_path).locked():
        pass


def test_a_ledger_that_is_gone_while_its_marker_is_there_is_asked_for(home: DataDir) -> None:
    home.need_ledger()
    home.marker_file.write_bytes(b"{}")
    with pytest.raises(KitestringError, match=r"kitestring\.db is gone, kitestring\.marker tells .*kitestring restore"):
        home.need_ledger()
    home.ledger.touch()
    home.need_ledger()


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_one_ledger_is_served_once_whatever_directory_or_name_leads_to_it(
    home: DataDir, tmp_path: Path, link: Any
) -> None:
    other = DataDir(tmp_path / "other", tmp_path / "run")
    other.create()
    with home.locked():
        home.ledger.touch()  # made after the lock was taken, as at a first start
        home.hold_ledger()
        link(other.ledger, home.ledger)
        with pytest.raises(KitestringError, match="is served by another kitestring") as caught, other.locked():
            pass
        assert (caught.value.reason, caught.value.exit_code) == (Reason.BUSY, Exit.UNAVAILABLE)
    with other.locked(), pytest.raises(KitestringError, match="is served by another kitestring"), home.locked():
        pass
    with home.locked():
        pass
