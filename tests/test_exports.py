"""What the package promises by name is there, once, and nothing has to be imported in a certain order."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import kitestring

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(kitestring.__path__, "kitestring.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", ["kitestring", *MODULES])
def test_every_promised_name_exists(name: str) -> None:
    module = importlib.import_module(name)
    promised = getattr(module, "__all__", [])
    assert [symbol for symbol in promised if not hasattr(module, symbol)] == []
    assert len(set(promised)) == len(promised)


def test_every_room_can_be_the_first_one_imported() -> None:
    rooms = [name for name in MODULES if name.count(".") == 1]
    for room in rooms:
        done = subprocess.run([sys.executable, "-c", f"import {room}"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_no_two_public_types_share_a_name() -> None:
    counted = Counter(name for file in Path(kitestring.__path__[0]).rglob("*.py") for name in _types(file))
    assert {name: count for name, count in counted.items() if count > 1} == {}


def _types(file: Path) -> set[str]:
    """Names of the public classes, aliases and type variables of a file: what is written in CamelCase at its top."""
    names: set[str] = set()
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        match statement:
            case ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]):
                names.add(name)
    return {name for name in names if name[0].isupper() and not name.isupper()}
