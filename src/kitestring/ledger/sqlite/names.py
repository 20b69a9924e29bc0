"""Names in a ledger, for a shell that completes them: read at once, or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

#: More than anybody chooses from.
MAX_NAMES: Final = 500
#: Somebody waits with a finger on the key.
PATIENCE_S: Final = 0.05
_QUERIES: Final[Mapping[str, str]] = {
    "connection": "SELECT name FROM grants WHERE wire = 'nwc' AND revoked_at IS NULL ORDER BY name LIMIT ?",
    "account": "SELECT name FROM accounts WHERE kind = 'sub' AND closed_at IS NULL ORDER BY name LIMIT ?",
    "offer": "SELECT label FROM offers WHERE state IN ('open', 'off') ORDER BY label LIMIT ?",
}


def names(ledger: Path, of: str) -> list[str]:
    """The names of the connections, accounts or offers (``of``) that are in use, at most MAX_NAMES; none from a ledger
    that is not there, is of another form, or is busy."""
    if not ledger.is_file():
        return []
    try:
        address = f"{ledger.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE_S)) as connection:
            return [str(row[0]) for row in connection.execute(_QUERIES[of], (MAX_NAMES,))]
    except sqlite3.Error:
        return []
