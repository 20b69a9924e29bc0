"""The owner's commands on one service: the one place where a caller's rights are checked, whatever the door."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final, Generic, TypeVar

from kitestring.app.owner.account_names import in_names
from kitestring.app.owner.command import Call, Commands, CommandSpec, read_params, request_id
from kitestring.app.owner.desk import Desk, Reading
from kitestring.app.owner.table import TABLE, VERSION
from kitestring.app.service.execute import Result
from kitestring.base.commands import OWNER_GRANT
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.rights import Right
from kitestring.policy.access import refuse_right

D = TypeVar("D", bound=Reading)
_MODULES: Final = {row.name: row.module for row in TABLE}


@cache
def command(name: str) -> CommandSpec[Desk, Any]:
    """The command of that name; only the module that holds it is loaded. Raises KitestringError when there is none."""
    if name not in _MODULES:
        raise _absent(name)
    found: Commands = import_module(f"kitestring.app.owner.{_MODULES[name]}").COMMANDS
    return next(spec for spec in found if spec.name == name)


def all_commands() -> dict[str, CommandSpec[Desk, Any]]:
    """Every command by name, in the order of the table."""
    return {name: command(name) for name in _MODULES}


class OwnerCommands(Generic[D]):
    """All that a door is given: ``commands`` that can be carried out on ``desk``."""

    def __init__(self, desk: D, commands: Mapping[str, CommandSpec[D, Any]]) -> None:
        self._desk: Final = desk
        self._commands: Final = commands

    @property
    def service_id(self) -> str:
        """The public key of the service."""
        return self._desk.service_id

    async def owner(self) -> Grant:
        """The owner's own grant as it is stored now: the caller of a door that only the owner can open."""
        found = await self._desk.store.grant(OWNER_GRANT)
        if found is None:
            raise KitestringError(Reason.NOT_PERMITTED, "this ledger holds no grant of its owner")
        return found

    def permit(self, caller: Grant, right: Right, name: str) -> None:
        """Raise KitestringError(NOT_PERMITTED) where ``caller`` has not the right that ``name`` needs."""
        refused = refuse_right(caller, right, self._desk.clock.now(), f"`{name}`")
        if refused is not None:
            raise KitestringError(refused.reason, refused.message)

    async def run(self, caller: Grant, name: str, params: Mapping[str, object], key: str = "") -> Result:
        """Carry out one command for ``caller``, the grant of whoever asks as it is stored now.

        ``params`` are JSON values, ``key`` is the idempotency key of a mutating command; keys of different callers
        never meet. Raises KitestringError for everything that the caller is to be told, NOT_PERMITTED first of all.
        """
        spec = self._commands.get(name)
        if spec is None:
            raise _absent(name)
        self.permit(caller, spec.right, name)
        claim = request_id(caller, name, key) if spec.mutating else ""
        try:
            result = await spec.carry_out(self._desk, read_params(spec, params), Call(caller, claim))
        except CodecError as error:
            raise KitestringError(Reason.MALFORMED, str(error)) from error
        return await in_names(self._desk.store, result)


def _absent(name: str) -> KitestringError:
    if name in _MODULES:
        return KitestringError(Reason.UNAVAILABLE, f"`{name}` needs the running service")
    return KitestringError(Reason.UNKNOWN_TARGET, f"there is no command {name!r} in version {VERSION}")
