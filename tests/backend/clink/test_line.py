"""The line to a service: who is heard, for how long, and what is known to have been sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kitestring.backend.clink.line import MAX_REPLIES, ServiceLine
from kitestring.base.node import NodeUnreachableError
from kitestring.client.net import Net
from kitestring.client.session import Dialog
from kitestring.nostr.event import encode_event
from kitestring.wire.ask.offers import decode_reply
from tests.kit.backend.clink import WAITS
from tests.kit.chance import entropy
from tests.kit.client.hostile import CLIENT, CLOCK, SERVICE, HostileRelay, hostile_relay
from tests.kit.waiting import until


def to(*relays: str) -> ServiceLine:
    return ServiceLine(Dialog.offers(CLIENT, SERVICE.public_hex), relays, Net(CLOCK, entropy, waits=WAITS))


@asynccontextmanager
async def spoken_to(**options: object) -> AsyncIterator[tuple[ServiceLine, HostileRelay]]:
    async with hostile_relay(lambda _: [], **options) as relay:
        line = to(relay.url)
        await line.open()
        await line.reached()
        try:
            yield line, relay
        finally:
            await line.close()


async def test_every_reply_to_a_request_is_heard_once_until_it_is_forgotten() -> None:
    heard: list[str] = []
    async with spoken_to() as (line, relay):
        request = line.request("{}")
        line.follow(request.id, heard.append)
        line.send(request)
        await until(lambda: bool(relay.requests), pause_s=0.01)
        answers = [relay.requests[0].reply(f'{{"n":{number}}}') for number in range(3)]
        for event in (answers[0], answers[0], answers[1]):
            await relay.deliver([event])
        await until(lambda: len(heard) == 2, pause_s=0.01)
        line.forget(request.id)
        await relay.deliver([answers[2]])
        await line.reached()
        assert heard == ['{"n":0}', '{"n":1}']


async def test_what_cannot_be_read_ends_nothing() -> None:
    heard: list[object] = []
    async with spoken_to() as (line, relay):
        request = line.request("{}")
        line.follow(request.id, lambda text: heard.append(decode_reply(text)))
        line.send(encode_event(request))
        await until(lambda: bool(relay.requests), pause_s=0.01)
        (asked,) = relay.requests
        await relay.deliver([asked.reply("{"), asked.reply({}, content="AAAA"), asked.reply({"bolt11": "lnbc1"})])
        await until(lambda: len(heard) == 1, pause_s=0.01)


async def test_a_service_that_says_too_much_at_once_is_heard_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may answer the same request for weeks, and the last of its words may be the receipt."""
    heard: list[str] = []
    time_s = CLOCK.monotonic()
    monkeypatch.setattr(CLOCK, "monotonic", lambda: time_s)
    async with spoken_to() as (line, relay):
        request = line.request("{}")
        line.follow(request.id, heard.append)
        line.send(request)
        await until(lambda: bool(relay.requests), pause_s=0.01)
        (asked,) = relay.requests
        await relay.deliver([asked.reply(f'{{"n":{number}}}') for number in range(MAX_REPLIES + 5)])
        await until(lambda: len(heard) == MAX_REPLIES, pause_s=0.01)
        await relay.deliver([asked.reply('{"n":"too many"}')])
        await line.reached()
        assert len(heard) == MAX_REPLIES
        time_s += 60
        await relay.deliver([asked.reply('{"n":"receipt"}')])
        await until(lambda: '{"n":"receipt"}' in heard, pause_s=0.01)


async def test_what_could_not_be_written_down_is_heard_when_it_comes_again(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    def full_at_first(text: str) -> None:
        heard.append(text)
        if len(heard) == 1:
            raise OSError("no space left")

    async with spoken_to() as (line, relay):
        request = line.request("{}")
        line.follow(request.id, full_at_first)
        line.send(request)
        await until(lambda: bool(relay.requests), pause_s=0.01)
        receipt = relay.requests[0].reply('{"n":0}')
        for _ in range(3):
            await relay.deliver([receipt])
        await relay.deliver([relay.requests[0].reply('{"n":1}')])
        await until(lambda: heard[-1:] == ['{"n":1}'], pause_s=0.01)
        assert heard == ['{"n":0}', '{"n":0}', '{"n":1}']
    assert "no space left" in caplog.text


async def test_the_relay_is_asked_for_what_is_said_to_us_before_all_that_a_shared_service_says() -> None:
    async with spoken_to() as (_, relay):
        asked = [frame[2:] for frame in relay.log if frame[0] == "REQ"]
        assert [set(each) & {"#p", "authors"} for (each,) in asked] == [{"#p", "authors"}]
    async with spoken_to(refuses_req=lambda each: "unsupported: #p" if "#p" in each else "") as (line, relay):
        await until(lambda: len([frame for frame in relay.log if frame[0] == "REQ"]) > 2, pause_s=0.01)
        await line.reached()
        assert relay.log[-1][2]["authors"] == [SERVICE.public_hex]


async def test_nothing_can_be_said_before_it_is_open_and_after_it_is_closed() -> None:
    async with spoken_to() as (line, _):
        request = line.request("{}")
        await line.open()  # a second time does nothing
        await line.close()
        for _ in range(2):
            await line.close()
            with pytest.raises(NodeUnreachableError):
                await line.reached()
            with pytest.raises(NodeUnreachableError):
                line.send(request)
            with pytest.raises(NodeUnreachableError):
                line.request("{}")
        line.forget(request.id)
        assert line.connected() == frozenset()


async def test_without_a_relay_nothing_was_sent() -> None:
    line = to("ws://127.0.0.1:1")
    await line.open()
    with pytest.raises(NodeUnreachableError, match="no relay can be reached"):
        await line.reached()
    await line.close()


async def test_it_is_told_which_relay_is_back() -> None:
    async with spoken_to() as (line, relay):
        known: set[str] = set()
        assert await line.until_back(known, 5) == {relay.url}
        known.add(relay.url)
        waiting = asyncio.create_task(line.until_back(known, 20))
        await line.reached()
        await relay.hang_up()
        assert await waiting == {relay.url}
        known.add(relay.url)
        assert await line.until_back(known, 0.05) == frozenset()
