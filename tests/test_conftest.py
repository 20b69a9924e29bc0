"""The rules that keep a green run honest: with CI=true nothing is left out, and no error falls unseen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WAYS_TO_LEAVE_A_TEST_OUT = [
    "@pytest.mark.skip\ndef test_it(): pass",
    "def test_it(): pytest.skip('not today')",
    "@pytest.mark.xfail\ndef test_it(): assert False",
    "pytest.skip('not here', allow_module_level=True)",
    "def test_it(rig): pass",
]
WAYS_TO_LET_AN_ERROR_FALL = [
    "async def fail(): raise ValueError\nasync def test_it():\n asyncio.create_task(fail())\n await asyncio.sleep(0)",
    "async def test_it(): asyncio.get_running_loop().create_future().set_exception(ValueError())",
    "async def test_it(): asyncio.sleep(0)",
]


@pytest.mark.parametrize("body", WAYS_TO_LET_AN_ERROR_FALL)
def test_an_error_or_a_coroutine_that_falls_unseen_fails_the_run(body: str, tmp_path: Path) -> None:
    _write(tmp_path / "test_it.py", f"import asyncio\n{body}")
    assert _exit_code(tmp_path, CI="", PYTHONASYNCIODEBUG="1") == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("body", WAYS_TO_LEAVE_A_TEST_OUT)
def test_a_test_left_out_fails_the_run_with_ci_true(body: str, tmp_path: Path) -> None:
    _write(tmp_path / "test_it.py", body)
    assert _exit_code(tmp_path, CI="true") in {pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED}


def test_a_finding_may_be_expected_to_fail_even_with_ci_true(tmp_path: Path) -> None:
    findings = tmp_path / "tests" / "sim" / "findings"
    findings.mkdir(parents=True)
    _write(findings / "test_it.py", "@pytest.mark.xfail(strict=True)\ndef test_it(): assert False")
    assert _exit_code(tmp_path, CI="true") == pytest.ExitCode.OK
    _write(findings / "test_it.py", "@pytest.mark.xfail(strict=True)\ndef test_it(): pass")
    assert _exit_code(tmp_path, CI="true") == pytest.ExitCode.TESTS_FAILED
    _write(findings / "test_it.py", "@pytest.mark.skip\ndef test_it(): pass")
    assert _exit_code(tmp_path, CI="true") == pytest.ExitCode.TESTS_FAILED


def test_without_ci_a_test_left_out_is_no_failure(tmp_path: Path) -> None:
    for number, body in enumerate(WAYS_TO_LEAVE_A_TEST_OUT):
        _write(tmp_path / f"test_{number}.py", body)
    assert _exit_code(tmp_path, CI="") == pytest.ExitCode.OK


def _write(file: Path, body: str) -> None:
    file.write_text(f"import pytest\n{body}\n")


def _exit_code(directory: Path, **environment: str) -> int:
    nowhere = {"KITESTRING_RIG_CACHE": str(directory / "empty"), "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(directory), str(directory)]
    return subprocess.run(
        command, cwd=directory, env=os.environ | nowhere | environment, capture_output=True, check=False, timeout=60
    ).returncode
