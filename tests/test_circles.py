"""Imports run one way: no files of the package import each other in a circle, however late or for types alone."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import kitestring

SOURCE = Path(kitestring.__path__[0])
#: Not a file of a room: it names what is public, for type checkers alone, and has the version, which rooms read.
ROOT = "kitestring"


def test_no_files_import_each_other_in_a_circle() -> None:
    files = {_module(file): file for file in sorted(SOURCE.rglob("*.py"))}
    imports = {name: _imports(file.read_text(encoding="utf-8"), files) - {name, ROOT} for name, file in files.items()}
    assert sum(map(len, imports.values())) > len(files)
    assert _circle(imports) == []


@pytest.mark.parametrize(
    "late",
    [
        "def f() -> None:\n    from kitestring.b import x",
        "if TYPE_CHECKING:\n    from kitestring import b",
        "import kitestring.b",
    ],
)
def test_a_circle_is_found_in_every_form_of_import(late: str) -> None:
    files = {f"kitestring.{name}": Path() for name in "abc"}
    texts = {"kitestring.a": late, "kitestring.b": "from kitestring.c import y", "kitestring.c": ""}
    imports = {name: _imports(text, files) for name, text in texts.items()}
    assert _circle(imports) == []
    imports["kitestring.c"] = _imports("from kitestring.a import z", files)
    assert sorted(set(_circle(imports))) == sorted(files)


def _module(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(text: str, files: Mapping[str, Path]) -> set[str]:
    """The files that this one imports anywhere in its text."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & files.keys() if names <= files.keys() else {node.module, *names}
    return found & files.keys()


def _circle(imports: Mapping[str, set[str]]) -> list[str]:
    """The files of one circle, the first of them once more at its end; none where there is no circle."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []
