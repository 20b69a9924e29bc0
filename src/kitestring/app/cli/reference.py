"""The page docs/reference/cli.md, made from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from kitestring.app.cli.examples import EXAMPLES, meaning
from kitestring.app.cli.listed import CommandWithMore
from kitestring.app.cli.main import cli
from kitestring.base.errors import Exit

#: Options of every command, which are told once.
_EVERYWHERE: Final = frozenset({"--data-dir", "--json", "--help"})
_MEANINGS = {
    Exit.OK: "done",
    Exit.INTERNAL: "a fault in the program, a broken invariant (`audit`) or a failed check (`doctor`)",
    Exit.USAGE: "the command, a code, an amount or the data directory is wrong",
    Exit.PAYMENT_FAILED: "the payment failed for good; nothing was paid",
    Exit.UNAVAILABLE: "the service, its node or a relay cannot do it now; try again later",
    Exit.REFUSED: "not permitted, or beyond a budget",
    Exit.RATE_LIMITED: "too many requests; try again later",
    Exit.PENDING: "still under way; nothing is known to have failed",
    Exit.INTERRUPTED: "ended by Ctrl-C; what the service was asked to do it may still do",
}


def reference_markdown() -> str:
    """Every command with its arguments and options, in the order of ``kitestring --help``."""
    context = click.Context(cli, info_name="kitestring", **cli.context_settings)
    parts = ["# Command line", "", _paragraphs(cli.help or ""), "", *_parameters(cli, context, frozenset())]
    parts += [
        "`--data-dir`, `--json` and `--help` stand behind every command as well; they are not repeated below.",
        "",
    ]
    for child in _children(cli, context):
        parts += _command(child.command, child)
    parts += ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    parts += [f"| {code.value} | {meaning} |" for code, meaning in _MEANINGS.items()]
    return "\n".join(parts) + "\n"


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    if isinstance(command, CommandWithMore):
        yield from _command(command.own, context)
    else:
        yield from (f"## `{context.command_path}`", "", _paragraphs(command.help or ""), "")
    if isinstance(command, click.Group):
        for child in _children(command, context):
            yield from (line.replace("## `", "### `", 1) for line in _command(child.command, child))
        return
    usage = " ".join(command.collect_usage_pieces(context))
    yield from ("```", f"{context.command_path} {usage}", "```", "")
    words = context.command_path.partition(" ")[2]
    yield from ("```sh", *EXAMPLES[words], "```", "")
    yield from _parameters(command, context, _EVERYWHERE)


def _children(group: click.Group, context: click.Context) -> Iterator[click.Context]:
    """The commands of a group in the order of its list, each in a context of its own."""
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if found is not None:
            yield click.Context(found, info_name=name, parent=context)


def _parameters(command: click.Command, context: click.Context, without: frozenset[str]) -> Iterator[str]:
    """A table of the arguments and options, but for those of these names."""
    wanted = [one for one in command.get_params(context) if without.isdisjoint(one.opts)]
    words = context.command_path.partition(" ")[2]
    rows = [row for one in wanted if (row := _row(one, context, words)) is not None]
    if rows:
        yield from ("| parameter | meaning |", "|---|---|")
        yield from (f"| `{_cell(name)}` | {_cell(meaning)} |" for name, meaning in rows)
        yield ""


def _row(parameter: click.Parameter, context: click.Context, words: str) -> tuple[str, str] | None:
    if isinstance(parameter, click.Argument):
        name = parameter.human_readable_name
        return name, meaning(words, name)
    return parameter.get_help_record(context)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
