"""Where the ledgers of the tests are: in memory where the machine has such a place, for each commit is synced."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_MEMORY: Final = "/dev/shm"


@contextmanager
def ledger_path() -> Iterator[Path]:
    """The path of a ledger that is gone afterwards; nothing else is in its directory."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as directory:
        yield Path(directory) / "kitestring.db"
