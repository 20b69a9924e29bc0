"""Every row of the page about what Nostr Wallet Connect asks for names tests, and each of them is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEVELS = {"MUST", "SHOULD", "MAY"}
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> Iterator[list[str]]:
    """The cells of each row of each table, without the heads."""
    text = (ROOT / "docs/reference/nwc-conformance.md").read_text(encoding="utf-8")
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


def test_the_page_has_rows_each_with_a_level() -> None:
    assert {len(row) for row in ROWS} == {4}
    assert {row[1] for row in ROWS} == LEVELS
    assert len({row[0] for row in ROWS}) == len(ROWS) > 30


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_tests_that_are_there_and_nothing_else(row: list[str]) -> None:
    named = NAMED.findall(row[-1])
    assert ", ".join(f"`{path}::{name}`" for path, name in named) == row[-1] != ""
    assert [f"{path}::{name}" for path, name in named if name not in names_in(path)] == []
    assert all(cell for cell in row)
