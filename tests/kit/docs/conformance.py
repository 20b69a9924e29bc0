"""Pages that say what a text asks for, row by row, and which tests show it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows_of(page: str) -> list[list[str]]:
    """The cells of each row of each table of a page, without the heads."""
    text = (ROOT / page).read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    lines = [line for table in tables for line in table.splitlines()[2:]]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@cache
def names_in(path: str) -> frozenset[str]:
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = (node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(name for name in found if name.startswith("test_"))


def check(row: list[str]) -> None:
    """The last cell names tests that are there, and nothing else; no cell is empty."""
    named = _NAMED.findall(row[-1])
    assert ", ".join(f"`{path}::{name}`" for path, name in named) == row[-1] != ""
    assert [f"{path}::{name}" for path, name in named if name not in names_in(path)] == []
    assert all(cell for cell in row)
