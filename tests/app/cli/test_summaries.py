"""The one-line summaries: each is one sentence about a command that there is."""

from __future__ import annotations

import click
import pytest

from kitestring.app.cli.main import cli
from kitestring.app.cli.summaries import SUMMARIES


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_summary_is_one_sentence_about_a_command_that_there_is(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert SUMMARIES[name].endswith(".")
    assert "\n" not in SUMMARIES[name]
