"""One consistent copy of a ledger in a file of its own, also while a service writes. It knows that it is one."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.records import StopCause
from kitestring.ledger.sqlite.store import connect_readonly, service_number

_STOP: Final = "INSERT INTO stops VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_TOTAL: Final = """
UPDATE totals SET spending_stopped =
  (SELECT why FROM stops s WHERE s.service = totals.service ORDER BY at, cause LIMIT 1)
WHERE service = ?"""


def copy_ledger(source: Path, target: Path, service_id: str, why: str, now: int) -> None:
    """Copy the ledger at ``source`` to ``target``, which must not exist, durably and for its owner alone.

    Whoever is started on the copy does not spend, because of ``why``, until somebody allows it. Raises KitestringError
    when there is no such ledger, or the copy cannot be written, OSError when its disk is full; a half copy may then be
    there.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with (
            closing(connect_readonly(source)) as original,
            closing(sqlite3.connect(target, isolation_level=None)) as copy,
        ):
            original.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, without a log beside it
            service = service_number(copy, service_id)
            copy.execute("BEGIN IMMEDIATE")
            copy.execute(_STOP, (service, StopCause.LEDGER.value, why, now))
            copy.execute(_TOTAL, (service,))
            copy.execute("COMMIT")
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:  # the disk of the copy: that of the ledger is only read
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from error
        raise KitestringError(Reason.INTERNAL, f"the ledger cannot be copied to {target}: {error}") from error
    with target.open("rb") as file:
        os.fsync(file.fileno())
