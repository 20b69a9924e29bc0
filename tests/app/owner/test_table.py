from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

from kitestring.app import owner
from kitestring.app.owner.commands import all_commands
from kitestring.app.owner.table import GROUPS, SUBGROUPS, TABLE


def test_every_command_of_every_module_has_one_row_and_every_row_its_command() -> None:
    modules = {
        found.name: import_module(f"kitestring.app.owner.{found.name}") for found in iter_modules(owner.__path__)
    }
    there = {(spec.name, name) for name, module in modules.items() for spec in getattr(module, "COMMANDS", ())}
    assert sorted(there) == sorted((row.name, row.module) for row in TABLE)
    assert list(all_commands()) == [row.name for row in TABLE]


def test_every_command_of_the_command_line_has_a_line_in_the_help() -> None:
    words = [row.words for row in TABLE if row.words]
    assert len(set(words)) == len(words)
    for row in TABLE:
        *groups, _ = row.words.split(" ")
        assert all(" ".join(groups[:end]) in {*GROUPS, *SUBGROUPS, *words} for end in range(1, len(groups) + 1))
        assert bool(row.summary) == bool(row.words)


def test_the_table_is_read_without_loading_the_commands() -> None:
    code = (
        "import sys, kitestring.app.owner.table\n"
        "print([name for name in sys.modules if name.startswith('kitestring.') or name in ('msgspec', 'asyncio')])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "['kitestring.app', 'kitestring.app.owner', 'kitestring.app.owner.table']"
