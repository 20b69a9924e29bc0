"""Every row of the page about what Nostr Wallet Connect asks for names tests, and each of them is there."""

from __future__ import annotations

import pytest

from tests.kit.docs.conformance import check, rows_of

LEVELS = {"MUST", "SHOULD", "MAY"}
ROWS = rows_of("docs/reference/nwc-conformance.md")


def test_the_page_has_rows_each_with_a_level() -> None:
    assert {len(row) for row in ROWS} == {4}
    assert {row[1] for row in ROWS} == LEVELS
    assert len({row[0] for row in ROWS}) == len(ROWS) > 30


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_tests_that_are_there_and_nothing_else(row: list[str]) -> None:
    check(row)
