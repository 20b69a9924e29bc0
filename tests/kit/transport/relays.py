"""Keys and events, and a relay that plays a script over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiohttp import web

from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, encode_event, sign_event
from kitestring.nostr.filter import Filter
from kitestring.transport.relays import RelayPool
from kitestring.transport.subscriptions import FilterSource
from tests.kit.chance import entropy
from tests.kit.clock import NOW, PATIENCE_S, ManualClock

T = TypeVar("T")

ALICE, BOB, CAROL = (SecretKey(bytes([number]) * 32) for number in (1, 2, 3))


def note(
    key: SecretKey = ALICE, to: SecretKey = BOB, content: str = "hello", kind: int = 21001, at: int = NOW,
    tags: Sequence[list[str]] = (),
) -> Event:  # fmt: skip
    return sign_event(key, kind=kind, tags=[["p", to.public_hex], *tags], content=content, created_at=at)


def to_keys(*kinds: int) -> FilterSource:
    """Filters for events of these kinds that name the subscription's keys."""
    return lambda keys: [Filter(kinds=set(kinds or (21001,)), tags={"p": set(keys)})]


class Inbox:
    """Collects what a subscription hears."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event] = asyncio.Queue()

    def __call__(self, event: Event, url: str) -> None:
        self.queue.put_nowait(event)

    async def next(self) -> Event:
        return await within(self.queue.get())


async def within(wait: Awaitable[T]) -> T:
    async with asyncio.timeout(PATIENCE_S):
        return await wait


class Caller:
    """One client's connection as a scripted relay sees it."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket

    async def receive(self) -> list[Any]:
        message = await within(self.socket.receive())
        assert message.type is web.WSMsgType.TEXT, message
        frame: list[Any] = json.loads(message.data)
        return frame

    async def expect(self, label: str) -> list[Any]:
        frame = await self.receive()
        assert frame[0] == label, frame
        return frame

    async def send(self, *frame: object) -> None:
        await self.socket.send_str(json.dumps(frame))

    async def deliver(self, subscription_id: str, event: Event) -> None:
        await self.socket.send_str(f'["EVENT",{json.dumps(subscription_id)},{encode_event(event).decode()}]')

    async def until_gone(self) -> None:
        while not self.socket.closed:
            await within(self.socket.receive())


class ScriptedRelay:
    """Hands every connection to the test; it stays open until the test calls ``release`` or the client leaves."""

    def __init__(self) -> None:
        self.url = ""
        self.callers: asyncio.Queue[Caller] = asyncio.Queue()
        self._over = asyncio.Event()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self.callers.put_nowait(Caller(socket))
        await self._over.wait()
        return socket

    def stop(self) -> None:
        self._over.set()

    async def caller(self) -> Caller:
        caller: Caller = await within(self.callers.get())
        return caller


@asynccontextmanager
async def served(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """An HTTP server with one handler; gives host and port."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def scripted_relay() -> AsyncIterator[ScriptedRelay]:
    relay = ScriptedRelay()
    async with served(relay.serve) as address:
        relay.url = f"ws://{address}"
        try:
            yield relay
        finally:
            relay.stop()


@asynccontextmanager
async def scene(
    *, signers: dict[str, SecretKey] | None = None
) -> AsyncIterator[tuple[ScriptedRelay, RelayPool, ManualClock]]:
    clock = ManualClock()
    async with (
        scripted_relay() as relay,
        RelayPool([relay.url], clock=clock, entropy=entropy, signers=signers) as pool,
    ):
        yield relay, pool, clock


def publishing(pool: RelayPool, event: Event, **options: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(pool.publish(event, **options))
