"""What lists say of commands: one sentence about each that there is, and in a group the first one of its own help."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import click
import pytest

from kitestring.app import cli as room
from kitestring.app.cli.main import cli
from kitestring.app.cli.summaries import SUMMARIES, help_of, lines_of
from kitestring.app.owner.table import GROUPS, TABLE
from tests.kit.app.console import commands

COMMANDS = commands()
GROUPED = {words.rpartition(" ")[0] for words in COMMANDS if " " in words}


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_summary_is_one_sentence_about_a_command_that_there_is(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert SUMMARIES[name].endswith(".")
    assert "\n" not in SUMMARIES[name]


@pytest.mark.parametrize("words", [words for words in COMMANDS if " " in words])
def test_the_line_of_a_command_in_a_group_is_the_first_sentence_of_its_help(words: str) -> None:
    group, _, word = words.rpartition(" ")
    assert lines_of(group)[word] == COMMANDS[words].get_short_help_str(1_000)


@pytest.mark.parametrize("group", sorted(GROUPED))
def test_a_group_in_a_group_has_the_first_sentence_of_its_help_as_its_line(group: str) -> None:
    outer, _, word = group.rpartition(" ")
    assert not outer or help_of(group).startswith(lines_of(outer)[word])
    assert set(GROUPS) <= GROUPED


def test_nothing_that_is_written_by_hand_or_has_a_row_is_left_out_of_its_group() -> None:
    there = {row.words for row in TABLE if row.words}
    for module in iter_modules(room.__path__):
        found = getattr(import_module(f"{room.__name__}.{module.name}"), "command", None)
        if isinstance(found, click.Group):
            names = [name for name in sorted(GROUPED) if name.replace(" ", "_") == module.name]
            assert names, module.name
            there |= {f"{names[0]} {word}" for word in found.commands}
        elif isinstance(found, click.Command):
            first, _, rest = module.name.partition("_")
            word = str(found.name)
            there.add(f"{first} {word}" if rest and first in GROUPED else word)
    assert there == set(COMMANDS)


def test_behind_a_command_nothing_is_listed() -> None:
    assert lines_of("pay") == lines_of("offer create") == lines_of("nothing") == {}
    assert lines_of("") == SUMMARIES
