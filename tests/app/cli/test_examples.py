"""Every command has examples that parse as they stand, and every argument says what it is."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest

from kitestring.app.cli.examples import EXAMPLES, meaning
from tests.kit.app.console import commands, kitestring

COMMANDS = commands()


def test_every_command_has_an_example_and_every_example_a_command() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize(("words", "example"), [(words, one) for words, found in EXAMPLES.items() for one in found])
def test_an_example_is_a_command_line_that_parses(
    words: str, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "copy").mkdir()
    program, *typed = [word for word in shlex.split(example) if word != "--json"]
    assert (program, " ".join(typed[: len(words.split())])) == ("kitestring", words)
    context = COMMANDS[words].make_context(words, typed[len(words.split()) :])
    assert context.args == []


@pytest.mark.parametrize("words", COMMANDS)
def test_every_argument_says_what_it_is(words: str) -> None:
    for parameter in COMMANDS[words].params:
        if isinstance(parameter, click.Argument):
            assert meaning(words, parameter.human_readable_name).endswith(".")


def test_the_help_of_a_command_ends_with_its_examples() -> None:
    shown = kitestring("account", "withdraw", "--help").output
    assert shown.endswith("    kitestring account withdraw alice 2000\n    kitestring account withdraw alice --all\n")
