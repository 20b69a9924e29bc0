"""A connection is made while the service dies at every single point: nothing is there, or its link is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kitestring.codec.uri import decode_nwc
from kitestring.crypto.keys import SecretKey
from tests.kit.app.house import House, Service
from tests.kit.clock import virtual
from tests.kit.engine.crossings import Crossings

#: More points than the story has: the loop ends by itself at the first run that nothing killed.
MOST = 60


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


async def until_killed(service: Service, work: Any) -> bool:
    """Whether the service died before the work was done."""
    killed = asyncio.create_task(service.crossings.killed.wait())
    working = asyncio.create_task(work)
    await asyncio.wait((killed, working), return_when=asyncio.FIRST_COMPLETED)
    for task in (killed, working):
        task.cancel()
    await asyncio.gather(killed, working, return_exceptions=True)
    return service.crossings.killed.is_set()


async def made_and_used(service: Service) -> None:
    """From the command to the first request of the app and what the service notes of it."""
    app = await service.connect("alice", budget_msat=5_000_000)
    await app.first(app.publish(app.request("get_balance")))
    await service.house.clocks.service.sleep(5)


@pytest.mark.parametrize("command", ["connect", "link"])
def test_a_connection_whose_link_nobody_saw_shows_it_after_a_death_at_any_point(tmp_path: Path, command: str) -> None:
    shown: dict[str, int] = {}

    @virtual
    async def story(house: House, fatal: int) -> bool:
        async with house.service(crossings := Crossings()) as service:
            crossings.fatal = len(crossings.labels) + fatal
            died = await until_killed(service, made_and_used(service))
        house.relay.restore([])  # or the request of the app is heard again, and is the first use
        async with house.service() as service:
            rows = {row["name"]: row for row in (await service.command("connections"))["connections"]}
            assert len(rows) <= 1
            outcome = "nothing" if not rows else "used" if rows["alice"]["used"] else "shown"
            shown[outcome] = shown.get(outcome, 0) + 1
            if outcome == "shown" or command == "connect":
                params: dict[str, Any] = {"budget_msat": 5_000_000} if command == "connect" else {}
                again = await service.command(command, name="alice", **params)
                assert (again["nwc_uri"] is None) == (outcome == "used")
                if outcome != "used":
                    (grant,) = [g for g in await service.store.grants() if g.name == "alice"]
                    assert SecretKey(decode_nwc(again["nwc_uri"]).secret).public_hex == grant.caller
        return died

    for fatal in range(1, MOST):
        if not story(House(tmp_path / str(fatal)), fatal):
            break
    else:
        pytest.fail("the story has more points than were tried")
    assert set(shown) == {"nothing", "shown", "used"}
