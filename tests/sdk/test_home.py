"""Where a program keeps what has to outlive it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitestring.sdk.home import home_of


def test_a_directory_that_is_named_is_taken_and_otherwise_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert home_of(tmp_path / "named") == tmp_path / "named"
    assert home_of(None) == tmp_path / "kitestring"
    assert list(tmp_path.iterdir()) == []
