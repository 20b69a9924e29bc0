"""The activity over a real Unix socket: live, from a position on, and no reader holds the service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kitestring.app.doors import unix as control_server
from kitestring.app.doors import unix_client
from kitestring.app.doors.unix import ControlServer
from kitestring.app.doors.unix_client import ControlClient
from kitestring.app.home.datadir import DataDir
from kitestring.app.owner.activity import ActivityReaders
from kitestring.base.errors import KitestringError, Reason
from kitestring.engine.feed import Feed
from tests.kit.app.desk import Office
from tests.kit.clock import PATIENCE_S
from tests.kit.waiting import until


@pytest.fixture
async def server(home: DataDir, office: Office, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ControlServer]:
    monkeypatch.setattr(control_server, "SHUTDOWN_S", 999.0)  # no reader is waited for
    looking = ActivityReaders(
        office.store, Feed(office.store, office.rig.clock), office.desk.activity, office.rig.clock
    )
    server = ControlServer(office.commands, home.bind_control(), looking)
    await server.start()
    yield server
    async with asyncio.timeout(PATIENCE_S):
        await server.stop()
    home.release_control()


class Reading:
    """A client in a thread of its own; ``told`` is what it has read, and it stops after ``most``."""

    def __init__(self, home: DataDir, since: str = "", most: int = 999) -> None:
        self.told: list[dict[str, Any]] = []
        self.begun, self.is_over = asyncio.Event(), False
        self._loop = asyncio.get_running_loop()
        self.done = asyncio.create_task(asyncio.to_thread(self._read, home, since, most))

    def _read(self, home: DataDir, since: str, most: int) -> None:
        for one in ControlClient(home).activity(since, lambda: self.is_over or len(self.told) > most):
            self.told.append(one)
            self._loop.call_soon_threadsafe(self.begun.set)


async def test_what_happens_is_told_live_and_goes_on_from_a_position(
    home: DataDir, office: Office, server: ControlServer
) -> None:
    async with asyncio.timeout(PATIENCE_S):
        first = Reading(home, most=1)
        await first.begun.wait()
        await office.run("connect", "k1", name="shop")
        await first.done
        await office.run("connect", "k2", name="bot")
        second = Reading(home, first.told[-1]["position"], most=1)
        await second.done
    begins, made = first.told
    assert (begins, made["connection"]) == ({"event": "begins", "position": "feed:0"}, "shop")
    assert [one.get("connection") for one in second.told] == [None, "bot"]


async def test_readers_end_with_the_service_and_are_told_so(
    home: DataDir, office: Office, server: ControlServer
) -> None:
    reading = Reading(home)
    await reading.begun.wait()
    async with asyncio.timeout(PATIENCE_S):
        await server.stop()
        with pytest.raises(KitestringError, match="has stopped, or does not answer") as caught:
            await reading.done
    assert caught.value.reason is Reason.UNAVAILABLE


async def test_a_reader_that_takes_nothing_is_left_and_holds_nobody_meanwhile(
    home: DataDir, office: Office, server: ControlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_server, "SLOW_READER_S", 0.2)
    _, writer = await asyncio.open_unix_connection(home.control_path(), limit=1)
    writer.write(b"GET /v1/activity?since=feed:0 HTTP/1.0\r\n\r\n")

    async def has_reader() -> bool:
        return bool(server._readers)

    async with asyncio.timeout(PATIENCE_S):
        await until(has_reader)
        while server._readers:
            office.desk.activity.did("x" * 1_000)
            assert (await office.run("balance"))["accounts"] == []
    writer.close()


async def test_a_reader_that_is_gone_is_found_out_without_any_news(
    home: DataDir, server: ControlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_server, "STILL_THERE_S", 0.01)
    reading = Reading(home, most=0)

    async def has_none() -> bool:
        return not server._readers

    async with asyncio.timeout(PATIENCE_S):
        await reading.done
        await until(has_none)


@pytest.mark.parametrize(("since", "sentence"), [("17", "is no position"), ("feed:900", "is ahead of this service")])
async def test_a_position_that_cannot_be_is_refused(
    home: DataDir, server: ControlServer, since: str, sentence: str
) -> None:
    with pytest.raises(KitestringError, match=sentence):
        await Reading(home, since).done


async def test_an_owner_who_may_not_read_is_not_told(home: DataDir, office: Office, server: ControlServer) -> None:
    await office.set_owner(methods=frozenset({"receive"}))
    with pytest.raises(KitestringError) as caught:
        await Reading(home).done
    assert caught.value.reason is Reason.NOT_PERMITTED


async def test_a_service_that_says_nothing_for_long_is_not_waited_for(
    home: DataDir, server: ControlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unix_client, "TIMEOUT_S", 0.05)
    monkeypatch.setattr(unix_client, "LOOK_S", 0.01)
    with pytest.raises(KitestringError, match="does not answer"):
        await Reading(home).done


async def test_a_line_without_end_is_not_read_to_its_end(home: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unix_client, "MAX_LINE_BYTES", 1_000)

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + 10_000 * b"x")
        writer.close()

    async with await asyncio.start_unix_server(babble, sock=home.bind_control()):
        with pytest.raises(KitestringError, match="does not answer"):
            await Reading(home).done
    home.release_control()


async def test_lines_are_put_together_however_they_come(home: DataDir) -> None:
    rows = [{"event": "begins"}, {"event": "é" * 3_000}, {"event": "last"}]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode() + b"\n\n"

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
        for start in range(0, len(text), 700):
            writer.write(text[start : start + 700])
            await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(drip, sock=home.bind_control()):
        reading = Reading(home, most=2)
        await reading.done
    assert reading.told == rows
    home.release_control()
