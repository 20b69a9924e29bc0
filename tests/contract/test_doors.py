"""Rights come from the caller's grant, whatever the door: every command, every set of rights, through two doors."""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import combinations
from typing import Annotated, Any, get_type_hints

import aiohttp
import pytest

from kitestring.app.doors.unix import KEY_HEADER, ControlServer
from kitestring.app.home.datadir import DataDir
from kitestring.app.owner.command import (
    Ask,
    Call,
    CommandSpec,
    Foresee,
    Judge,
    Manage,
    Operate,
    Read,
    Receive,
    Sign,
    Speak,
    Spend,
)
from kitestring.app.owner.commands import OwnerCommands, all_commands
from kitestring.app.owner.desk import (
    Asking,
    Deciding,
    Foreseeing,
    Managing,
    Operating,
    Reading,
    Receiving,
    Speaking,
    Spending,
)
from kitestring.app.owner.params import NoParams
from kitestring.app.owner.results.words import AnswerJson, says
from kitestring.app.service.execute import Result
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.rights import Right
from kitestring.base.transactions.owner import SaveGrant
from tests.kit.app.desk import OWNER, Office
from tests.kit.changed import replace
from tests.kit.clock import EPOCH

ALL = frozenset(right.value for right in Right)
SUBSETS = [frozenset(chosen) for size in range(1, 5) for chosen in combinations(sorted(ALL), size)]
#: Grants without any right: the sixteenth set, and every way to lose all.
POWERLESS = [
    replace(OWNER, methods=frozenset({"nothing"})),
    replace(OWNER, revoked_at=EPOCH - 1),
    replace(OWNER, methods=frozenset({"manage"}), revoked_at=EPOCH - 1),
    replace(OWNER, expires_at=EPOCH),
    replace(OWNER, wire="nwc"),
    replace(OWNER, wire="nwc", methods=ALL),
]
#: Read after the right is known, these would be refused as malformed.
WRONG: dict[str, object] = {"no such parameter": 1}


class ReachedJson(AnswerJson):
    caller: Annotated[str, says("Who has asked.")]


async def reached(_desk: object, _params: NoParams, call: Call) -> Result:
    return {"caller": call.caller.grant_id}


async def told(_desk: object, result: Result, _call: Call) -> Result:
    return result


def harmless() -> dict[str, CommandSpec[Any, Any]]:
    """The table with its names, roles and rights, and handlers that only say that they were reached."""
    return {
        name: replace(
            spec,
            params=NoParams,
            handler=reached,
            result=ReachedJson,
            **({"tell": told} if isinstance(spec, Manage | Operate) else {}),
        )
        for name, spec in all_commands().items()
    }


Ask_ = Callable[[Grant, str, dict[str, object], str], Awaitable[Result]]


class UnixDoor:
    """The real door: HTTP on the socket, whose caller is the owner's grant as it is stored."""

    def __init__(self, desk: Office, session: aiohttp.ClientSession) -> None:
        self._desk, self._session = desk, session

    async def _be(self, caller: Grant) -> None:
        """Have the owner's grant stored as this one."""
        stored = await self._desk.store.grant(OWNER.grant_id)
        if replace(stored, version=caller.version) != caller:
            await self._desk.rig.write(SaveGrant(replace(caller, version=stored.version + 1)))

    async def ask(self, caller: Grant, name: str, params: dict[str, object], key: str) -> Result:
        await self._be(caller)
        url, headers = f"http://x/v1/commands/{name}", {KEY_HEADER: key}
        async with self._session.post(url, data=json.dumps(params), headers=headers) as answer:
            body: dict[str, Any] = await answer.json()
            if body["ok"]:
                return dict(body["result"])
            assert answer.status == (403 if body["reason"] == "not_permitted" else 400)
            raise KitestringError(Reason(body["reason"]), body["message"])


class ToyDoor:
    """A second door: a line of JSON in, a line of JSON out, and callers that are told apart by a word of theirs."""

    def __init__(self, commands: OwnerCommands[Any]) -> None:
        self._commands = commands
        self.callers: dict[str, Grant] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            word, name, params, key = json.loads(line)
            try:
                answer = await self._commands.run(self.callers[word], name, params, key)
            except KitestringError as error:
                answer = {"reason": error.reason.value, "message": error.message}
            writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()


class ToyClient:
    def __init__(self, door: ToyDoor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._door, self._reader, self._writer = door, reader, writer

    async def ask(self, caller: Grant, name: str, params: dict[str, object], key: str) -> Result:
        self._door.callers["me"] = caller
        self._writer.write(json.dumps(["me", name, params, key]).encode() + b"\n")
        answer: Result = json.loads(await self._reader.readline())
        if "reason" in answer:
            raise KitestringError(Reason(answer["reason"]), answer["message"])
        return answer


@asynccontextmanager
async def unix_door(desk: Office, commands: OwnerCommands[Any], home: DataDir) -> AsyncIterator[Ask_]:
    server = ControlServer(commands, home.bind_control())
    await server.start()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(home.control_path()))) as session:
            yield UnixDoor(desk, session).ask
    finally:
        await server.stop()
        home.release_control()


