"""The rules that keep a green run honest: with CI=true nothing is left out, and no error falls unseen."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rig.parts import HOW_TO_GET

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


def test_what_is_skipped_is_told_in_one_line_for_all_parts_and_once_for_each_other_reason(tmp_path: Path) -> None:
    _write(tmp_path / "test_it.py", "def test_a(rig): pass\ndef test_b(node_js): pass\ndef test_c(rig): pass")
    _write(
        tmp_path / "test_other.py",
        "@pytest.mark.skip('no moon')\n@pytest.mark.parametrize('n', [1, 2])\ndef test_it(n): ...",
    )
    said = _run(tmp_path, CI="").stdout
    told = [line for line in said.splitlines() if "skipped: " in line]
    assert told == [f"3 skipped: not built here: clients, lnd, node; {HOW_TO_GET}", "2 skipped: no moon"]


def test_rooms_with_long_tests_come_last(tmp_path: Path) -> None:
    for room in ("acceptance", "base", "rig", "wire"):
        (tmp_path / "tests" / room).mkdir(parents=True)
        _write(tmp_path / "tests" / room / f"test_{room}.py", "def test_it(): pass")
    said = _run(tmp_path, "-v", CI="").stdout
    assert re.findall(r"test_(\w+)\.py::", said) == ["base", "wire", "acceptance", "rig"]


def _write(file: Path, body: str) -> None:
    file.write_text(f"import pytest\n{body}\n")


def _exit_code(directory: Path, **environment: str) -> int:
    return _run(directory, "-q", **environment).returncode


def _run(directory: Path, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    nowhere = {"KITESTRING_RIG_CACHE": str(directory / "empty"), "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    command = [sys.executable, "-m", "pytest", *options, "-p", "tests.conftest", "-p", "no:cacheprovider"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(directory), str(directory)]
    env = os.environ | nowhere | environment
    return subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, check=False, timeout=60)
