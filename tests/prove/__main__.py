"""``make prove SEEDS=… STEPS=… KILLS=… INPUTS=…``: the long lane, on all cores.

Ends with 1 at any violation, and where many steps leave a state of ``reached`` out: what is never done is not proved.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice

from tests.kit.ledger.under_way import UNDER_WAY
from tests.prove.jobs import IN_FLOWS, IN_WORLDS, REACHED, Amounts, Done, do, jobs
from tests.prove.reached import STATES

#: Seconds between two lines of progress.
PROGRESS_S = 10.0
#: Violations that are shown in full; of the others the name is enough.
SHOWN = 5
#: Jobs that wait for each process: a finished one never waits for its next.
AHEAD = 4
#: Steps that reach every state; the rarest comes about twice in ten thousand.
ENOUGH_STEPS = 100_000
_VARIES = re.compile(r"\b(?:[0-9a-f]{8,}|\d+)\b")


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    began = time.monotonic()
    if options.repeat:
        done = do(tuple(options.repeat), options.without_known)
    else:
        amounts = Amounts(options.seeds, options.steps, options.kills, options.inputs, options.first)
        done = _all(amounts, options.processes, options.without_known)
    _tell(done, time.monotonic() - began, options.without_known)
    return 1 if done.violations or missed(done) else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="worlds")
    parser.add_argument("--steps", type=int, default=5_000, help="transactions on the ledger")
    parser.add_argument("--kills", type=int, default=100, help="deaths in the flows of money")
    parser.add_argument("--inputs", type=int, default=20_000, help="spoilt inputs, of all parsers together")
    parser.add_argument("--first", type=int, default=1, help="the first seed of each kind")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--without-known", action="store_true", help="leave out what tests/prove/known.py lists")
    parser.add_argument("--repeat", nargs="+", metavar="NAME", help="do these again, such as world:17 or fuzz:bolt11:2")
    return parser.parse_args(arguments)


def _all(amounts: Amounts, processes: int, without_known: bool) -> Done:
    waiting, done = jobs(amounts), Done()
    total, finished = sum(1 for _ in jobs(amounts)), 0
    next_line = time.monotonic() + PROGRESS_S
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(do, job, without_known) for job in islice(waiting, AHEAD * processes)}
        while running:
            ended, running = wait(running, timeout=PROGRESS_S, return_when=FIRST_COMPLETED)
            for future in ended:
                finished += 1
                _take(done, future)
            running |= {pool.submit(do, job, without_known) for job in islice(waiting, len(ended))}
            if time.monotonic() >= next_line:
                next_line = time.monotonic() + PROGRESS_S
                print(f"{100 * finished // max(1, total):3d} %  {_counted(done)}", flush=True)
    return done


def _take(done: Done, future: Future[Done]) -> None:
    found = future.result()
    for name, what in found.violations[: max(0, SHOWN - len(done.violations))]:
        print(f"\nviolated: {name}\n{what}\n", flush=True)
    done.add(found)


def _counted(done: Done) -> str:
    kinds = ("seeds", "steps", "kills", "fuzz inputs")
    return ", ".join(f"{done.counts[kind]:,} {kind}" for kind in kinds) + f", {len(done.violations)} violations"


def _tell(done: Done, seconds: float, without_known: bool) -> None:
    by_sentence = Counter(_sentence(what) for _, what in done.violations)
    if by_sentence:
        print("\nviolations by what was wrong:")
        for sentence, number in by_sentence.most_common(30):
            print(f"  {number:6,} × {sentence}")
        names = " ".join(repr(name) if " " in name else name for name, _ in done.violations[:200])
        print(f"\nsee them again: python -m tests.prove --repeat {names}")
    _tell_reached(done)
    left_out = " (without what is known)" if without_known else ""
    print(f"\nproved{left_out}: {_counted(done)}, in {seconds:.0f} s")


def _tell_reached(done: Done) -> None:
    """How often each kind of money was under way at a death, and each state was reached."""
    for name, all_of_them in ((IN_FLOWS, "kills"), (IN_WORLDS, "deaths")):
        if done.counts[all_of_them]:
            print(f"\n{name}…, of {done.counts[all_of_them]:,}:")
            for kind in UNDER_WAY:
                print(f"  {done.counts[name + kind]:6,} × {kind}")
    if steps := done.counts["steps"]:
        print(f"\nstates reached in 10,000 of {steps:,} steps:")
        for state in STATES:
            print(f"  {10_000 * done.counts[REACHED + state] / steps:8,.1f} × {state}")
        for state in missed(done):
            print(f"never reached: {state}")


def missed(done: Done) -> list[str]:
    """The states that so many steps should have reached."""
    return [state for state in STATES if done.counts["steps"] >= ENOUGH_STEPS and not done.counts[REACHED + state]]


def _sentence(what: str) -> str:
    """The first line without what differs from one seed to the next."""
    return _VARIES.sub("…", what.partition("\n")[0])[:100]


if __name__ == "__main__":
    sys.exit(main())
