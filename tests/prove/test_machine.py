"""Random transactions on the real store: a short lane of what ``make prove`` does for long."""

from collections import Counter

import pytest

from tests.prove.ground import Ground
from tests.prove.machine import NOT_MENDED, run_machine
from tests.prove.reached import STATES

#: What the states begin with of which a few hundred steps reach one each. How often each one is reached, ``make prove``
#: tells.
KINDS = ("keysend ", "keysend inside ", "bundle carried", "hold accepted", "node exchanged")
#: Runs after which they must have been reached: in one run Hypothesis leaves some rules out.
MOST_RUNS = 10


@pytest.mark.parametrize("number", [1, 2])
def test_whatever_happens_in_whatever_order_every_outcome_can_be_recorded(number: int) -> None:
    run_machine(number, 6, 40, without=NOT_MENDED)


def test_the_steps_come_to_keysends_bundles_and_held_payments_and_to_another_node_in_the_middle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Ground, "reached", Counter())
    left, number = set(KINDS), 0
    while left and number < MOST_RUNS:
        run_machine(number, 3, 40, without=NOT_MENDED)
        known = Ground.reached.keys() & set(STATES)
        left, number = {kind for kind in KINDS if not any(state.startswith(kind) for state in known)}, number + 1
    assert left == set()
