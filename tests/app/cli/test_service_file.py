"""The unit of systemd, printed with the path of this program."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from kitestring.app.home.systemd import unit
from tests.kit.app.console import kitestring


def test_the_unit_runs_this_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "kitestring").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    told = kitestring("service-file")
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout == unit(tmp_path / "kitestring")
    assert f"\nExecStart={tmp_path}/kitestring up\n" in told.stdout
    assert json.loads(kitestring("--json", "service-file").stdout) == {
        "unit": told.stdout, "path": "/etc/systemd/system/kitestring.service",
    }  # fmt: skip


def test_a_program_that_the_service_would_not_see_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    monkeypatch.setattr(sys, "executable", "/home/me/.venv/bin/python")
    told = kitestring("service-file")
    assert told.stderr == (
        "warning: /home/me/.venv/bin/kitestring is in a home, which the service does not see: install it in /opt, "
        "for one\n"
    )
    assert "\nExecStart=/home/me/.venv/bin/kitestring up\n" in told.stdout


def test_without_a_program_beside_python_the_place_of_the_documentation_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    told = kitestring("service-file")
    assert told.stdout == unit(None)
    assert told.stderr.endswith("/kitestring is not there: write the path of your kitestring after ExecStart=\n")


def test_another_data_directory_is_refused_and_the_same_is_not() -> None:
    refused = kitestring("--data-dir", "/srv/kite", "service-file")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "the unit keeps its data in /var/lib/kitestring" in refused.stderr
    assert kitestring("--data-dir", "/var/lib/kitestring", "service-file").exit_code == 0
