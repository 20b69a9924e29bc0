"""The marker: how far the ledger has come, kept in a file of its own beside the key.

A ledger cannot tell that it is an old copy of itself. Its marker is the witness: it is written after commits, never
before they are on disk, so that a ledger which is behind it, or another one, is not the ledger that served last.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from kitestring.app.home.datadir import write_whole
from kitestring.base.records import Generation


def read_marker(path: Path) -> Generation | None:
    """Read what the marker tells; None where there is none, or one that nobody can read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Generation)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_marker(path: Path, generation: Generation) -> None:
    """Replace the marker, whole and durable. Raises OSError."""
    write_whole(path, msgspec.json.encode(generation))
