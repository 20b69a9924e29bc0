"""Which clock is wrong is said only where clocks that must be different ones agree."""

from __future__ import annotations

import pytest

from kitestring.base.clocks import NEAR_S, OURS, ClockReading, Wrong, compare, reading
from tests.kit.clock import NOW, STEPS_S

AWAY = [sign * step for step in STEPS_S if step > NEAR_S for sign in (1, -1)]


def relay(number: int, ahead_s: int = 0) -> ClockReading:
    """Of a relay elsewhere, behind ours by ``ahead_s``."""
    return reading(f"wss://r{number}.example", f"r{number}.example", NOW - ahead_s, NOW, NOW)


def beside(ahead_s: int = 0, whose: str = "the node") -> ClockReading:
    """Of a clock that may be on this machine."""
    return reading(whose, "", NOW - ahead_s, NOW, NOW)


def sides(*readings: ClockReading) -> list[Wrong]:
    return [wrong for _, wrong in compare(readings).sides]


def test_a_whole_second_and_the_way_of_the_answer_are_no_difference() -> None:
    for theirs, before, after in ((NOW, NOW, NOW), (NOW, NOW, NOW + 1), (NOW - 1, NOW, NOW), (NOW + 4, NOW, NOW + 8)):
        assert reading("a", "a", theirs, before, after).apart_s(OURS) == 0
    assert reading("a", "a", NOW - 3_600, NOW, NOW).apart_s(OURS) == 3_599


@pytest.mark.parametrize("ahead_s", AWAY)
def test_a_reading_tells_how_far_ours_is_ahead(ahead_s: int) -> None:
    assert relay(1, ahead_s).ahead_s == ahead_s
    assert reading("a", "a", NOW - ahead_s, NOW - 4, NOW + 4).ahead_s == ahead_s
    assert not relay(1, ahead_s).is_near(OURS)


def test_a_clock_of_ours_that_is_set_while_it_is_asked_tells_nothing() -> None:
    assert reading("a", "a", NOW, NOW + 3_600, NOW).is_near(OURS)
    assert reading("a", "a", NOW, NOW - 3_600, NOW).is_near(OURS)


@pytest.mark.parametrize("ahead_s", [0, 1, -1])
def test_a_second_is_no_difference(ahead_s: int) -> None:
    assert sides(relay(1, ahead_s), relay(2), beside(ahead_s)) == [Wrong.NOBODY] * 3


@pytest.mark.parametrize("ahead_s", AWAY)
def test_of_two_clocks_nobody_knows_which_is_wrong(ahead_s: int) -> None:
    assert sides(relay(1, ahead_s)) == [Wrong.UNKNOWN]
    assert sides(beside(ahead_s)) == [Wrong.UNKNOWN]


@pytest.mark.parametrize("ahead_s", AWAY)
def test_two_others_that_agree_are_right_against_ours(ahead_s: int) -> None:
    for others in ((relay(1, ahead_s), relay(2, ahead_s)), (relay(1, ahead_s), beside(ahead_s))):
        found = compare(others)
        assert found.ours_is_wrong
        assert (found.right, [wrong for _, wrong in found.sides]) == (others, [Wrong.OURS] * 2)


@pytest.mark.parametrize("ahead_s", AWAY)
def test_one_that_differs_from_ours_and_another_is_wrong(ahead_s: int) -> None:
    assert sides(relay(1, ahead_s), relay(2)) == [Wrong.THEIRS, Wrong.NOBODY]
    assert sides(beside(ahead_s), relay(2)) == [Wrong.THEIRS, Wrong.NOBODY]
    assert not compare([relay(1, ahead_s), relay(2)]).ours_is_wrong


@pytest.mark.parametrize("ahead_s", AWAY)
def test_whatever_may_be_on_this_machine_proves_nothing_by_agreeing_with_it(ahead_s: int) -> None:
    near = (beside(), beside(whose="ws://127.0.0.1:7777"))
    assert sides(relay(1, ahead_s), *near) == [Wrong.UNKNOWN, Wrong.NOBODY, Wrong.NOBODY]
    assert sides(relay(1, ahead_s), relay(2, ahead_s), *near)[:2] == [Wrong.OURS] * 2


@pytest.mark.parametrize("ahead_s", AWAY)
def test_two_addresses_of_one_machine_are_one_clock(ahead_s: int) -> None:
    twice = (relay(1, ahead_s), relay(1, ahead_s))
    assert sides(*twice) == [Wrong.UNKNOWN] * 2
    tunnels = (beside(ahead_s), beside(ahead_s, "ws://127.0.0.1:7777"))
    assert sides(*tunnels) == [Wrong.UNKNOWN] * 2


def test_as_many_on_one_side_as_on_the_other_decide_nothing() -> None:
    found = compare([relay(1), relay(2, 3_600), relay(3, 3_600)])
    assert (found.right, [wrong for _, wrong in found.sides]) == ((), [Wrong.NOBODY, Wrong.UNKNOWN, Wrong.UNKNOWN])


def test_all_may_differ() -> None:
    assert sides(relay(1, 100), relay(2, 200), relay(3, 300)) == [Wrong.UNKNOWN] * 3


def test_ours_and_another_may_both_be_wrong() -> None:
    assert sides(relay(1, 100), relay(2, 100), relay(3, -3_600)) == [Wrong.OURS, Wrong.OURS, Wrong.BOTH]


def test_a_row_of_clocks_each_near_the_next_has_its_middle_as_the_right_one() -> None:
    found = compare([relay(1, NEAR_S + 1), relay(2, 2 * (NEAR_S + 1))])
    assert found.right == (OURS, relay(1, NEAR_S + 1), relay(2, 2 * (NEAR_S + 1)))
    assert not found.ours_is_wrong


def test_without_others_there_is_nothing_to_compare() -> None:
    assert compare([]) == ((), ())
