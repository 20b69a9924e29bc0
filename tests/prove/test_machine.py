"""Random transactions on the real store: a short lane of what ``make prove`` does for long."""

import pytest

from tests.prove.machine import NOT_MENDED, run_machine


@pytest.mark.parametrize("number", [1, 2])
def test_whatever_happens_in_whatever_order_every_outcome_can_be_recorded(number: int) -> None:
    run_machine(number, 6, 40, without=NOT_MENDED)
