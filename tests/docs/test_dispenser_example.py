"""The example of a dispenser runs as it stands: a code is good once, and the next one comes when that is over."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kitestring.backend.sandbox.world import World
from kitestring.base.money import sat
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock
from tests.kit.clock import PATIENCE_S

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "dispenser.py"


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as running:
        yield running


@asynccontextmanager
async def dispenser(relay: Relay, home: Path, how_many: int) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), relay.url, str(how_many), cwd=home, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def next_line(process: Process, start: str) -> str:
    """The next line that begins so, past the QR code."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        async for line in process.stdout:
            if line.decode().startswith(start):
                return line.decode().strip()
    raise AssertionError(f"it ended without a line {start!r}")


async def take(code: str, amount_sat: int, relay: Relay, home: Path) -> tuple[int | None, str]:
    """Show the code by our own requestor, with an invoice of somebody at the sandbox of the dispenser."""
    with World(home / "dispenser.sandbox.db") as world:
        invoice = world.invoice(sat(amount_sat))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kitestring", "--data-dir", str(home / "customer"), "debit", "request", code, invoice,
        env={**os.environ, "KITESTRING_RELAYS": relay.url}, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    said, errors = await process.communicate()
    return process.returncode, (said or errors).decode()


def test_the_page_about_it_shows_the_whole_example() -> None:
    page = (ROOT / "docs" / "how-to" / "build-a-dispenser.md").read_text(encoding="utf-8")
    assert f"```python\n{EXAMPLE.read_text(encoding='utf-8')}```\n" in page


async def test_a_code_is_taken_once_and_the_next_one_is_shown_then(relay: Relay, tmp_path: Path) -> None:
    async with dispenser(relay, tmp_path, 2) as process:
        code = await next_line(process, "ndebit1")
        too_much = await take(code, 60, relay, tmp_path)
        first = await take(code, 50, relay, tmp_path)
        assert await next_line(process, "50 sat taken") == "50 sat taken, thank you"
        other = await next_line(process, "ndebit1")
        again = await take(code, 50, relay, tmp_path)
        second = await take(other, 50, relay, tmp_path)
        assert await next_line(process, "50 sat taken") == "50 sat taken, thank you"
        assert (await process.wait(), await process.stderr.read() if process.stderr else b"") == (0, b"")
    assert (too_much[0], "at most 50 sat" in too_much[1]) == (2, True)
    assert (first[0], first[1][:12]) == (0, "paid 50 sat:")
    assert (again[0], "this was used already" in again[1]) == (2, True)
    assert second[0] == 0
    assert other != code
    with World(tmp_path / "dispenser.sandbox.db") as world:
        assert [payment.amount_msat for payment in world.payments()] == [sat(50), sat(50)]


async def test_no_code_is_made_while_one_of_an_earlier_run_may_still_be_used(relay: Relay, tmp_path: Path) -> None:
    async with dispenser(relay, tmp_path, 1) as process:
        code = await next_line(process, "ndebit1")
        process.kill()
    async with dispenser(relay, tmp_path, 1) as process:
        await next_line(process, "a code of an earlier run")
        taken = await take(code, 50, relay, tmp_path)
        other = await next_line(process, "ndebit1")
    assert taken[0] == 0
    assert other != code
