"""What the package promises by name is there, and nothing has to be imported in a certain order."""

import importlib
import pkgutil
import subprocess
import sys

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
