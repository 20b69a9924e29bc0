"""A group shows what it has without loading any of it, and is one to whoever asks it."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from kitestring.app.cli.listed import LazyGroup, commands_of
from kitestring.app.cli.main import cli
from kitestring.app.cli.summaries import lines_of
from tests.kit.app.console import kitestring


@pytest.mark.parametrize("words", ["connection", "debit pointer", "sandbox"])
def test_the_help_of_a_group_loads_no_command(words: str) -> None:
    code = (
        "import sys\nfrom kitestring.app.cli.main import cli\n"
        f"try:\n    cli.main({[*words.split(), '--help']!r})\nexcept SystemExit:\n    pass\n"
        "room = 'kitestring.app.cli.'\n"
        "print('LOADED', sorted(name.removeprefix(room) for name in sys.modules if name.startswith(room)),"
        " 'msgspec' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.endswith("LOADED ['listed', 'main', 'shell', 'summaries'] False\n")
    assert all(f"  {word} " in output and line in " ".join(output.split()) for word, line in lines_of(words).items())


def test_a_group_of_a_group_is_one_and_a_command_in_it_is_loaded() -> None:
    context = click.Context(cli)
    debit = cli.get_command(context, "debit")
    assert isinstance(debit, LazyGroup)
    pointer = debit.get_command(context, "pointer")
    assert isinstance(pointer, LazyGroup)
    assert pointer.list_commands(context) == ["create", "list", "policy", "relink", "delete"]
    create = pointer.get_command(context, "create")
    assert create is not None
    assert (create.name, pointer.get_command(context, "nothing")) == ("create", None)
    assert next(iter(commands_of(pointer, "debit pointer"))) == "debit pointer create"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("connection shwo", "there is no command 'connection shwo'; did you mean `kitestring connection show`?"),
        ("debit pointer crate", "there is no command 'debit pointer crate'; did you mean `kitestring debit pointer"),
        ("shwo", "there is no command 'shwo'"),
    ],
)
def test_a_word_that_is_no_command_of_the_group_is_told_with_what_may_be_meant(typed: str, sentence: str) -> None:
    result = kitestring(*typed.split())
    assert result.exit_code == 2
    assert sentence in result.stderr
