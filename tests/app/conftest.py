from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.kit import Life


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    """What lasts over restarts; the ledger is audited at the end."""
    life = Life(tmp_path / "ledger.db")
    yield life
    life.audit()
