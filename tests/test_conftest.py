"""The rule that keeps a green run honest: with CI=true nothing is left out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "body",
    [
        "@pytest.mark.skip\ndef test_it(): pass",
        "def test_it(): pytest.skip('not today')",
        "@pytest.mark.xfail\ndef test_it(): assert False",
        "pytest.skip('not here', allow_module_level=True)",
        "def test_it(rig): pass",
    ],
)
def test_a_test_left_out_fails_the_run_with_ci_true_and_only_there(body: str, tmp_path: Path) -> None:
    (tmp_path / "test_left_out.py").write_text(f"import pytest\n{body}\n")
    assert _exit_code(tmp_path, CI="true") in {pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED}
    assert _exit_code(tmp_path, CI="") in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}


def _exit_code(directory: Path, **environment: str) -> int:
    nowhere = {"KITESTRING_RIG_CACHE": str(directory / "empty"), "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", str(directory)]
    return subprocess.run(
        command, cwd=directory, env=os.environ | nowhere | environment, capture_output=True, check=False, timeout=60
    ).returncode
