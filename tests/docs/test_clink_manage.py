"""Every row of the page about CLINK Manage names tests, and each of them is there."""

from __future__ import annotations

import pytest

from tests.kit.docs.conformance import check, names_in, rows_of

LEVELS = {"MUST", "MUST NOT", "SHOULD", "MAY"}
ROWS = rows_of("docs/reference/clink-manage.md")


def test_the_page_has_rows_with_a_level_or_of_what_is_left_open() -> None:
    assert {len(row) for row in ROWS} == {3, 4}
    assert {row[1] for row in ROWS if len(row) == 4} == LEVELS
    assert len({row[0] for row in ROWS}) == len(ROWS) > 30


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_tests_that_are_there_and_nothing_else(row: list[str]) -> None:
    check(row)


def test_a_test_that_is_not_there_is_noticed() -> None:
    assert "test_a_test_that_is_not_there_is_noticed" in names_in("tests/docs/test_clink_manage.py")
    assert "test_a_row_that_is_gone" not in names_in("tests/docs/test_clink_manage.py")
    assert names_in("tests/docs/no_such_file.py") == frozenset()