@asynccontextmanager
async def toy_door(_desk: Office, commands: OwnerCommands[Any], _home: DataDir) -> AsyncIterator[Ask_]:
    near, far = socket.socketpair()
    door = ToyDoor(commands)
    serving = asyncio.create_task(door.serve(*await asyncio.open_connection(sock=far)))
    reader, writer = await asyncio.open_connection(sock=near)
    try:
        yield ToyClient(door, reader, writer).ask
    finally:
        writer.close()
        await serving


@pytest.fixture(params=[unix_door, toy_door], ids=["unix", "toy"])
async def ask(request: pytest.FixtureRequest, home: DataDir, office: Office) -> AsyncIterator[Ask_]:
    async with request.param(office, OwnerCommands(office.desk, harmless()), home) as asking:
        yield asking


async def refusal(asked: Awaitable[Result]) -> KitestringError:
    with pytest.raises(KitestringError) as caught:
        await asked
    return caught.value


# ---------------------------------------------------------------- every command, every set of rights


@pytest.mark.parametrize("rights", SUBSETS, ids=lambda rights: "+".join(sorted(rights)))
async def test_a_command_is_carried_out_exactly_for_callers_that_hold_its_right(
    ask: Ask_, rights: frozenset[str]
) -> None:
    caller = replace(OWNER, methods=rights)
    for name, spec in all_commands().items():
        if spec.right.value in rights:
            assert await ask(caller, name, {}, "k") == {"caller": "owner"}
            continue
        refused = await refusal(ask(caller, name, WRONG, ""))
        assert refused.reason is Reason.NOT_PERMITTED
        assert f"`{name}` needs the right to {spec.right.value}" in refused.message


@pytest.mark.parametrize(
    "caller", POWERLESS, ids=["no right", "revoked", "revoked manager", "expired", "nwc", "nwc with all"]
)
async def test_a_caller_whose_grant_has_ended_or_is_of_another_wire_can_do_nothing(ask: Ask_, caller: Grant) -> None:
    for name in all_commands():
        refused = await refusal(ask(caller, name, {}, "k"))
        assert refused.reason is Reason.NOT_PERMITTED


async def test_an_owner_without_named_rights_can_do_everything(ask: Ask_) -> None:
    for name in all_commands():
        assert await ask(OWNER, name, {}, "k") == {"caller": "owner"}


async def test_with_the_right_parameters_and_keys_are_checked_next(ask: Ask_) -> None:
    assert "no such parameter" in (await refusal(ask(OWNER, "connect", WRONG, "k"))).message
    assert "idempotency key" in (await refusal(ask(OWNER, "connect", {}, ""))).message


async def test_two_callers_of_one_door_each_have_their_own_rights(home: DataDir, office: Office) -> None:
    async with toy_door(office, OwnerCommands(office.desk, harmless()), home) as ask:
        looker, payer = (Grant(grant_id=n, name=n, wire="owner", methods=frozenset({n})) for n in ("read", "spend"))
        assert await ask(looker, "balance", {}, "") == {"caller": "read"}
        assert await ask(payer, "pay", {}, "k") == {"caller": "spend"}
        for caller, name in ((looker, "pay"), (payer, "balance"), (payer, "connect")):
            assert (await refusal(ask(caller, name, {}, "k"))).reason is Reason.NOT_PERMITTED


# ---------------------------------------------------------------- the table


def test_the_right_of_a_row_fits_the_role_that_its_handler_is_given() -> None:
    roles = {
        Read: (Reading, Right.READ, True),
        Ask: (Asking, Right.READ, False),
        Sign: (Asking, Right.MANAGE, False),
        Speak: (Speaking, Right.MANAGE, False),
        Receive: (Receiving, Right.RECEIVE, False),
        Spend: (Spending, Right.SPEND, False),
        Manage: (Managing, Right.MANAGE, False),
        Operate: (Operating, Right.MANAGE, False),
        Foresee: (Foreseeing, Right.SPEND, False),
        Judge: (Deciding, Right.MANAGE, False),
    }
    for spec in all_commands().values():
        role, right, offline = roles[type(spec)]
        assert get_type_hints(spec.handler)["desk"] is role, spec.name
        assert (spec.right, spec.offline) == (right, offline)
        assert get_type_hints(spec.handler)["call" if "call" in _names(spec.handler) else "_call"] is Call


def _names(handler: Callable[..., object]) -> list[str]:
    return list(inspect.signature(handler).parameters)


def test_a_door_cannot_leave_the_caller_out(office: Office) -> None:
    _, caller, *_ = inspect.signature(OwnerCommands.run).parameters.values()
    assert (caller.name, caller.default) == ("caller", inspect.Parameter.empty)
    assert get_type_hints(OwnerCommands.run)["caller"] is Grant
    run: Callable[..., object] = OwnerCommands(office.desk, all_commands()).run
    with pytest.raises(TypeError, match="caller"):
        run(name="balance", params={})
