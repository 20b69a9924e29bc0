"""Calls over the socket: what has never reached the service is told from what may have been carried out."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from kitestring.app.doors import unix_client
from kitestring.app.doors.unix_client import ControlClient
from kitestring.app.home.datadir import DataDir
from kitestring.base.errors import Exit, KitestringError, Reason


async def call(home: DataDir, name: str, params: dict[str, Any], key: str = "") -> dict[str, Any]:
    return await asyncio.to_thread(ControlClient(home).call, name, params, key)


def test_without_a_service_it_is_said_how_to_start_one(home: DataDir) -> None:
    client = ControlClient(home)
    assert not client.is_running()
    with pytest.raises(KitestringError, match=r"no service is running on .*: start it with `kitestring up`") as caught:
        client.call("balance", {})
    assert caught.value.exit_code is Exit.UNAVAILABLE
    home.bind_control().close()  # a socket that nobody listens on any more
    with pytest.raises(KitestringError, match="no service is running"):
        client.call("balance", {})


@pytest.mark.parametrize(
    ("name", "key", "reason", "exit_code"),
    [
        ("pay", "order-17", Reason.PAYMENT_IN_FLIGHT, Exit.PENDING),
        ("keysend", "order-17", Reason.PAYMENT_IN_FLIGHT, Exit.PENDING),
        ("connect", "k", Reason.INTERNAL, Exit.INTERNAL),
        ("transactions", "", Reason.UNAVAILABLE, Exit.UNAVAILABLE),
    ],
)
@pytest.mark.parametrize("said", [b"", b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"ok":'], ids=["nothing", "half"])
async def test_a_service_that_dies_after_it_was_given_a_command_may_have_carried_it_out(
    home: DataDir, name: str, key: str, reason: Reason, exit_code: Exit, said: bytes
) -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(said)
        writer.close()

    async with await asyncio.start_unix_server(die, sock=home.bind_control()):
        with pytest.raises(KitestringError) as caught:
            await call(home, name, {"target": "x"}, key)
    home.release_control()
    assert (caught.value.reason, caught.value.exit_code) == (reason, exit_code)


async def test_without_a_service_nothing_was_sent(home: DataDir) -> None:
    with pytest.raises(KitestringError, match="no service is running"):
        await call(home, "pay", {"target": "x"}, "k")
    home.bind_control().close()
    with pytest.raises(KitestringError, match="no service is running") as caught:
        await call(home, "pay", {"target": "x"}, "k")
    assert caught.value.exit_code is Exit.UNAVAILABLE


async def answering(home: DataDir, body: bytes, name: str = "balance", key: str = "") -> dict[str, Any]:
    """Call a service that answers with these bytes, whatever it is asked."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(say, sock=home.bind_control()):
        try:
            return await call(home, name, {}, key)
        finally:
            home.release_control()


async def test_a_result_comes_as_it_is_and_a_refusal_with_reason_message_and_details(home: DataDir) -> None:
    assert await answering(home, b'{"ok": true, "result": {"balance_msat": 7}}') == {"balance_msat": 7}
    refused = {"ok": False, "reason": "over_budget", "message": "too much", "details": {"remaining_msat": 5}}
    with pytest.raises(KitestringError, match=r"^too much$") as caught:
        await answering(home, json.dumps(refused).encode())
    assert (caught.value.reason, caught.value.details) == (Reason.OVER_BUDGET, {"remaining_msat": 5})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"ok": true}',
        b'{"ok": false}',
        b"<html>",
        b'{"ok": false, "reason": "of tomorrow", "message": "", "details": {}}',
        b'{"ok": false, "reason": "busy", "message": "", "details": 5}',
    ],
)
async def test_an_answer_that_is_none_is_a_fault_of_the_service(home: DataDir, body: bytes) -> None:
    with pytest.raises(KitestringError, match="its log says why") as caught:
        await answering(home, body)
    assert caught.value.reason is Reason.INTERNAL


async def test_an_answer_without_end_is_not_read_to_its_end(home: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unix_client, "MAX_ANSWER_BYTES", 100)
    with pytest.raises(KitestringError, match="went away") as caught:
        await answering(home, b'{"ok": true, "result": {"x": "' + b"x" * 200 + b'"}}', "pay", "k")
    assert caught.value.reason is Reason.PAYMENT_IN_FLIGHT


async def test_a_service_that_does_not_answer_in_time_may_still_do_it(
    home: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unix_client, "TIMEOUT_S", 0.05)
    over, gone = asyncio.Event(), asyncio.Event()

    async def wait(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()
        await writer.wait_closed()
        gone.set()

    async with await asyncio.start_unix_server(wait, sock=home.bind_control()):
        with pytest.raises(KitestringError, match="has not answered yet") as caught:
            await call(home, "pay", {"target": "x"}, "k")
        over.set()
        await gone.wait()
    home.release_control()
    assert caught.value.reason is Reason.PAYMENT_IN_FLIGHT


@pytest.mark.parametrize(
    ("error", "words", "reason"),
    [
        (PermissionError("not yours"), "belongs to another user", Reason.NOT_PERMITTED),
        (BlockingIOError("busy"), "takes no commands now: try again", Reason.UNAVAILABLE),
    ],
)
def test_a_socket_that_cannot_be_opened_was_given_nothing(
    home: DataDir, error: OSError, words: str, reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise error

    monkeypatch.setattr(unix_client._UnixConnection, "connect", refuse)
    with pytest.raises(KitestringError, match=words) as caught:
        ControlClient(home).call("pay", {"target": "x"}, "k")
    assert caught.value.reason is reason


async def test_somebody_who_listens_is_a_running_service(home: DataDir) -> None:
    async with await asyncio.start_unix_server(lambda *_: None, sock=home.bind_control()):
        assert ControlClient(home).is_running()
    home.release_control()
    assert not ControlClient(home).is_running()
