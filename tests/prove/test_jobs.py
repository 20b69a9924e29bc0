"""The long lane in small: what it counts, what it tells, and that everything can be done again by its name."""

import asyncio
import warnings
from collections import Counter
from dataclasses import replace

import pytest

from tests.prove import jobs
from tests.prove.__main__ import _tell_reached, main
from tests.prove.jobs import Amounts, Done, do
from tests.prove.known import KNOWN
from tests.prove.parsers import BY_NAME
from tests.prove.worlds import LIVES


def test_the_work_is_cut_into_jobs_of_every_kind() -> None:
    names = [name for job in jobs.jobs(Amounts(7, 1_200, 25, 1)) for name in job]
    assert [name for name in names if name.startswith("world")] == [f"world:{at}" for at in range(1, 8)]
    assert [name for name in names if name.startswith("steps")] == ["steps:1", "steps:2", "steps:3"]
    assert len([name for name in names if name.startswith("kill")]) == 13
    assert {name.partition(":")[0] for name in names} == {"world", "steps", "kill", "fuzz", "growth"}
    assert len(set(names)) == len(names)


def test_nothing_asked_is_nothing_done() -> None:
    assert list(jobs.jobs(Amounts(0, 0, 0, 0))) == []


def test_jobs_count_what_they_did() -> None:
    done = do(("world:2", "kill:7", "fuzz:tlv:1"), True)
    assert done.violations == []
    kinds = {name: number for name, number in done.counts.items() if "in the middle of" not in name}
    assert kinds == {"seeds": 1, "deaths": LIVES, "kills": 2, "fuzz inputs": jobs.INPUTS}
    assert done.counts[f"{jobs.IN_WORLDS}keysend"] > 0


def test_what_was_reached_and_cut_through_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    done = Done(Counter({"steps": 20_000, "kills": 9, f"{jobs.REACHED}hold accepted": 30, f"{jobs.IN_FLOWS}bundle": 4}))
    _tell_reached(done)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert {"kills in the middle of a …, of 9:", "4 × bundle", "0 × notification", "15.0 × hold accepted"} <= set(lines)
    assert not [line for line in lines if line.startswith("deaths")]


def test_what_is_known_is_left_out_only_where_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(BY_NAME["proxies"], raises=(), call=lambda _: int("it is broken"))
    monkeypatch.setitem(BY_NAME, "proxies", broken)
    monkeypatch.setitem(KNOWN, "proxies", "F0")
    assert not do(("fuzz:proxies:1",), True).violations
    ((name, what),) = do(("fuzz:proxies:1",), False).violations
    assert name == "fuzz:proxies:1"
    assert "seed 1, input" in what


def test_a_warning_is_a_violation_also_where_nobody_hears_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(jobs._KINDS, "fuzz", _forget)
    monkeypatch.setitem(jobs._KINDS, "steps", lambda *_: warnings.warn("it is old", stacklevel=1))
    told = dict(do(("fuzz:tlv:1", "steps:1"), True).violations)
    assert "coroutine 'sleep' was never awaited" in told["fuzz:tlv:1"]
    assert told["steps:1"] == "it is old"


def test_a_violation_is_told_with_how_to_see_it_again_and_ends_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(jobs._KINDS, "fuzz", _break)
    assert main(["--repeat", "fuzz:tlv:1", "kill:1"]) == 1
    out = capsys.readouterr().out
    assert "--repeat fuzz:tlv:1\n" in out
    assert "proved: 0 seeds, 0 steps, 2 kills, 0 fuzz inputs, 1 violations" in out


def test_without_violations_it_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--repeat", "fuzz:tlv:1"]) == 0
    assert "500 fuzz inputs, 0 violations" in capsys.readouterr().out


def _forget(*_: object) -> None:
    forgotten = [asyncio.sleep(0)]
    forgotten.append(forgotten)  # type: ignore[arg-type]  # nothing but the collector ends it


def _break(what: str, *_: object) -> None:
    raise AssertionError(f"{what}: it is broken")
