"""A store whose statements are explained, for every test of what is read."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kitestring.ledger.audit.checks import audit
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.ledger.plans import Plans
from tests.kit.ledger.values import (
    SERVICE,
)


@pytest.fixture
async def plans(ledger: Path) -> AsyncIterator[Plans]:
    """A store, and what SQLite says about each statement it has run: (statement, one step of its plan)."""
    store = await SqliteStore.open(ledger, SERVICE)
    seen: set[str] = set()
    assert store._writer is not None
    for connection in (store._writer.connection, store._connection):
        connection.set_trace_callback(seen.add)

    def explained() -> list[tuple[str, str]]:
        raw = sqlite3.connect(ledger)
        statements = [sql for sql in seen if sql.split()[0] in ("SELECT", "UPDATE", "DELETE", "INSERT")]
        found = [(sql, row[3]) for sql in statements for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}")]
        raw.close()
        return found

    yield store, explained
    await store.close()
    assert audit(ledger, SERVICE) == []
