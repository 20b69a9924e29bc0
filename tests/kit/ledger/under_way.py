"""What a death has cut through: of what was under way then, the ledger that is left tells it all."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Final

from kitestring.base.records import BUNDLE, NOTIFICATION

#: kind -> the rows that are there while one of it is under way. A notification is, from what it tells until a relay has
#: taken it.
UNDER_WAY: Final = {
    "keysend": "SELECT 1 FROM payments WHERE keysend <> '' AND state IN ('reserved', 'dispatched', 'unknown')",
    "bundle": "SELECT 1 FROM requests WHERE request_id LIKE '%/%' AND finished_at IS NULL",
    "bundle of which the rest is not begun": (
        f"SELECT 1 FROM requests WHERE payment_id = '{BUNDLE}' AND finished_at IS NULL"
    ),
    "hold invoice": "SELECT 1 FROM invoices WHERE hold_blocks > 0 AND state IN ('open', 'accepted')",
    "held payment": "SELECT 1 FROM invoices WHERE state = 'accepted' AND held_by = ''",
    "held payment inside": "SELECT 1 FROM invoices WHERE state = 'accepted' AND held_by <> ''",
    "decided hold": "SELECT 1 FROM invoices WHERE decision <> '' AND state IN ('open', 'accepted')",
    "notification": "SELECT 1 FROM events e JOIN grants g USING (service, grant_id)"
    " WHERE g.wire = 'nwc' AND kind IN ('settled', 'received', 'accepted')"
    " AND event > (SELECT coalesce(max(position), 0) FROM consumers c WHERE c.service = e.service AND name = 'notices')"
    f" UNION ALL SELECT 1 FROM outbox o WHERE kind = '{NOTIFICATION}' AND (message & (1 << 48) - 1) >"
    " (SELECT coalesce(max(position), 0) FROM consumers c WHERE c.service = o.service AND name = '@outbox')",
}


def under_way(ledger: Path) -> Counter[str]:
    """1 for each kind of which something was under way in this ledger, which nobody has open."""
    if not ledger.is_file():
        return Counter()
    with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as connection:
        has_tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'invoices'").fetchone()
        kinds = UNDER_WAY if has_tables else {}
        return Counter(kind for kind, rows in kinds.items() if connection.execute(rows).fetchone() is not None)
