"""Load one command: from a file of its own, from that of its group, or built from its row in the owner's table."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

import click

from kitestring.app.cli.examples import with_examples


def load(words: str) -> click.Command:
    """The command of these words, with its examples: that of ``WORDS.py`` here, one of the group in ``GROUP.py``, or
    one built from its row. What is written by hand comes first."""
    group, _, last = words.rpartition(" ")
    found = _written(words)
    if found is None and group:
        beside = _written(group)
        found = beside.commands.get(last) if isinstance(beside, click.Group) else None
    if found is None:
        from kitestring.app.cli.from_row import make

        found = make(words)
    return with_examples(found, words)


def _written(words: str) -> click.Command | None:
    """Find what stands in the file of these words; None without such a file."""
    module = f"kitestring.app.cli.{words.replace(' ', '_').replace('-', '_')}"
    if find_spec(module) is None:
        return None
    found: click.Command = importlib.import_module(module).command
    return found
