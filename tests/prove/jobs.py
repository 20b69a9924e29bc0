"""The work of ``make prove``, cut into jobs that any process can do, and that can be done again by their name.

A name is ``world:17``, ``steps:3``, ``kill:250`` or ``fuzz:bolt11:2``. Each job counts what it did, and
tells violations.
"""

from __future__ import annotations

import gc
import logging
import random
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Final

from tests.kit.clock import virtual
from tests.kit.ledger.place import ledger_path
from tests.prove import machine, worlds
from tests.prove.flows import BY_NAME as FLOW_OF
from tests.prove.flows import FLOWS
from tests.prove.fuzz import fuzz, growth
from tests.prove.ground import Ground
from tests.prove.known import KNOWN
from tests.prove.parsers import BY_NAME, PARSERS
from tests.prove.stage import EARLY, points, run

#: How much one job does.
WORLDS: Final = 5
STEPS: Final = 500
KILLS: Final = 10
INPUTS: Final = 500
#: Points of a flow between one of its kills and the next: a prime above every number of them, so that none is left out.
STRIDE: Final = 7_919
#: What the names of these counts begin with: kills that cut through something, in flows and in worlds, and states that
#: random transactions have reached.
IN_FLOWS: Final = "kills in the middle of a "
IN_WORLDS: Final = "deaths in the middle of a "
REACHED: Final = "reached: "
#: Of a violation so much is shown: the seed and what was done are in it.
SHOWN_CHARS: Final = 4_000


@dataclass
class Done:
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Done) -> None:
        self.counts += other.counts
        self.violations += other.violations


@dataclass(frozen=True)
class Amounts:
    seeds: int
    steps: int
    kills: int
    inputs: int
    first: int = 1


def jobs(amounts: Amounts) -> Iterator[tuple[str, ...]]:
    """The names of all, some in each job; the kinds in turn, so that the first minutes show something of each."""
    kinds = [
        _chunks("world", amounts.first, amounts.seeds, WORLDS),
        _chunks("steps", amounts.first, -(-amounts.steps // STEPS), 1),
        _chunks("kill", amounts.first, -(-amounts.kills // 2), KILLS // 2),  # each kills twice
        _of_parsers(amounts),
    ]
    waiting = [iter(kind) for kind in kinds]
    while waiting:
        for kind in tuple(waiting):
            job = next(kind, None)
            if job is None:
                waiting.remove(kind)
            else:
                yield job


def _chunks(kind: str, first: int, number: int, size: int) -> Iterator[tuple[str, ...]]:
    for start in range(first, first + number, size):
        yield tuple(f"{kind}:{at}" for at in range(start, min(start + size, first + number)))


def _of_parsers(amounts: Amounts) -> Iterator[tuple[str, ...]]:
    if not amounts.inputs:
        return
    rounds = -(-amounts.inputs // (INPUTS * len(PARSERS)))
    for at in range(amounts.first, amounts.first + rounds):
        for parser in PARSERS:
            yield (f"fuzz:{parser.name}:{at}",)
    for parser in PARSERS:
        yield (f"growth:{parser.name}",)


def do(names: tuple[str, ...], without_known: bool) -> Done:
    """Do some of them. Violations are told, never raised; a warning is one."""
    done = Done()
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _do(names, done, without_known=without_known)
    finally:
        logging.disable(before)
    return done


@contextmanager
def _nothing_forgotten() -> Iterator[None]:
    """Raise what was raised where nobody could hear it: a warning as something is thrown away."""
    unheard: list[str] = []
    before = sys.unraisablehook
    sys.unraisablehook = lambda heard: unheard.append(f"unheard: {heard.exc_value!r}")
    try:
        yield
        gc.collect()
    finally:
        sys.unraisablehook = before
    assert not unheard, "\n".join(unheard)


def _do(names: tuple[str, ...], done: Done, *, without_known: bool) -> None:
    for name in names:
        kind, _, what = name.partition(":")
        counts: Counter[str] = Counter()
        try:
            with _nothing_forgotten():
                _KINDS[kind](what, without_known, counts)
        except Exception as wrong:  # noqa: BLE001 - told, with all that is needed to see it again
            notes = "\n".join(getattr(wrong, "__notes__", []))
            done.violations.append((name, f"{wrong or type(wrong).__name__}\n{notes}"[:SHOWN_CHARS].rstrip()))
        done.counts += counts


def _world(what: str, without_known: bool, counts: Counter[str]) -> None:
    counts["seeds"] += 1
    with ledger_path() as path:
        world = worlds.World(path.parent, int(what), worlds.NOT_MENDED if without_known else frozenset())
        try:
            virtual(worlds.World.run)(world)
        finally:
            counts["deaths"] += world.deaths
            counts.update({f"{IN_WORLDS}{kind}": number for kind, number in world.cut.items()})


def _steps(what: str, without_known: bool, counts: Counter[str]) -> None:
    without = machine.NOT_MENDED if without_known else frozenset[str]()
    for part in count():
        before, reached = Ground.done, Counter(Ground.reached)
        try:
            machine.run_machine(int(what) * 1_000 + part, 5, 50, without=without)
        finally:
            counts["steps"] += Ground.done - before
            counts.update({f"{REACHED}{state}": number for state, number in (Ground.reached - reached).items()})
        if counts["steps"] >= STEPS:
            return


@cache
def _number_of_points(name: str) -> int:
    with ledger_path() as path:
        return len(virtual(points)(FLOW_OF[name], path.parent))


def _kill(what: str, _: bool, counts: Counter[str]) -> None:
    """The points of all flows in turn, each with another second death every time round; a few are far apart."""
    turn, number = divmod(int(what), len(FLOWS))
    flow = FLOWS[number]
    fatal = 1 + turn * STRIDE % _number_of_points(flow.name)
    again = random.Random(what).randrange(1, 2 * EARLY)
    counts["kills"] += 2
    with ledger_path() as path:
        died = virtual(run)(flow, path.parent, fatal, again)
    if died is not None:
        counts.update({f"{IN_FLOWS}{kind}": number for kind, number in died.cut.items()})


def _fuzz(what: str, without_known: bool, counts: Counter[str]) -> None:
    name, _, seed = what.rpartition(":")
    if not (without_known and name in KNOWN):
        counts["fuzz inputs"] += INPUTS
        fuzz(BY_NAME[name], int(seed), INPUTS)


def _growth(name: str, without_known: bool, counts: Counter[str]) -> None:
    if not (without_known and name in KNOWN):
        counts["fuzz inputs"] += growth(BY_NAME[name])


_KINDS: Final[dict[str, Callable[[str, bool, Counter[str]], None]]] = {
    "world": _world,
    "steps": _steps,
    "kill": _kill,
    "fuzz": _fuzz,
    "growth": _growth,
}
