"""Seeded worlds: a short lane of what ``make prove`` does for long."""

import itertools
import time
from pathlib import Path
from typing import Any

import pytest

from kitestring.ledger.sqlite.writer import Writer
from tests.kit.clock import virtual
from tests.kit.ledger.place import ledger_path
from tests.prove.known import KNOWN
from tests.prove.worlds import HAZARDS, NOT_MENDED, World

SEEDS = range(1, 9)
#: What the disk takes besides, commit after commit: sometimes nothing, sometimes longer than a turn of the loop.
SLOW_S = (0.0, 0.002, 0.0, 0.0005, 0.001)


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


def test_the_same_seed_is_the_same_world_and_another_is_another() -> None:
    first, second = (_run(3, frozenset(HAZARDS)).done for _ in range(2))
    assert first == second
    assert first != _run(4, frozenset(HAZARDS)).done


@pytest.mark.parametrize("seed", [3, 6], ids=lambda seed: f"seed-{seed}")
def test_a_slow_disk_makes_no_other_world_of_a_seed(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hazards included: of two services that are alive at once, either may have the slower disk."""
    quick = _run(seed)
    finish, commits = Writer._finish, itertools.count()

    def slowly(writer: Writer, *work: Any) -> None:
        finish(writer, *work)
        time.sleep(SLOW_S[next(commits) % len(SLOW_S)])

    monkeypatch.setattr(Writer, "_finish", slowly)
    slow = _run(seed)
    assert next(commits) > 100
    assert (slow.done, slow.house.noted) == (quick.done, quick.house.noted)


def test_what_goes_wrong_is_told_with_its_seed_and_what_was_done(tmp_path: Path) -> None:
    world = World(tmp_path, 5, frozenset(HAZARDS))
    world.check = _lie  # type: ignore[method-assign]  # in place of the real one
    with pytest.raises(AssertionError, match=r"(?s)seed 5: a lie\n  hazards: none\n.*: asked to pay"):
        virtual(World.run)(world)


async def _lie(_found_at: int) -> None:
    raise AssertionError("a lie")


def test_every_hazard_that_is_left_out_names_its_finding() -> None:
    assert all(KNOWN[name].startswith(("F", "N")) for name in NOT_MENDED)
