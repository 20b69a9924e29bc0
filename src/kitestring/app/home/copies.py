"""Backups: the key, the settings and the ledger of a service in a directory of their own, and back again.

With them goes what belongs to debits that are asked of others: the key, on which every grant hangs, and the memory of
subscriptions, which is never put over one that went on. So it is with the book of a CLINK wallet that stands behind the
service.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from itertools import chain, count
from pathlib import Path
from typing import Final

from kitestring.app.home.datadir import DataDir, sync_directory, write_whole
from kitestring.app.home.keyring import Keyring
from kitestring.backend.clink import book
from kitestring.backend.clink.book import copy_book
from kitestring.base.errors import KitestringError, Reason
from kitestring.client import requestor
from kitestring.ledger.sqlite.copy import copy_ledger
from kitestring.sdk import subscription_store

#: The ending of files that a restore has put aside.
ASIDE: Final = ".before-restore"
#: SQLite's files beside a database.
_BESIDE: Final = ("", "-wal", "-shm")


def back_up(home: DataDir, target: Path, now: int) -> None:
    """Write keys, settings, ledger and subscriptions into the new directory ``target``: all of it, or nothing is there.

    The service may run. Raises KitestringError when there is no service, or ``target`` holds something.
    """
    seed = home.read_seed()
    service_id = Keyring(seed).service_id
    home.check_owner(service_id)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise KitestringError(Reason.ALREADY_USED, f"{target} exists already: name a directory that does not")
    draft = _draft(target)
    try:
        copy = DataDir(draft, draft)
        why = f"this ledger comes from the backup of {_date(now)}; what happened since then is not in it"
        copy_ledger(home.ledger, copy.ledger, service_id, why, now)
        if home.config_file.exists():
            write_whole(copy.config_file, home.config_file.read_bytes())
        write_whole(copy.key_file, f"{seed.hex()}\n".encode())
        if _requestor(home).exists():
            write_whole(_requestor(copy), _requestor(home).read_bytes())
        _copy_subscriptions(home, copy, None)
        copy_book(home.path, draft)
        draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    sync_directory(target.parent)


def restore(home: DataDir, source: Path, now: int, *, force: bool) -> list[Path]:
    """Put a backup into a data directory whose service is stopped. Returns the files that were put aside.

    Raises KitestringError when ``source`` is no backup, a service runs, or, without ``force``, there is one already.
    """
    backup = DataDir(source, source)
    if not backup.ledger.exists() or not backup.key_file.exists():
        raise KitestringError(
            Reason.UNKNOWN_TARGET,
            f"{source} is no backup: it must hold {backup.key_file.name} and {backup.ledger.name}",
        )
    seed = backup.read_seed()
    service_id = Keyring(seed).service_id
    backup.check_owner(service_id)
    with home.locked():
        others = _has_another_requestor(home, backup)
        present = [path.name for path in (home.key_file, home.ledger) if path.exists()]
        present += [_requestor(home).name] if others else []
        if present and not force:
            raise KitestringError(
                Reason.ALREADY_USED,
                f"{home.path} holds a service already ({', '.join(present)}): name another directory with --data-dir, "
                f"or add --force, which puts its files aside as *{ASIDE}",
            )
        draft = home.ledger.with_name(f"{home.ledger.name}.new")
        draft.unlink(missing_ok=True)  # left by a restore that was killed
        why = f"the ledger was restored on {_date(now)}; what happened since the backup is not in it"
        copy_ledger(backup.ledger, draft, service_id, why, now)
        takes_settings = backup.config_file.exists() and (force or not home.config_file.exists())
        more = [home.config_file] if takes_settings else []
        more += [path for path in (_requestor(home), _subscriptions(home), _book(home)) if others and path.exists()]
        with _subscriptions_held(home) if others else nullcontext():
            aside = list(_put_aside(home, more))
        # The ledger first: without its key it does not start, while a key alone would begin an empty ledger.
        draft.replace(home.ledger)
        write_whole(home.key_file, f"{seed.hex()}\n".encode())
        if takes_settings:
            write_whole(home.config_file, backup.config_file.read_bytes())
        if _requestor(backup).exists() and not _requestor(home).exists():
            write_whole(_requestor(home), _requestor(backup).read_bytes())
        if not _subscriptions(home).exists():
            _copy_subscriptions(backup, home, now)
        if not _book(home).exists():
            copy_book(backup.path, home.path)
            sync_directory(home.path)
    return aside


def _draft(target: Path) -> Path:
    """A new directory beside ``target``, for its owner alone. Raises KitestringError where none can be made."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        why = (error.strerror or "refused").lower()
        raise KitestringError(
            Reason.UNKNOWN_TARGET, f"nothing can be written in {target.parent} ({why}): name another directory"
        ) from error


def _requestor(home: DataDir) -> Path:
    return home.path / requestor.FILE_NAME


def _subscriptions(home: DataDir) -> Path:
    return home.path / subscription_store.FOLDER / subscription_store.FILE_NAME


def _book(home: DataDir) -> Path:
    return home.path / book.FILE_NAME


def _has_another_requestor(home: DataDir, backup: DataDir) -> bool:
    """Whether others know the key there as another one than that of the backup: what they granted is not the same."""
    mine, theirs = _requestor(home), _requestor(backup)
    return mine.exists() and theirs.exists() and mine.read_bytes().strip() != theirs.read_bytes().strip()


@contextmanager
def _subscriptions_held(home: DataDir) -> Iterator[None]:
    """Hold all that are carried out from there. Raises KitestringError(BUSY) naming the process that has one."""
    with ExitStack() as held:
        if _subscriptions(home).exists():
            store = held.enter_context(subscription_store.SubscriptionStore(home.path))
            for row in store.subscriptions():
                held.enter_context(store.held(row.subscription_id))
        yield


def _copy_subscriptions(source: DataDir, target: DataDir, restored_at: int | None) -> None:
    """Copy the memory of subscriptions, if there is one, to where there is none: whole, or not at all."""
    if not _subscriptions(source).exists():
        return
    place = _subscriptions(target)
    place.parent.mkdir(mode=0o700, exist_ok=True)
    draft = place.with_name(f"{place.name}.new")
    draft.unlink(missing_ok=True)  # left by a restore that was killed
    with subscription_store.SubscriptionStore(source.path) as store:
        store.copy_to(draft, restored_at)
    draft.replace(place)
    sync_directory(place.parent)
    sync_directory(target.path)


def _put_aside(home: DataDir, more: list[Path]) -> Iterator[Path]:
    """Move key and ledger out of the way, and what is named, each with a name that tells why. The marker stays: it is
    the witness of what was here. What was put aside before, by a restore that was killed perhaps, stays as well."""
    files = [*((path, "") for path in (home.key_file, *more)), *((home.ledger, beside) for beside in _BESIDE)]
    ending = next(
        ending
        for ending in chain((ASIDE,), (f"{ASIDE}-{number}" for number in count(2)))
        if not any(_aside(path, ending, beside).exists() for path, beside in files)
    )
    for path, beside in files:
        found, kept = path.with_name(path.name + beside), _aside(path, ending, beside)
        if found.exists():
            found.replace(kept)
            if not beside:
                yield kept
    sync_directory(home.path)


def _aside(path: Path, ending: str, beside: str) -> Path:
    """SQLite finds the log of a ledger by its name."""
    return path.with_name(f"{path.name}{ending}{beside}")


def _date(now: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
