"""A ledger for every test of this room, in memory where the machine has such a place, and audited at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kitestring.base.transactions.answers import Claimed
from kitestring.ledger.audit.checks import audit
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.ledger.values import SERVICE, setting


@pytest.fixture
async def store(ledger: Path) -> AsyncIterator[SqliteStore]:
    """With two accounts in credit, and a grant on each."""
    opened = await SqliteStore.open(ledger, SERVICE)
    assert await opened.apply(setting()) == Claimed()
    yield opened
    await opened.close()
    assert audit(ledger, SERVICE) == []
