from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest

from kitestring.relay import line, listener
from kitestring.relay.limits import RelayLimits
from kitestring.relay.listener import RESERVED_DESCRIPTORS, affordable_connections
from kitestring.relay.server import Relay
from tests.kit.relay.client import FOR_BOB, FOR_CAROL, client, new_relay
from tests.kit.transport.relays import note, within


@asynccontextmanager
async def silent(relay: Relay) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection that asks for nothing by itself."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(relay.url.rpartition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def ended(reader: asyncio.StreamReader) -> bytes:
    try:
        rest: bytes = await within(reader.read())
    except ConnectionResetError:
        return b""
    return rest


async def refused(relay: Relay) -> bool:
    try:
        async with client(relay):
            return False
    except (aiohttp.ClientError, OSError):
        return True


async def test_where_everybody_has_a_reason_to_be_there_a_newcomer_is_reset_until_somebody_leaves() -> None:
    async with new_relay(limits=RelayLimits(max_connections=2)) as relay:
        async with client(relay) as one, client(relay) as two:
            for each in (one, two):
                await each.ask("in", FOR_CAROL)
            assert await refused(relay)
            assert await one.publish(note()) == [True, ""]
        async with asyncio.timeout(20):
            while await refused(relay):  # until the relay has heard that both are gone
                pass


async def test_silent_connections_of_whatever_state_give_way_to_newcomers_the_longest_silent_first() -> None:
    async with new_relay(limits=RelayLimits(max_connections=3)) as relay, client(relay) as app, client(relay) as idle:
        await app.ask("in", FOR_BOB)
        async with silent(relay) as (reader, _), client(relay) as newcomer:
            await idle.closed()
            assert await newcomer.publish(note()) == [True, ""]
            async with client(relay) as next_one:
                assert await ended(reader) == b""
                assert await next_one.publish(note(content="2")) == [True, ""]
            assert (await app.receive())[0] == "EVENT"


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: relay\r\nX-Slow: "], ids=["nothing", "half"])
async def test_a_connection_without_a_complete_request_is_closed(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(line, "REQUEST_TIMEOUT_S", 0.05)
    async with new_relay() as relay, client(relay) as served, silent(relay) as (reader, writer):
        writer.write(sent)
        assert await ended(reader) == b""
        assert await served.publish(note()) == [True, ""]


async def test_a_plain_http_answer_is_the_last_of_its_connection() -> None:
    async with new_relay() as relay, silent(relay) as (reader, writer):
        writer.write(b"GET /nowhere HTTP/1.1\r\nHost: relay\r\n\r\n" * 100)
        assert (await ended(reader)).count(b"HTTP/1.1 404") == 1


async def test_without_descriptors_the_relay_pauses_and_then_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals, noticed = 0, asyncio.Event()

    def exhausted(_: socket.socket) -> None:
        nonlocal refusals
        refusals += 1
        noticed.set()
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(listener, "ACCEPT_PAUSE_S", 0.2)
    async with new_relay() as relay:
        with monkeypatch.context() as poor:
            poor.setattr(socket.socket, "accept", exhausted)
            async with silent(relay):
                await within(noticed.wait())
                for _ in range(20):
                    await asyncio.sleep(0)
                assert refusals == 1
        async with client(relay) as late:
            assert await late.publish(note()) == [True, ""]


def test_connections_never_get_the_descriptors_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    in_use = len(os.listdir("/dev/fd"))  # noqa: PTH208 - names are enough
    monkeypatch.setattr(resource, "getrlimit", lambda _: (in_use + 1_024, 4_096))
    assert 1 < affordable_connections(4_000) <= 1_024 - RESERVED_DESCRIPTORS
    assert affordable_connections(10) == 10
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    assert affordable_connections(4_000) == 1
