"""The first door: HTTP on a real Unix socket, in front of a desk without a service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from kitestring.app.doors import unix as control_server
from kitestring.app.doors.unix import MAX_BODY_BYTES, ControlServer
from kitestring.app.doors.unix_client import ControlClient
from kitestring.app.home.datadir import DataDir
from kitestring.app.owner.table import TABLE, VERSION
from kitestring.base.budgets import Budget
from kitestring.base.errors import Exit, KitestringError, Reason
from kitestring.base.money import Msat
from tests.kit.app.desk import Office
from tests.kit.engine.node import Script


@pytest.fixture
async def desk(home: DataDir, office: Office) -> AsyncIterator[Office]:
    """Behind an open door."""
    server = ControlServer(office.commands, home.bind_control())
    await server.start()
    yield office
    await server.stop()
    home.release_control()


async def call(home: DataDir, name: str, params: dict[str, Any], key: str = "") -> dict[str, Any]:
    return await asyncio.to_thread(ControlClient(home).call, name, params, key)


async def raw(home: DataDir, method: str, path: str, data: bytes = b"", key: str = "k") -> tuple[int, dict[str, Any]]:
    connector = aiohttp.UnixConnector(str(home.control_path()))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, f"http://x{path}", data=data, headers={"Idempotency-Key": key}) as answer,
    ):
        return answer.status, json.loads(await answer.read())


async def test_typed_values_go_in_and_come_out(home: DataDir, desk: Office) -> None:
    target = desk.node.outside_bolt11(50_000, Script(fee=1_005))
    result = await call(home, "pay", {"target": target}, "k1")
    assert (result["amount_msat"], result["fee_msat"]) == (50_000, 1_005)
    assert all(type(value) in {int, str, bool} for value in result.values())


async def test_a_refusal_comes_out_as_it_went_in(home: DataDir, desk: Office) -> None:
    await desk.set_owner(budgets=(Budget.total(Msat(5_000)),))
    asked = {"target": desk.node.outside_bolt11()}
    with pytest.raises(KitestringError) as caught:
        await call(home, "pay", asked, "k1")
    message, details = caught.value.message, caught.value.details
    assert (caught.value.exit_code, details["limit_msat"]) == (Exit.REFUSED, 5_000)
    assert await raw(home, "POST", "/v1/commands/pay", json.dumps(asked).encode()) == (
        403, {"ok": False, "reason": "over_budget", "message": message, "details": details},
    )  # fmt: skip


async def test_the_door_tells_its_version_and_commands(home: DataDir, desk: Office) -> None:
    status, body = await raw(home, "GET", "/v1")
    assert (status, body["result"]["version"]) == (200, VERSION)
    assert [command["name"] for command in body["result"]["commands"]] == [row.name for row in TABLE]


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "word"),
    [
        ("GET", "/v2", b"", 400, "version 1"),
        ("GET", "/v1/commands/balance", b"", 400, "version 1"),
        ("POST", "/v1/commands/fly", b"{}", 400, "fly"),
        ("POST", "/v1/commands/balance", b"[]", 400, "not a JSON object"),
        ("POST", "/v1/commands/balance", b"{", 400, "not valid JSON"),
        ("POST", "/v1/commands/balance", b"\xff", 400, "cannot be read"),
        ("POST", "/v1/commands/revoke", b'{"name":"a","name":"b"}', 400, "twice"),
        ("POST", "/v1/commands/invoice", b'{"amount_msat":1e3}', 400, "whole number"),
        ("POST", "/v1/commands/balance", b'{"x":' + b"[" * 50 + b"]" * 50 + b"}", 400, "deeper"),
        ("POST", "/v1/commands/balance", b" " * (MAX_BODY_BYTES + 1), 400, "at most"),
    ],
)
async def test_bad_input_gets_one_typed_answer(
    home: DataDir, desk: Office, method: str, path: str, data: bytes, status: int, word: str
) -> None:
    found, body = await raw(home, method, path, data)
    assert (found, body["ok"]) == (status, False)
    assert word in body["message"]
    assert (await call(home, "connections", {}))["connections"] == []


async def test_a_mutating_command_without_a_key_is_refused(home: DataDir, desk: Office) -> None:
    _, body = await raw(home, "POST", "/v1/commands/connect", b'{"name":"alice"}', key="")
    assert "idempotency key" in body["message"]
    assert desk.store.applied == []


async def test_another_user_is_refused(home: DataDir, desk: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_server, "peer_uid", lambda _: 4242)
    with pytest.raises(KitestringError) as caught:
        await call(home, "connections", {})
    assert caught.value.reason is Reason.NOT_PERMITTED


async def test_a_fault_of_a_handler_is_told_without_its_text(
    home: DataDir, desk: Office, caplog: pytest.LogCaptureFixture
) -> None:
    desk.store.grants = None  # not a method any more
    with pytest.raises(KitestringError, match="its log says why") as caught:
        await call(home, "connections", {})
    assert caught.value.reason is Reason.INTERNAL
    assert "TypeError" in caplog.text


HEAD = b"POST /v1/commands/balance HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"


@pytest.mark.parametrize(("sent", "told"), [(b"", b""), (HEAD[:30], b""), (HEAD + b"{", b"was not complete within")])
async def test_who_never_finishes_a_request_is_not_waited_for(
    home: DataDir, office: Office, monkeypatch: pytest.MonkeyPatch, sent: bytes, told: bytes
) -> None:
    monkeypatch.setattr(control_server, "REQUEST_S", 0.05)
    server = ControlServer(office.commands, home.bind_control())
    await server.start()
    reader, writer = await asyncio.open_unix_connection(home.control_path())
    try:
        writer.write(sent)
        async with asyncio.timeout(20):
            assert told in await reader.read()
    finally:
        writer.close()
        await server.stop()
        home.release_control()
