"""A command is loaded from its own file, from that of its group, or from its row, in this order."""

from __future__ import annotations

import sys
from types import ModuleType

import click
import pytest

from kitestring.app.cli import account, from_row, offer_edit, pay
from kitestring.app.cli.loading import load


@pytest.mark.parametrize(
    ("words", "written"),
    [("pay", pay.command), ("offer edit", offer_edit.command), ("account create", account.command.commands["create"])],
)
def test_what_is_written_by_hand_comes_first(words: str, written: click.Command) -> None:
    assert load(words) is written
    assert str(written.epilog).startswith("\b\nExamples:\n  kitestring ")


@pytest.mark.parametrize("words", ["events", "debit sessions"])
def test_what_nobody_has_written_is_built_from_its_row(words: str) -> None:
    made = load(words)
    assert (made.name, made.help) == (words.rsplit(maxsplit=1)[-1], from_row.make(words).help)


def test_words_and_dashes_are_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    command = click.Command("far-off")
    module = ModuleType("kitestring.app.cli.offer_far_off")
    vars(module).update(command=command, __spec__=object())
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert load("offer far-off") is command
