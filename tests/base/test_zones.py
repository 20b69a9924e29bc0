"""Zones as values; what they mean for periods: tests/policy/test_calendar.py, and against the data of the system:
tests/app/home/test_zones.py."""

from __future__ import annotations

import pytest

from kitestring.base.zones import UTC, Zone

#: At 1,000,000 the clock goes one hour ahead, at 2,000,000 back again.
SUMMER = Zone("Some/Where", (1_000_000, 2_000_000), (3_600, 7_200, 3_600))


def test_an_offset_holds_from_its_change_on() -> None:
    assert [SUMMER.offset_s(moment) for moment in (0, 999_999, 1_000_000, 1_999_999, 2_000_000)] == [
        3_600, 3_600, 7_200, 7_200, 3_600,
    ]  # fmt: skip
    assert (UTC.offset_s(5), UTC.first_moment(5)) == (0, 5)


@pytest.mark.parametrize(
    ("shown", "moment"),
    [
        (1_003_599, 999_999),
        (1_003_600, 1_000_000),  # skipped, as is all until
        (1_007_199, 1_000_000),
        (1_007_200, 1_000_000),
        (1_007_201, 1_000_001),
        (2_003_599, 1_996_399),
        (2_003_600, 1_996_400),  # shown twice, as is all until
        (2_007_199, 1_999_999),
        (2_007_200, 2_003_600),
    ],
)
def test_the_first_moment_at_which_clocks_show_a_time(shown: int, moment: int) -> None:
    assert SUMMER.first_moment(shown) == moment
