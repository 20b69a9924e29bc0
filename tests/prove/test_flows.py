"""The process ends at every point of every flow of money; the next one carries on from the files alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.clock import virtual
from tests.kit.ledger.place import ledger_path
from tests.prove.flows import FLOWS
from tests.prove.stage import Flow, points, run

#: Of so many points one is tried here, another one in each flow; ``make prove`` tries all.
SHARE = 6


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


def _points(flow: Flow) -> list[str]:
    with ledger_path() as path:
        return virtual(points)(flow, path.parent)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_a_flow_that_is_killed_anywhere_ends_as_if_it_had_not_been(flow: Flow) -> None:
    number = len(_points(flow))
    for fatal in range(1 + FLOWS.index(flow) % SHARE, number + 1, SHARE):
        with ledger_path() as path:
            virtual(run)(flow, path.parent, fatal)


def test_a_flow_that_loses_money_is_named_with_the_point_of_its_death(tmp_path: Path) -> None:
    wrong = Flow("wrong", FLOWS[0].play, {"purse": 0}, {"pay": "ok"}, ("bill",))
    with pytest.raises(AssertionError, match=r"wrong: killed at point 7 \(.*\), then early: \('purse', 1000000\)"):
        virtual(run)(wrong, tmp_path, 7)
