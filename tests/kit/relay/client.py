"""A client that speaks to the embedded relay frame by frame."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from kitestring.nostr.event import Event, encode_event
from kitestring.relay.limits import RelayLimits
from kitestring.relay.server import Relay
from kitestring.relay.vouched import VouchedKeys
from tests.kit.chance import entropy
from tests.kit.clock import ManualClock
from tests.kit.transport.relays import BOB, CAROL, within

FOR_BOB = {"kinds": [21001], "#p": [BOB.public_hex]}
FOR_CAROL = {"kinds": [21001], "#p": [CAROL.public_hex]}


class Client:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, *frame: object) -> None:
        await self.socket.send_str(json.dumps(frame))

    async def receive(self) -> list[Any]:
        message = await within(self.socket.receive())
        assert message.type is aiohttp.WSMsgType.TEXT, message
        frame: list[Any] = json.loads(message.data)
        return frame

    async def publish(self, event: Event) -> list[Any]:
        """The relay's OK: accepted and message."""
        await self.socket.send_str(f'["EVENT",{encode_event(event).decode()}]')
        frame = await self.receive()
        assert frame[:2] == ["OK", event.id], frame
        return frame[2:]

    async def ask(self, name: str, *filters: dict[str, Any]) -> list[Event]:
        """Subscribe; the stored events."""
        await self.send("REQ", name, *filters)
        stored: list[Event] = []
        while (frame := await self.receive())[0] == "EVENT":
            assert frame[1] == name
            stored.append(Event(**frame[2]))
        assert frame == ["EOSE", name], frame
        return stored

    async def send_all(self, frames: list[str]) -> None:
        """Publish finished frames and read the answers."""
        for frame in frames:
            await self.socket.send_str(frame)
        for _ in frames:
            assert (await self.receive())[2] is True

    async def contents(self, count: int) -> list[str]:
        """The first words of the next so many events."""
        return [(await self.receive())[2]["content"].split()[0] for _ in range(count)]

    async def closed(self) -> None:
        while (await within(self.socket.receive())).type is aiohttp.WSMsgType.TEXT:
            pass
        assert self.socket.closed


@asynccontextmanager
async def client_of(url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=headers, max_msg_size=0) as socket:
        yield Client(socket)


@asynccontextmanager
async def client(relay: Relay) -> AsyncIterator[Client]:
    async with client_of(relay.url) as one:
        yield one


@asynccontextmanager
async def own_client(relay: Relay) -> AsyncIterator[Client]:
    """The service of the relay's owner."""
    async with client_of(relay.url, relay.own_headers) as one:
        yield one


def new_relay(
    path: Any = None, *, limits: RelayLimits | None = None, auth: bool = False, clock: Any = None,
    own: set[str] | None = None, known: set[str] | None = None,
) -> Relay:  # fmt: skip
    vouched = VouchedKeys(own or set(), known or set())
    return Relay(path, clock=clock or ManualClock(), entropy=entropy, limits=limits, auth=auth, vouched=vouched)


def as_object(event: Event) -> object:
    return msgspec.json.decode(encode_event(event))
