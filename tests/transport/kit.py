"""A clock that the test moves, keys and events, and a relay that plays a script over a real socket."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiohttp import web

from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, encode_event, sign_event
from kitestring.nostr.filter import Filter
from kitestring.transport.subscriptions import FilterSource

T = TypeVar("T")

NOW = 1_760_000_000
ALICE, BOB, CAROL = (SecretKey(bytes([number]) * 32) for number in (1, 2, 3))
#: Seconds of real time after which a wait in a test has failed.
PATIENCE_S = 20


class ManualClock:
    """Time stands still until :meth:`advance`; ``sleeps`` records every duration asked for."""

    def __init__(self, now: int = NOW) -> None:
        self.time = float(now)
        self.sleeps: list[float] = []
        self._sleepers: list[tuple[float, float, asyncio.Future[None]]] = []
        self._changed = asyncio.Condition()

    def now(self) -> int:
        return int(self.time)

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float, /) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        row = (self.time + seconds, seconds, future)
        self.sleeps.append(seconds)
        self._sleepers.append(row)
        async with self._changed:
            self._changed.notify_all()
        try:
            await future
        finally:
            self._sleepers.remove(row)

    def advance(self, seconds: float) -> None:
        self.time += seconds
        for due, _, future in self._sleepers:
            if due <= self.time and not future.done():
                future.set_result(None)

    async def asleep(self, least: float, most: float) -> float:
        """Wait until somebody sleeps for a duration in the range; the duration."""

        def found() -> list[float]:
            return [s for _, s, future in self._sleepers if least <= s <= most and not future.done()]

        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: bool(found()))
        return found()[0]

    async def pass_sleep(self, least: float, most: float) -> float:
        """Let one such sleep end; its duration."""
        seconds = await self.asleep(least, most)
        self.advance(seconds)
        return seconds


class RealClock:
    """Standing wall time, real waits: for foreign parts that live in real time."""

    def __init__(self, now: int) -> None:
        self._now = now

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float, /) -> None:
        await asyncio.sleep(seconds)


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


entropy = os.urandom
