"""A group of commands that lists them without loading one: the program itself, and each group in it."""

from __future__ import annotations

from typing import Any

import click

from kitestring.app.cli.summaries import help_of, is_group, lines_of


class LazyGroup(click.Group):
    """The group of these ``words`` ("" = the program). A command is loaded when it is used."""

    def __init__(self, name: str | None = None, *, words: str = "", **more: Any) -> None:
        super().__init__(name, **more)
        self._words = words
        self._lines = lines_of(words)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lines:
            return None
        words = f"{self._words} {cmd_name}".lstrip()
        more = lines_of(words)
        if more and is_group(words):
            return LazyGroup(cmd_name, words=words, help=help_of(words))
        from kitestring.app.cli.loading import load

        found = load(words)
        return CommandWithMore(found, words) if more else found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._lines.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self._lines and not args[0].startswith("-"):
            from kitestring.app.cli.near import no_command

            ctx.fail(no_command(args[0], self._lines, path=f"kitestring {self._words}".rstrip()))
        return super().resolve_command(ctx, args)


class CommandWithMore(LazyGroup):
    """A command that has others behind it, such as ``invoice``: what is typed there is the word of one of them, or is
    meant for the command itself, ``own``."""

    def __init__(self, own: click.Command, words: str) -> None:
        super().__init__(own.name, words=words, help=own.help)
        self.own = own

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args and args[0] in self._lines:
            return super().make_context(info_name, args, parent, **extra)
        return self.own.make_context(info_name, args, parent, **extra)


def commands_of(group: click.Group, words: str = "") -> dict[str, click.Command]:
    """Every command in ``group`` that can be run, by its words. Loads all of them."""
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        command, inner = group.get_command(context, name), f"{words} {name}".lstrip()
        if isinstance(command, CommandWithMore):
            found[inner] = command.own
        if isinstance(command, click.Group):
            found |= commands_of(command, inner)
        elif command is not None:
            found[inner] = command
    return found
