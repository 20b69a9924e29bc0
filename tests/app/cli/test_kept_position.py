"""The position in a file moves with what is dealt with, and never past what was not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kitestring.app.cli.kept_position import KeptPosition
from kitestring.base.errors import KitestringError


def test_it_is_gone_on_from_where_it_was_kept(tmp_path: Path) -> None:
    kept = KeptPosition(tmp_path / "place")
    assert kept.load() is None
    kept.move("feed:1")
    kept.move("feed:2")
    assert KeptPosition(tmp_path / "place").load() == "feed:2"
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_what_was_not_dealt_with_is_not_passed(tmp_path: Path) -> None:
    kept = KeptPosition(tmp_path / "place")
    kept.move("feed:1")
    kept.move("feed:2", is_dealt_with=False)
    kept.move("feed:3")
    assert (kept.text, KeptPosition(tmp_path / "place").load()) == ("feed:1", "feed:1")


def test_without_a_file_it_is_kept_in_memory() -> None:
    kept = KeptPosition(None)
    kept.move("feed:1")
    assert (kept.text, kept.load()) == ("feed:1", None)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "place").write_bytes(b"\xff\xfe")
    with pytest.raises(KitestringError, match="is not a file that --keep has written"):
        KeptPosition(tmp_path / "place").load()


def test_a_file_that_has_lost_its_position_is_refused_instead_of_beginning_with_now(tmp_path: Path) -> None:
    (tmp_path / "place").write_text("\n")
    with pytest.raises(KitestringError, match="is empty"):
        KeptPosition(tmp_path / "place").load()


def test_it_is_on_the_disk_before_it_takes_the_place_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        order.append("fsync")
        fsync(handle)

    def replaced(path: Path, target: Path) -> Path:
        order.append("replace")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    KeptPosition(tmp_path / "place").move("feed:1")
    assert order[:2] == ["fsync", "replace"]


def test_one_watch_at_a_time_keeps_its_position_in_a_file(tmp_path: Path) -> None:
    first, second = KeptPosition(tmp_path / "place"), KeptPosition(tmp_path / "place")
    with first.held():
        first.move("feed:1")
        with pytest.raises(KitestringError, match="another watch"), second.held():
            pass
    with second.held():
        assert second.load() == "feed:1"
    with KeptPosition(None).held(), KeptPosition(None).held():
        pass
