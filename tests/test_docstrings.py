"""Docstrings: everything public in the rooms that others build on (base, client, sdk) has one, and none is headless."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import kitestring

SOURCE = Path(kitestring.__path__[0])
ROOMS = ("base", "client", "sdk")
#: A relative clause in place of a verb, or of the noun that is defined.
HEADLESS = re.compile(r"(What|Who|Whom|Whose|Which|Where|When|Why|How|Those|That|Whoever|Whatever)\b")

Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def test_everything_public_has_a_docstring() -> None:
    trees = {
        str(file.relative_to(SOURCE)): ast.parse(file.read_text(encoding="utf-8"))
        for room in ROOMS
        for file in sorted((SOURCE / room).rglob("*.py"))
    }
    promised = {one.name for tree in trees.values() for holder in _protocols(tree) for one in _public(holder)}
    found = {name: [one.name for one in _undocumented(tree, promised)] for name, tree in trees.items()}
    assert {name: names for name, names in found.items() if names} == {}


def test_no_docstring_begins_without_a_verb_or_the_noun_that_it_defines() -> None:
    found: list[str] = []
    for file in sorted(SOURCE.rglob("*.py")):
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        texts = (ast.get_docstring(node) for node in nodes if isinstance(node, Documented | ast.Module))
        found += [f"{file.relative_to(SOURCE)}: {text}" for text in texts if text and HEADLESS.match(text)]
    assert found == []


def _public(holder: ast.Module | ast.ClassDef) -> Iterator[Documented]:
    for one in holder.body:
        if isinstance(one, Documented) and not one.name.startswith("_"):
            yield one


def _protocols(tree: ast.Module) -> Iterator[ast.ClassDef]:
    for one in _public(tree):
        if isinstance(one, ast.ClassDef) and any(ast.unparse(base) == "Protocol" for base in one.bases):
            yield one


def _undocumented(tree: ast.Module, promised: set[str]) -> Iterator[Documented]:
    """Public classes, functions and methods without a docstring. A method that a protocol of these rooms promises by
    the same name has its words there."""
    protocols = list(_protocols(tree))
    for one in _public(tree):
        if not ast.get_docstring(one):
            yield one
        if isinstance(one, ast.ClassDef):
            for method in _public(one):
                if not ast.get_docstring(method) and (one in protocols or method.name not in promised):
                    yield method
