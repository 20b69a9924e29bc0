"""Every row of the page about CLINK Enroll names tests, and each of them is there."""

from __future__ import annotations

import pytest

from tests.kit.docs.conformance import check, rows_of

LEVELS = {"MUST", "MUST NOT", "SHOULD"}
ROWS = rows_of("docs/reference/clink-enroll.md")


def test_the_page_has_rows_with_a_level_or_of_what_is_left_open() -> None:
    assert {len(row) for row in ROWS} == {3, 4}
    assert {row[1] for row in ROWS if len(row) == 4} == LEVELS
    assert len({row[0] for row in ROWS}) == len(ROWS) > 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_tests_that_are_there_and_nothing_else(row: list[str]) -> None:
    check(row)
