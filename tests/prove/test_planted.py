"""The flows see what they are there for: faults that only a death shows are planted, and each is caught."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kit.app.faults import FAULTS_OF_A_DEATH
from tests.kit.clock import virtual
from tests.kit.ledger.place import ledger_path
from tests.prove.flows import BY_NAME
from tests.prove.stage import points, run

#: fault -> the flow that meets it, the point of the death after which it shows, and what is said then.
CAUGHT = {
    "a keysend is sent twice": ("keysend", "after pay", "a key was paid more than once"),
    "a part of a bundle is paid twice": ("several keysends", "after ClaimPayment", "a key was paid more than once"),
    "a hold is settled before that is stored": (
        "hold, settled", "before settle_invoice", "a hold invoice was settled before the ledger had it",
    ),
    "a notification is lost": ("pay out", "after Tell", "a notification is missing"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


def _deaths(flow: str, label: str) -> list[int]:
    """The points of this label that the flow crosses."""
    with ledger_path() as path:
        labels = virtual(points)(BY_NAME[flow], path.parent)
    return [number for number, crossed in enumerate(labels, 1) if crossed == label]


@pytest.mark.parametrize("fault", FAULTS_OF_A_DEATH)
def test_a_fault_that_a_death_shows_is_caught(fault: str, tmp_path: Path) -> None:
    flow, label, said = CAUGHT[fault]
    found = []
    for fatal in _deaths(flow, label):
        try:
            virtual(run)(BY_NAME[flow], tmp_path / str(fatal), fatal, 0, FAULTS_OF_A_DEATH[fault])
        except AssertionError as caught:
            found.append(str(caught))
    assert any(re.search(said, one) for one in found), found


@pytest.mark.parametrize("fault", FAULTS_OF_A_DEATH)
def test_without_it_the_same_deaths_do_no_harm(fault: str, tmp_path: Path) -> None:
    flow, label, _ = CAUGHT[fault]
    deaths = _deaths(flow, label)
    assert deaths
    for fatal in deaths:
        virtual(run)(BY_NAME[flow], tmp_path / str(fatal), fatal)
