"""The page of the command line has every command, option and exit code."""

from __future__ import annotations

import click

from kitestring.app.cli.main import SUMMARIES, cli
from kitestring.app.cli.reference import reference_markdown


def commands() -> dict[str, click.Command]:
    """Every command that can be run, by its words."""
    context = click.Context(cli)
    found: dict[str, click.Command] = {}
    for name in SUMMARIES:
        command = cli.get_command(context, name)
        assert command is not None
        inner = command.commands if isinstance(command, click.Group) else None
        found |= {f"{name} {word}": sub for word, sub in inner.items()} if inner else {name: command}
    return found


def test_the_reference_has_every_command_and_exit_code() -> None:
    page = reference_markdown()
    for words, command in commands().items():
        assert f"`kitestring {words}`" in page
        for parameter in command.params:
            assert all(f"{option}" in page for option in parameter.opts if option.startswith("--"))
    assert "| 7 |" in page
