"""Every row of the page about CLINK Debits names tests, and each of them is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEVELS = {"MUST", "MUST NOT", "SHOULD", "MAY"}
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> Iterator[list[str]]:
    """The cells of each row of each table, without the heads."""
    text = (ROOT / "docs/reference/clink-debits.md").read_text(encoding="utf-8")
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        for line in table.splitlines()[2:]:
            yield [cell.strip() for cell in line.strip("|").split("|")]


ROWS = list(rows())


@cache
def names_in(path: str) -> frozenset[str]:
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = (node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(name for name in found if name.startswith("test_"))


def test_the_page_has_rows_with_a_level_or_of_what_is_left_open() -> None:
    assert {len(row) for row in ROWS} == {3, 4}
    assert {row[1] for row in ROWS if len(row) == 4} == LEVELS
    assert len({row[0] for row in ROWS}) == len(ROWS) > 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_tests_that_are_there_and_nothing_else(row: list[str]) -> None:
    named = NAMED.findall(row[-1])
    assert ", ".join(f"`{path}::{name}`" for path, name in named) == row[-1] != ""
    assert [f"{path}::{name}" for path, name in named if name not in names_in(path)] == []
    assert all(cell for cell in row)


def test_a_test_that_is_not_there_is_noticed() -> None:
    assert "test_a_test_that_is_not_there_is_noticed" in names_in("tests/docs/test_clink_debits.py")
    assert "test_a_row_that_is_gone" not in names_in("tests/docs/test_clink_debits.py")
    assert names_in("tests/docs/no_such_file.py") == frozenset()
