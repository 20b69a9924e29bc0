"""The fixtures for other people's tests, in a pytest of its own: they begin and end with each test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.pages import blocks

EXAMPLE = Path(__file__).parents[1] / "examples" / "test_payout.py"
MINIMAL = """
import asyncio

pytest_plugins = ["kitestring.testing"]


def test_sync(wallet_uri, sandbox):
    assert wallet_uri.startswith("nostr+walletconnect://")
    assert asyncio.run(sandbox.balance()) == 1_000_000_000


async def test_async(service, wallet, sandbox):
    async with wallet:
        assert (await wallet.budget()).limit == 10_000_000
        bill = await sandbox.invoice(None)
        assert service.sandbox is sandbox
        assert bill.state == "unpaid"
"""


def run(room: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A pytest that knows nothing of this repository's settings, with every warning an error."""
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null"]
    return subprocess.run(
        [*command, "--rootdir", str(room), *words],
        cwd=room, env={"PATH": "", "TMPDIR": str(room / "tmp")}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def room(tmp_path: Path) -> Path:
    (tmp_path / "tmp").mkdir()
    return tmp_path


def test_tests_with_and_without_asyncio_use_them_and_nothing_is_left(room: Path) -> None:
    (room / "test_mine.py").write_text(MINIMAL)
    done = run(room, "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function", "test_mine.py")
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert list((room / "tmp").glob("kitestring-*")) == []


def test_the_example_tests_itself_with_pytest_alone(room: Path) -> None:
    (room / EXAMPLE.name).write_text(EXAMPLE.read_text(encoding="utf-8"))
    done = run(room, "-p", "no:asyncio", "-p", "no:timeout", EXAMPLE.name)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert list((room / "tmp").glob("kitestring-*")) == []


def test_the_page_shows_the_example_as_it_stands() -> None:
    assert blocks("test-your-payment-code") == [EXAMPLE.read_text(encoding="utf-8")]


def test_kitestring_itself_needs_no_pytest() -> None:
    code = "import sys, kitestring as all\nfor one in all.__all__: getattr(all, one)\nprint('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
