"""Seeded worlds: a short lane of what ``make prove`` does for long."""

import re
from pathlib import Path

import pytest

from tests.kit.clock import virtual
from tests.kit.ledger.place import ledger_path
from tests.prove.known import KNOWN
from tests.prove.worlds import HAZARDS, NOT_MENDED, World

SEEDS = range(1, 9)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


def _run(seed: int, without: frozenset[str] = NOT_MENDED) -> World:
    with ledger_path() as path:
        world = World(path.parent, seed, without)
        virtual(World.run)(world)
        return world


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed-{seed}")
def test_in_fair_weather_everything_has_ended_and_everybody_was_told_the_truth(seed: int) -> None:
    _run(seed)


def _without_hashes(done: list[str]) -> list[str]:
    """All of it but the names of invoices: two commits of one instant may be heard of in either order, and then what is
    drawn by chance is drawn in another order."""
    return [re.sub(r"\b[0-9a-f]{8}\b", "…", line) for line in done]


def test_the_same_seed_is_the_same_world() -> None:
    first, second = (_without_hashes(_run(3, frozenset(HAZARDS)).done) for _ in range(2))
    assert first == second
    assert first != _without_hashes(_run(4, frozenset(HAZARDS)).done)


def test_what_goes_wrong_is_told_with_its_seed_and_what_was_done(tmp_path: Path) -> None:
    world = World(tmp_path, 5, frozenset(HAZARDS))
    world.check = _lie  # type: ignore[method-assign]  # in place of the real one
    with pytest.raises(AssertionError, match=r"(?s)seed 5: a lie\n  hazards: none\n.*: asked to pay"):
        virtual(World.run)(world)


async def _lie() -> None:
    raise AssertionError("a lie")


def test_every_hazard_that_is_left_out_names_its_finding() -> None:
    assert all(KNOWN[name].startswith(("F", "N")) for name in NOT_MENDED)
