"""`kitestring pay` while the service is killed: the command says so, and its key carries on the same payment."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from kitestring.backend.sandbox.payments import Behaviour
from kitestring.backend.sandbox.world import World
from kitestring.base.errors import Exit
from kitestring.base.money import sat
from tests.kit.app.process import PATIENCE_S, Service, relay
from tests.kit.waiting import until

#: Long enough for the kill to come while the payment is under way.
DELAY_MS = 3_000


async def run(service: Service, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON answer (of either stream) and standard error of the command line."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kitestring", *arguments, "--data-dir", str(service.home.path),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(child.communicate(), PATIENCE_S)
    assert child.returncode is not None
    return child.returncode, json.loads(out) if out.startswith(b"{") else {}, err.decode()


async def test_a_payment_whose_service_was_killed_is_carried_on_by_its_key_and_made_once(tmp_path: Path) -> None:
    async with relay() as hub:
        service = Service(tmp_path / "home", hub.url)
        await service.start()
        with World(service.home.sandbox_db) as world:
            invoice = world.invoice(sat(100), behaviour=Behaviour.LATE, delay_ms=DELAY_MS)
            paying = asyncio.create_task(run(service, "pay", invoice))
            await until(world.payments, limit_s=PATIENCE_S, pause_s=0.01)
            await service.end(signal.SIGKILL)
            code, _, said = await paying
            assert code == Exit.PENDING.value, said
            key = said.strip().rpartition("--idempotency-key ")[2]
            await service.start()
            for _ in range(2):
                code, answer, said = await run(service, "pay", invoice, "--json", "--idempotency-key", key)
                assert code == 0, said
                (paid,) = world.payments()
                assert (answer["preimage"], answer["amount_msat"]) == (paid.preimage, sat(100))
            assert (await service.call("audit_node"))["violations"] == []
        assert await service.end(signal.SIGTERM) == 0
