"""The short examples run as they stand, against a real service; each says what it needs and how it failed."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kitestring import Budget, Service, sat
from kitestring.backend.sandbox.world import World
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock

EXAMPLES = Path(__file__).parents[2] / "examples"
WITH_ARGUMENTS = [
    "agent",
    "dispenser",
    "marketplace",
    "multisig",
    "pay",
    "script",
    "shop",
    "subscribe",
    "till",
    "tipper",
    "webhook",
]


async def begun(name: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / f"{name}.py"), *arguments, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def done(program: asyncio.subprocess.Process, stdin: str = "") -> tuple[int | None, str, str]:
    """Its exit code, and what it said."""
    said, errors = await asyncio.wait_for(program.communicate(stdin.encode()), 60)
    return program.returncode, said.decode(), errors.decode()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with (
        Relay(None, clock=SystemClock(), entropy=os.urandom) as relay,
        Service(relays=[relay.url], store=tmp_path / "kite.db") as running,
    ):
        yield running


@pytest.fixture
async def world(service: Service, tmp_path: Path) -> AsyncIterator[World]:
    await service.balance()
    with World(tmp_path / "kite.sandbox.db") as outside:
        yield outside


@pytest.mark.parametrize("name", WITH_ARGUMENTS)
async def test_without_arguments_it_says_what_it_needs(name: str) -> None:
    code, said, errors = await done(await begun(name))
    assert (code, said) == (2, "")
    assert errors.startswith(f"usage: python examples/{name}.py ")
    assert errors.count("\n") == 1


async def test_a_failure_is_one_sentence() -> None:
    code, said, errors = await done(await begun("till", "nostr+walletconnect://nobody", "21", "tea"))
    assert (code, said) == (1, "")
    assert errors.startswith("error: the wallet URI cannot be read")
    assert errors.count("\n") == 1


async def test_the_till_hands_out_what_is_paid(service: Service, world: World) -> None:
    link = str((await service.add_grant("till")).nwc_uri)
    till = await begun("till", link, "21", "tea")
    assert till.stdout is not None
    shown = (await till.stdout.readline()).decode()
    world.pay(shown.removeprefix("to be paid: ").strip())
    assert await done(till) == (0, "21 sat paid: here is your tea\n", "")


async def test_the_agent_pays_as_long_as_its_budget_lasts(service: Service, world: World) -> None:
    link = str((await service.add_grant("agent", budget=Budget.daily(sat(100)))).nwc_uri)
    invoices = [world.invoice(sat(number), f"job {number}") for number in (40, 90, 10)]
    code, said, errors = await done(await begun("agent", link), "\n".join(invoices))
    assert (code, errors) == (0, "")
    paid, refused, left = said.splitlines()
    assert paid.startswith("paid 40 sat for job 40, fee ")
    assert refused.startswith("not paid, it is more than the budget has left: the wallet refused: ")
    assert " of 100 sat are left, again at " in left


async def test_the_tipper_pays_an_offer_several_times(service: Service) -> None:
    link = str((await service.add_grant("tipper")).nwc_uri)
    offer = (await service.add_offer("tips", account=(await service.add_account("alice")).account)).noffer
    code, said, errors = await done(await begun("tipper", link, offer, "5", "2"))
    assert (code, errors) == (0, "")
    assert said.splitlines() == ["tip 1: 5 sat, fee 0 sat", "tip 2: 5 sat, fee 0 sat"]
    assert [one.available for one in await service.accounts()] == [sat(10)]


async def test_the_script_lists_what_went_in_and_out(service: Service, world: World) -> None:
    link = str((await service.add_grant("script", budget=None)).nwc_uri)
    till = await begun("till", link, "21", "tea")
    assert till.stdout is not None
    world.pay((await till.stdout.readline()).decode().removeprefix("to be paid: ").strip())
    assert (await done(till))[0] == 0
    code, said, errors = await done(await begun("script", link, "1"))
    assert (code, errors) == (0, "")
    balance, row = said.splitlines()
    assert balance == "balance: 1,000,021 sat"
    assert row.endswith("  +21 sat  tea")
