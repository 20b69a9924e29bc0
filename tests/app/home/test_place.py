"""The data directory that nobody has named."""

from __future__ import annotations

from pathlib import Path

from kitestring.app.home.place import default_data_dir


def test_the_data_directory_comes_from_the_environment(tmp_path: Path) -> None:
    assert default_data_dir({"KITESTRING_DATA_DIR": str(tmp_path)}) == tmp_path
    assert default_data_dir({}).name == "kitestring"
