"""The contract of answers: what a command answers is converted, strictly, to the type that it names."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import click
import msgspec
import pytest

from kitestring.app.cli.answers import answers
from kitestring.app.cli.shell import Shell
from kitestring.app.owner.commands import OwnerCommands


class BrokenContractError(AssertionError):
    """An answer is not of the type that its command names."""


def hold(name: str, answer: Mapping[str, Any], kind: Any) -> None:
    """Raise BrokenContractError for a field that is missing, unknown or of another kind."""
    try:
        msgspec.convert(msgspec.json.decode(msgspec.json.encode(answer)), kind, strict=True)
    except msgspec.ValidationError as error:
        raise BrokenContractError(f"the answer of `{name}` is not what its result type says: {error}") from error


def hold_one(words: str, answer: Mapping[str, Any]) -> None:
    """Raise BrokenContractError unless it is what ``kitestring WORDS --json`` says that it answers."""
    wrong: list[str] = []
    for kind in answers(words):
        try:
            return hold(words, answer, kind)
        except BrokenContractError as error:
            wrong.append(str(error))
    raise BrokenContractError("; ".join(wrong))


def hold_command_line(patch: pytest.MonkeyPatch) -> None:
    """Have everything looked at that a command of the program shows, whether for people or as JSON. The answers that a
    test itself gives in place of a service are no real ones."""
    show, line, service = Shell.show, Shell.print_json, _service()

    def look(shell: Shell, answer: dict[str, Any]) -> None:
        context = click.get_current_context(silent=True)
        is_real = type(shell) is Shell and _service() == service and not answer.keys() & {"error", "$schema"}
        if is_real and context is not None and context.find_root().info_name == "kitestring":
            hold_one(context.command_path.partition(" ")[2], answer)

    @functools.wraps(show)
    def held(self: Shell, result: dict[str, Any], text: str, *, again: str = "") -> None:
        look(self, result)
        show(self, result, text, again=again)

    @functools.wraps(line)
    def held_line(self: Shell, value: dict[str, Any], *, again: str = "") -> None:
        look(self, value)
        line(self, value, again=again)

    patch.setattr(Shell, "show", held)
    patch.setattr(Shell, "print_json", held_line)


def _service() -> tuple[object, ...]:
    """The ways of a shell to the service."""
    return Shell.call, Shell.read, Shell.activity


def hold_owners_commands(patch: pytest.MonkeyPatch) -> None:
    """Have every answer of an owner's command looked at, whatever the door."""
    run = OwnerCommands.run

    @functools.wraps(run)
    async def held(self: OwnerCommands[Any], caller: Any, name: str, params: Any, key: str = "") -> dict[str, Any]:
        answer = await run(self, caller, name, params, key)
        hold(name, answer, self._commands[name].result)
        return answer

    patch.setattr(OwnerCommands, "run", held)
