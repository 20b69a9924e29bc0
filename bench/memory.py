"""What the process that asks holds in memory, and how much of it is SQLite's page cache.

SQLite counts the pages that it holds, in its C interface. Where the ``sqlite3`` of Python is linked to a shared library
(as in every distribution of Linux), that very library is loaded once more here, which gives the same counters.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
from pathlib import Path
from typing import Final

#: SQLITE_STATUS_PAGECACHE_OVERFLOW: bytes of page cache that were taken from the heap. There is no other page cache
#: here, because nobody has configured one.
_PAGE_CACHE: Final = 2
_MAPS: Final = Path("/proc/self/maps")
_STATM: Final = Path("/proc/self/statm")
_IO: Final = Path("/proc/self/io")


def resident_bytes() -> int:
    """What the process has in memory; 0 where the system does not tell."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if _STATM.exists() else 0


def page_cache_bytes() -> int | None:
    """Of all connections of this process; None where SQLite is part of Python itself and cannot be asked."""
    assert sqlite3.sqlite_version  # it is loaded
    maps = _MAPS.read_text().splitlines() if _MAPS.exists() else []
    path = next((line.split()[-1] for line in maps if "libsqlite3" in line), None)
    if path is None:
        return None
    now, most = ctypes.c_int64(), ctypes.c_int64()
    failed = ctypes.CDLL(path).sqlite3_status64(_PAGE_CACHE, ctypes.byref(now), ctypes.byref(most), 0)
    return None if failed else now.value


def read_bytes() -> tuple[int, int]:
    """Bytes that the process has read from files, and those of them that came from the disk; 0 where the system does
    not tell."""
    if not _IO.exists():
        return 0, 0
    rows = dict(line.split(": ") for line in _IO.read_text().splitlines())
    return int(rows["rchar"]), int(rows["read_bytes"])
