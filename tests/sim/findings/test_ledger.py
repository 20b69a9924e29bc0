"""F2 and F23 on the ledger alone, found by random transactions."""

from tests.prove.ground import HAZARDS
from tests.prove.machine import run_machine
from tests.sim.findings.critical import ViolationError


def _plays(hazard: str, number: int = 2, examples: int = 20) -> None:
    """With this hazard alone. Raises ViolationError for whatever goes wrong: the store refuses, or a sum is wrong."""
    try:
        run_machine(number, examples, 50, without=HAZARDS - {hazard})
    except Exception as wrong:
        raise ViolationError(f"{hazard}: {wrong!r}") from wrong


def test_a_budget_is_used_as_far_as_it_was_although_time_goes_back() -> None:
    _plays("time goes back")


def test_a_budget_is_used_as_far_as_it_was_although_its_period_is_edited() -> None:
    _plays("budget edited", 14_001, 5)


def test_a_budget_is_used_as_far_as_it_was_although_the_owner_moves_to_another_time_zone() -> None:
    _plays("zone edited")


def test_a_fee_below_zero_can_be_recorded_in_every_state() -> None:
    _plays("fee below zero")


def test_that_nothing_was_received_can_be_recorded_in_every_state() -> None:
    _plays("nothing received")
