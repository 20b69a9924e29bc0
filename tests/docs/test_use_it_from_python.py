"""The blocks of the guide to Python run as they stand, on a service of their own."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from textwrap import indent
from typing import Any

import kitestring
from kitestring import Budget, KitestringError, Reason, Service, Transaction, Wallet, sat
from kitestring.backend.sandbox.world import World
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock
from tests.kit.pages import blocks, names_of
from tests.kit.waiting import until

ROOM = {"Wallet": Wallet, "Service": Service, "Budget": Budget, "KitestringError": KitestringError, "Reason": Reason}


async def test_the_guide_runs_as_it_stands(tmp_path: Path) -> None:
    imports, pay, wait, errors, plain, serve, told = blocks("use-it-from-python")
    assert set(names_of(imports, "imports")) >= set(ROOM)
    said: list[Any] = []

    async def run(code: str, **names: object) -> dict[str, Any]:
        known = names_of(f"async def block():\n{indent(code, '    ')}\n    return locals()\n", "block")
        known |= {**ROOM, "sat": sat, "print": lambda *words: said.append(words), **names}
        found: dict[str, Any] = await known["block"]()
        return found

    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as relay:
        service = Service(relays=[relay.url], store=tmp_path / "kite.db")
        async with service, asyncio.timeout(60):
            uri = str((await service.add_grant("program", budget=Budget.daily(sat(500)))).nwc_uri)
            offer = (await service.add_offer("tips")).noffer
            with World(tmp_path / "kite.sandbox.db") as world:
                done = await run(pay, uri=uri, offer=offer)
                assert done["receipt"].amount == sat(50)
                waiting = asyncio.create_task(run(wait, uri=uri))
                await until(lambda: len(said) == 2)
                world.pay(said[1][0])
                await waiting
                assert said[2] == ("210 sat for tea",)
                await run(errors, uri=uri, bolt11=world.invoice(sat(600)))
                assert "left: 450000 msat, renews at 1" in said[3][0]
                assert said[4] == ("450 sat of 500 sat are left",)

            def script() -> None:
                known = {"uri": uri, "print": lambda *words: said.append(words)}
                exec(compile(plain, "<plain>", "exec", dont_inherit=True), known)

            await asyncio.to_thread(script)
            assert said[5] == (sat(450),)  # of a connection with a budget: what is left of it
            assert ("incoming", sat(210)) in said[6:]
        served = serve.replace('"shop.db"', repr(str(tmp_path / "shop.db")))
        said.clear()
        await run(served, relay=relay.url)
        assert said[1] == ([("agent", (Budget.daily(sat(5_000)),))], sat(1_000_000))
        before = f"from kitestring import Service\nrelay = {relay.url!r}\n"
        made = names_of(before + told.replace('"shop.db"', repr(str(tmp_path / "told.db"))), "told")
        assert made["service"]._callbacks == [made["paid"]]
        await made["paid"](_paid())


def _paid() -> Transaction:
    return Transaction(
        kitestring.Direction.INCOMING, kitestring.TransactionState.SETTLED, "ab" * 32, sat(1), sat(0), 1
    )  # fmt: skip
