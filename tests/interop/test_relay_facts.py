"""What the page about relays says of foreign ones is what they do."""

from __future__ import annotations

import asyncio

import pytest

from tests.kit.interop.relay_facts import Facts, measure, measure_all, recorded
from tests.rig.relays import RELAYS, Running


@pytest.fixture(scope="session")  # all at once, for most of it is waiting
def measured(foreign_relays: dict[str, Running]) -> dict[str, Facts]:
    return asyncio.run(measure_all(foreign_relays.values()))


async def test_a_relay_does_what_is_written_about_it(foreign: Running, measured: dict[str, Facts]) -> None:
    written, found = recorded()[foreign.name], measured[foreign.name]
    if found != written:  # a busy machine is quiet for other reasons: what has changed is seen again
        found = await measure(foreign)
    assert found == written, "has it changed? then: python -m tests.kit.interop.relay_facts, and make docs"


def test_every_relay_of_the_rig_is_written_about() -> None:
    assert list(recorded()) == list(RELAYS)
