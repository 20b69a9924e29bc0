"""The contract of answers: what a command answers is converted, strictly, to the type that it names."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from kitestring.app.owner.commands import OwnerCommands


class BrokenContractError(AssertionError):
    """An answer is not of the type that its command names."""


def hold(name: str, answer: Mapping[str, Any], kind: Any) -> None:
    """Raise BrokenContractError for a field that is missing, unknown or of another kind."""
    try:
        msgspec.convert(msgspec.json.decode(msgspec.json.encode(answer)), kind, strict=True)
    except msgspec.ValidationError as error:
        raise BrokenContractError(f"the answer of `{name}` is not what its result type says: {error}") from error


def hold_owners_commands(patch: pytest.MonkeyPatch) -> None:
    """Have every answer of an owner's command looked at, whatever the door."""
    run = OwnerCommands.run

    @functools.wraps(run)
    async def held(self: OwnerCommands[Any], caller: Any, name: str, params: Any, key: str = "") -> dict[str, Any]:
        answer = await run(self, caller, name, params, key)
        hold(name, answer, self._commands[name].result)
        return answer

    patch.setattr(OwnerCommands, "run", held)
