"""A clock is spoken of only where it differs enough to matter."""

from __future__ import annotations

import pytest

from kitestring.client.clocks import CLOCKS_S, clock_words


@pytest.mark.parametrize(
    ("ahead_s", "part"),
    [
        (300, "5 minutes ahead of the one here"),
        (-300, "5 minutes behind the one here"),
        (14 * 3_600, "14 hours ahead of"),
        (CLOCKS_S + 1, "1 minutes ahead of"),
    ],
)
def test_a_clock_that_differs_is_told_with_how_much_and_to_which_side(ahead_s: int, part: str) -> None:
    assert part in clock_words(ahead_s)


@pytest.mark.parametrize("ahead_s", [0, CLOCKS_S, -CLOCKS_S])
def test_the_minute_that_clocks_differ_by_is_not_worth_a_word(ahead_s: int) -> None:
    assert clock_words(ahead_s) == ""
