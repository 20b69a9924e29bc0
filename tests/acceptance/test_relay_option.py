"""A service whose relay was named on the command line: its own codes say where that is, no file does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from kitestring.app.cli.main import cli
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock


def run(home: Path, *args: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(cli, ["--json", "--data-dir", str(home), *args])
    told: dict[str, Any] = json.loads(result.stdout)
    return result.exit_code, told


async def test_the_outside_pays_an_offer_over_a_relay_on_this_machine_and_not_without_it(tmp_path: Path) -> None:
    relay = Relay(None, clock=SystemClock(), entropy=os.urandom)
    await relay.start()
    command = [sys.executable, "-m", "kitestring", "up", "--json", "--data-dir", str(tmp_path), "--relay", relay.url]
    child = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        card = json.loads(await asyncio.wait_for(child.stdout.readline(), 30))
        code, paid = await asyncio.to_thread(run, tmp_path, "sandbox", "pay", card["noffer"], "21")
        assert (code, paid["amount_msat"], paid["receipt"]) == (0, 21_000, "proven")
        await relay.stop()
        code, told = await asyncio.to_thread(run, tmp_path, "sandbox", "pay", card["noffer"], "21")
        assert (code, told["error"]["reason"]) == (4, "unavailable")
    finally:
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 30) == 0
        await relay.stop()
