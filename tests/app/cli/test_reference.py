"""The page of the command line has every command, option and exit code."""

from __future__ import annotations

from kitestring.app.cli.reference import reference_markdown
from kitestring.base.errors import Exit
from tests.kit.app.console import commands


def test_the_reference_has_every_command_and_exit_code() -> None:
    page = reference_markdown()
    for words, command in commands().items():
        assert f"`kitestring {words}`" in page
        for parameter in command.params:
            assert all(f"{option}" in page for option in parameter.opts if option.startswith("--"))
    assert all(f"| {code.value} |" in page for code in Exit)
