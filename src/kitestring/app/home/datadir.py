"""The data directory: who may use it, the seed, and where the control socket is.

``kitestring.toml``, ``service.key``, ``kitestring.db`` with its ``kitestring.marker`` and ``kitestring.refused``,
``relay.db``, ``sandbox.db``, ``relay.port``, ``control.sock`` (or ``control.addr``, naming a socket elsewhere) and
``lock``. Beside them, for debits that are asked of others: ``requestor.key`` (see ``client/``) and ``subscriptions/``
(see ``sdk/``); and ``clink-wallet.db``, the book of a CLINK wallet that stands in place of a node.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from kitestring.app.home.settings import FILE_NAME
from kitestring.base.errors import KitestringError, Reason

SEED_LENGTH: Final = 32
#: The most that every Unix holds in sockaddr_un.sun_path with its closing NUL (104 on BSD and macOS, 108 on Linux).
MAX_SOCKET_PATH_BYTES: Final = 103
#: Waiting control connections; the owner's own programs, so few.
CONTROL_BACKLOG: Final = 64
PRIVATE: Final = 0o077
#: Ledger, relay and sandbox with their logs take less than this at a first start.
START_BYTES: Final = 1_000_000
#: No space, no quota, or a limit on the size of files.
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class DataDir:
    """Paths and rules of one data directory. Creating the object touches nothing."""

    def __init__(self, path: Path, runtime_dir: Path, *, store: Path | None = None) -> None:
        """``store`` is a ledger with a name of its own; key, sandbox and lock then bear that name too."""
        self.path: Final = path
        self._runtime_dir: Final = runtime_dir
        self.config_file: Final = path / FILE_NAME
        self.key_file: Final = path / "service.key" if store is None else store.with_suffix(".key")
        self.ledger: Final = store or path / "kitestring.db"
        self.relay_db: Final = path / "relay.db"
        self.sandbox_db: Final = path / "sandbox.db" if store is None else store.with_suffix(".sandbox.db")
        self.marker_file: Final = self.ledger.with_suffix(".marker")
        self.unused_file: Final = self.key_file.with_suffix(".key.unused")
        self.port_file: Final = path / "relay.port"
        self.address_file: Final = path / "control.addr"
        self._held: list[int] = []
        self.lock_file: Final = path / "lock" if store is None else store.with_suffix(".lock")

    def create(self) -> None:
        """Make the directory for its owner alone, durably: a key in it is shown to others before the disk would be
        asked again. Raises KitestringError when there is something else in its place."""
        try:
            missing = [path for path in (self.path, *self.path.parents) if not path.exists()]
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise self._no_directory() from error
        except (PermissionError, FileNotFoundError) as error:
            raise _refused(f"{self.path} cannot be made here; name another directory with --data-dir") from error
        for made in missing:
            sync_directory(made.parent)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory: one service, first of all. Raises KitestringError naming the process that has it."""
        self.create()
        try:
            handle = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError as error:
            raise _refused(f"{self.path} belongs to another user; name another one with --data-dir") from error
        self._held = [handle]
        try:
            self._lock(handle)
            self.need_room()
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            if self.ledger.exists():
                self.hold_ledger()
            yield
        finally:
            for held in self._held:
                os.close(held)  # which lets the lock go; the file stays, or two services could hold two files
            self._held = []

    def hold_ledger(self) -> None:
        """Lock the ledger's own file, whatever it is called elsewhere: another data directory may lead to it. Call it
        while :meth:`locked`, also after the ledger was made. Raises KitestringError when another process has it.

        The handle is closed after SQLite's own: to close any handle of a file ends all its POSIX locks.
        """
        handle = os.open(self.ledger, os.O_RDONLY | os.O_CLOEXEC)
        self._held.append(handle)
        self.unused_file.unlink(missing_ok=True)  # from now on one that is missing is missed
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise KitestringError(
                Reason.BUSY,
                f"the ledger {self.ledger} is served by another kitestring, from another directory or under another "
                "name: stop that one first",
            ) from error

    def _lock(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            raise KitestringError(
                Reason.BUSY,
                f"another kitestring is running on {self.path} (pid {pid}): stop it first, or use another directory",
                pid=pid,
            ) from error

    def _no_directory(self) -> KitestringError:
        return _refused(f"{self.path} is not a directory; name another one with --data-dir")

    def need_room(self) -> None:
        """Raise KitestringError when the disk is too full for a service to start, or for a command to look into it.

        Tried out rather than asked for: quotas and limits are not in the number of free bytes. SQLite says "disk I/O
        error" to some of them.
        """
        try:
            with TemporaryFile(dir=self.path, buffering=0) as probe:
                written = probe.write(bytes(START_BYTES))
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise self.full() from error
        if written < START_BYTES:
            raise self.full()

    def full(self) -> KitestringError:
        """The error that is raised wherever the disk is full."""
        return KitestringError(
            Reason.INTERNAL,
            f"the disk is full ({self.path}): make room, at least {START_BYTES // 1_000_000} MB, and try again",
        )

    # ------------------------------------------------------------ seed

    def seed(self, entropy: Callable[[int], bytes]) -> bytes:
        """The 32 bytes that every key follows from; drawn and stored at the first start only. A file beside it says
        that no ledger was ever made with it, until one is held.

        Raises KitestringError when the file is damaged, open to others, or missing beside an existing ledger.
        """
        if self.key_file.exists():
            return self.read_seed()
        if self.ledger.exists():
            raise self._no_seed()
        seed = entropy(SEED_LENGTH)
        write_whole(self.unused_file, b"no ledger was made with this key yet\n")
        write_whole(self.key_file, f"{seed.hex()}\n".encode())
        return seed

    def read_seed(self) -> bytes:
        """The stored seed. Raises KitestringError, which never shows what the file holds."""
        try:
            found = self.key_file.stat()
            if not stat.S_ISREG(found.st_mode):
                raise _refused(f"{self.key_file} is no file: put the key back from your backup")
            if stat.S_IMODE(found.st_mode) & PRIVATE:
                raise _refused(f"{self.key_file} can be read by others: run chmod 600 {self.key_file}")
            text = self.key_file.read_text(encoding="ascii").strip()
        except FileNotFoundError as error:
            raise self._no_seed() from error
        except NotADirectoryError as error:
            raise self._no_directory() from error
        except PermissionError as error:
            raise _refused(f"{self.key_file} belongs to another user") from error
        except UnicodeDecodeError:
            text = ""
        try:
            seed = bytes.fromhex(text)
        except ValueError:
            seed = b""
        if len(seed) != SEED_LENGTH:
            raise _refused(f"{self.key_file} is damaged: it must hold 64 hex digits; put it back from your backup")
        return seed

    def need_ledger(self) -> None:
        """Raise KitestringError when a ledger has served here and is gone: an empty one would know of no account, no
        budget, and no invoice that was paid."""
        if self.marker_file.exists() and not self.ledger.exists():
            raise _refused(
                f"the ledger {self.ledger} is gone, {self.marker_file.name} tells that there was one: put it back, or "
                "run `kitestring restore` with a backup, or name another directory with --data-dir"
            )

    def _no_seed(self) -> KitestringError:
        if self.ledger.exists():
            return _refused(
                f"{self.path} holds the ledger of a service but not its {self.key_file.name}: put that file back from "
                "your backup, or name another directory with --data-dir"
            )
        return KitestringError(
            Reason.UNAVAILABLE, f"there is no service in {self.path} yet: start one with `kitestring up`"
        )

    def check_owner(self, service_id: str) -> None:
        """Raise KitestringError when the ledger here has services in it, and ``service_id`` is not among them."""
        owners = self._owners()
        if owners and service_id not in owners:
            raise _refused(
                f"{self.path} holds the ledger of another service ({min(owners)[:8]}…, the key here is "
                f"{service_id[:8]}…): put its own {self.key_file.name} back, or name another directory with --data-dir"
            )

    def _owners(self) -> frozenset[str]:
        if not self.ledger.exists():
            return frozenset()
        import sqlite3  # noqa: PLC0415 - most commands leave the ledger to the service

        try:
            with closing(sqlite3.connect(f"{self.ledger.as_uri()}?mode=ro", uri=True)) as connection:
                if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'services'").fetchone():
                    return frozenset()
                return frozenset(row[0] for row in connection.execute("SELECT service_id FROM services"))
        except sqlite3.DatabaseError as error:
            raise _refused(
                f"{self.ledger} cannot be read as a ledger ({error}): put it back from your backup"
            ) from error

    # ------------------------------------------------------------ control socket

    def bind_control(self) -> socket.socket:
        """The listening control socket, for this user alone. Call it only while :meth:`locked`."""
        path = self._own_socket()
        path.unlink(missing_ok=True)  # left by a service that was killed: we hold the lock
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(PRIVATE)
        try:
            listener.bind(str(path))
            listener.listen(CONTROL_BACKLOG)
        except OSError:
            listener.close()
            raise
        finally:
            os.umask(before)
        listener.setblocking(False)
        self._publish_address(path)
        return listener

    def control_path(self) -> Path:
        """The path on which the running service listens, as far as files tell."""
        try:
            return Path(os.fsdecode(self.address_file.read_bytes().strip()))
        except FileNotFoundError:
            return self.path / "control.sock"
        except NotADirectoryError as error:
            raise self._no_directory() from error

    def release_control(self) -> None:
        """Remove what :meth:`bind_control` left."""
        self.control_path().unlink(missing_ok=True)
        self.address_file.unlink(missing_ok=True)

    def _own_socket(self) -> Path:
        plain = self.path / "control.sock"
        if len(os.fsencode(plain)) <= MAX_SOCKET_PATH_BYTES:
            return plain
        self._runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self._runtime_dir.stat()
        if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & PRIVATE:
            raise _refused(f"{self._runtime_dir} must belong to you alone, because the control socket is put there")
        return self._runtime_dir / f"{sha256(os.fsencode(self.path)).hexdigest()[:16]}.sock"

    def _publish_address(self, path: Path) -> None:
        if path.parent == self.path:
            self.address_file.unlink(missing_ok=True)
        else:
            write_whole(self.address_file, os.fsencode(path) + b"\n")

    # ------------------------------------------------------------ embedded relay

    def relay_port(self) -> int:
        """The port of the embedded relay as it was kept, or 0. Raises KitestringError for a damaged file."""
        try:
            text = self.port_file.read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return 0
        if not text.isdecimal() or not 0 < int(text) < 65_536:
            raise _refused(f"{self.port_file} is damaged: write the port of the embedded relay into it, or delete it")
        return int(text)

    def keep_relay_port(self, port: int) -> None:
        """Remember where the embedded relay listens, for every later start."""
        if port != self.relay_port():
            write_whole(self.port_file, f"{port}\n".encode())


def write_whole(path: Path, data: bytes) -> None:
    """Put a file with ``data`` at ``path``, for its owner alone: whole and durable, or (OSError) not at all."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)  # left by a start that was killed
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refused(sentence: str) -> KitestringError:
    return KitestringError(Reason.MALFORMED, sentence)


def not_running(path: Path) -> KitestringError:
    """The error of every command that needs a running service and finds none."""
    return KitestringError(
        Reason.UNAVAILABLE, f"no service is running on {path}: start it with `kitestring up`", data_dir=str(path)
    )
