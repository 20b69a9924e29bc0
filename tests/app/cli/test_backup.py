"""A backup on the command line, of a service that runs."""

from __future__ import annotations

from pathlib import Path

from tests.kit.app.console import Service, kitestring


def test_a_service_that_runs_is_backed_up_with_all_that_was_said_before(service: Service, tmp_path: Path) -> None:
    service.ok("account", "create", "kept")
    target = tmp_path / "monday"
    assert service.ok("backup", str(target)) == {"directory": str(target)}
    there = kitestring("--json", "account", "list", KITESTRING_DATA_DIR=str(target))
    assert '"kept"' in there.stdout
    again = service.run("backup", str(target))
    assert (again.exit_code, "exists already" in again.stderr) == (2, True)
