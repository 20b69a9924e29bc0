"""A settings file that explains itself, written once."""

from __future__ import annotations

from pathlib import Path

from kitestring.app.home.config import load
from kitestring.app.home.manual import commented_toml
from tests.kit.app.console import Service, kitestring
from tests.kit.changed import replace


def test_init_writes_the_settings_once(tmp_path: Path) -> None:
    home = str(tmp_path / "new")
    assert kitestring("init", "--data-dir", home).exit_code == 0
    written = tmp_path / "new" / "kitestring.toml"
    assert written.stat().st_mode & 0o077 == 0
    again = kitestring("init", "--data-dir", home)
    assert again.exit_code == 2
    assert "exists already" in again.stderr


def test_the_settings_that_are_written_are_the_defaults_in_words(tmp_path: Path) -> None:
    told = kitestring("init", "--data-dir", str(tmp_path))
    written = tmp_path / "kitestring.toml"
    assert told.stdout == f"wrote {written}\nnow: `kitestring --data-dir {tmp_path} up`\n"
    assert written.read_text() == commented_toml()
    assert replace(load(tmp_path), data_dir=None) == replace(load(tmp_path / "nowhere"), data_dir=None)


def test_beside_a_running_service_it_says_that_a_restart_is_needed(service: Service) -> None:
    told = service.run("init")
    written = service.home / "kitestring.toml"
    assert told.stdout == f"wrote {written}\nthe running service reads it at its next start: restart it\n"
    written.unlink()
