"""A busy ledger of two services, and the same without what protects it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.ledger.busy import BUSY, OTHER
from tests.kit.ledger.values import SERVICE


@pytest.fixture
async def busy(ledger: Path) -> Path:
    for service in (SERVICE, OTHER):
        store = await SqliteStore.open(ledger, service)
        for tx in BUSY:
            await store.apply(tx)
        await store.close()
    return ledger


@pytest.fixture
def raw(busy: Path) -> Iterator[sqlite3.Connection]:
    """The database without what protects it."""
    connection = sqlite3.connect(busy, isolation_level=None)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for index in ("payments_holding", "invoices_by_hash"):
        connection.execute(f"DROP INDEX {index}")
    yield connection
    connection.close()
