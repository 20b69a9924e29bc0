"""The marker tells how far the ledger had come, or that nobody knows."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from kitestring.app.home.marker import read_marker, write_marker
from kitestring.base.records import Generation


def test_a_marker_is_read_as_it_was_written_and_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    marker = tmp_path / "kitestring.marker"
    for number in (1, 2):
        write_marker(marker, Generation("ab", number, 2, 3, 4))
    assert read_marker(marker) == Generation("ab", 2, 2, 3, 4)
    assert stat.S_IMODE(marker.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["kitestring.marker"]


@pytest.mark.parametrize("held", [None, b"", b"{", b'{"ledger_id": 5}', b"\xff"])
def test_no_marker_or_a_damaged_one_tells_nothing(tmp_path: Path, held: bytes | None) -> None:
    marker = tmp_path / "kitestring.marker"
    if held is not None:
        marker.write_bytes(held)
    assert read_marker(marker) is None
