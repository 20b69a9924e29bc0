"""Real sockets: what is sent in halves or too fast ends a connection or waits, and nobody else notices."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from kitestring.nostr.event import encode_event
from kitestring.relay import inflow
from kitestring.relay.limits import LARGEST_HEADER_BYTES, MAX_HEADERS, RelayLimits
from kitestring.relay.server import Relay
from tests.kit.relay.client import FOR_BOB, client, new_relay
from tests.kit.transport.relays import note
from tests.kit.waiting import until
from tests.relay.test_frames import PING, TEXT, frame
from tests.relay.test_listener import ended, silent

HELLO = (
    b"GET / HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


async def greeted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Open a WebSocket by hand."""
    writer.write(HELLO)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")


async def test_half_sent_messages_are_bounded_together_and_whole_ones_pass() -> None:
    limits = RelayLimits(max_total_received_bytes=300_000)
    async with new_relay(limits=limits) as relay, client(relay) as app, AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(silent(relay)) for _ in range(3)]
        for reader, writer in lines:
            await greeted(reader, writer)
            writer.write(frame(TEXT, b"x" * 130_000)[:-1])
        ends = [asyncio.create_task(ended(reader)) for reader, _ in lines]
        async with asyncio.timeout(20):
            over, left = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        assert (len(over), len(left)) == (1, 2)
        assert await app.publish(note(content="x" * 30_000)) == [True, ""]


async def test_half_a_message_for_too_long_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflow, "MESSAGE_TIMEOUT_S", 0.1)
    async with new_relay() as relay, client(relay) as app, silent(relay) as (reader, writer):
        await greeted(reader, writer)
        writer.write(frame(TEXT, b"x" * 1_000, last=False) + frame(PING, b""))
        await ended(reader)
        assert await app.publish(note()) == [True, ""]


@pytest.mark.parametrize(
    "garbage",
    [
        HELLO.replace(b"Host", b"Bad\x1b\x00"),
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\xfc\r\n\r\n",
        b"GET /" + b"a" * (LARGEST_HEADER_BYTES - 9) + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        HELLO + b"\xff\xff\xff\xff",
    ],
)
async def test_what_is_no_http_leaves_no_line_in_the_log(garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Anybody can send a thousand of them a second, and each was a traceback."""
    async with new_relay() as relay, silent(relay) as (reader, writer):
        writer.write(garbage)
        await ended(reader)
    assert caplog.records == []


async def test_an_error_of_ours_in_a_request_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: object, __: object) -> object:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(Relay, "_get", broken)
    async with new_relay() as relay, silent(relay) as (reader, writer):
        writer.write(HELLO)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 500")
    assert [record.name for record in caplog.records] == ["kitestring.relay.requests"]


async def test_half_a_request_costs_little() -> None:
    async with new_relay() as relay, silent(relay) as (reader, writer):
        header = b"X: " + b"x" * (LARGEST_HEADER_BYTES - 100) + b"\r\n"
        writer.write(HELLO[:-2] + header * (MAX_HEADERS // 2))
        await ended(reader)


async def test_what_is_sent_at_once_is_all_obeyed_although_it_has_to_wait() -> None:
    texts = [f"{number} " + "x" * 60_000 for number in range(30)]
    async with new_relay() as relay, client(relay) as bob, silent(relay) as (reader, writer):
        await bob.ask("in", FOR_BOB)
        await greeted(reader, writer)
        events = [b'["EVENT",' + encode_event(note(content=text)) + b"]" for text in texts]
        writer.write(b"".join(frame(TEXT, event) for event in events))
        assert await bob.contents(30) == [str(number) for number in range(30)]
        assert await reader.readexactly(2)


async def test_a_ping_is_answered_with_its_payload_and_a_pong_not_at_all() -> None:
    async with new_relay() as relay, silent(relay) as (reader, writer):
        await greeted(reader, writer)
        writer.write(frame(10, b"unasked") + frame(PING, b"hello"))
        async with asyncio.timeout(20):
            assert await reader.readexactly(7) == bytes([0x8A, 5]) + b"hello"


async def test_a_connection_that_ends_in_the_middle_leaves_nothing_behind() -> None:
    async with new_relay() as relay:
        async with silent(relay) as (reader, writer):
            await greeted(reader, writer)
            writer.write(frame(TEXT, b"x" * 1_000)[:-1])
            await until(lambda: relay._inflows._begun)
        await until(lambda: not relay._inflows._begun and not relay._sockets)
