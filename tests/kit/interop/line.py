"""One connection to a relay, frame by frame, that keeps all the relay says and how it ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, encode_event
from kitestring.nostr.relay import auth_event
from kitestring.transport.clock import SystemClock
from tests.kit.chance import entropy

#: What is waited for here takes milliseconds; beyond this it does not come.
LIMIT_S = 10.0
#: Who says nothing for so long has nothing to say.
QUIET_S = 1.5

Frame = list[Any]
Filter = dict[str, Any]


def new_key() -> SecretKey:
    return SecretKey(entropy(32))


class Line:
    """``frames`` are the relay's, in their order; ``ended`` says how the connection ended, "" while it stands."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, url: str) -> None:
        self.frames: list[Frame] = []
        self.pings = 0
        self.pongs = 0
        self.ended = ""
        self._socket = socket
        self._url = url
        self._news = asyncio.Condition()

    async def listen(self) -> None:
        while not self.ended:
            message = await self._socket.receive()
            async with self._news:
                await self._take(message)
                self._news.notify_all()

    async def _take(self, message: aiohttp.WSMessage) -> None:
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                self.frames.append(json.loads(message.data))
            case aiohttp.WSMsgType.PING:
                self.pings += 1
                await self._socket.pong(message.data)
            case aiohttp.WSMsgType.PONG:
                self.pongs += 1
            case _:
                self.ended = f"closes with {self._socket.close_code}"

    # ------------------------------------------------------------ speaking

    async def say(self, *frame: object) -> None:
        await self._socket.send_str(json.dumps(frame))

    async def publish(self, *events: Event) -> None:
        for event in events:
            await self._socket.send_str(f'["EVENT",{encode_event(event).decode()}]')

    async def ping(self) -> None:
        await self._socket.ping()

    async def authenticate(self, key: SecretKey) -> None:
        """Answer the challenge, which a REQ calls forth where it has not come by itself."""
        await self.say("REQ", "who", {"kinds": [1], "limit": 1})
        assert await self.until(lambda: bool(self.of("AUTH")))
        event = auth_event(key, self._url, self.of("AUTH")[-1][1], SystemClock().now())
        await self._socket.send_str(f'["AUTH",{encode_event(event).decode()}]')
        assert (await self.answer(event.id)) == ["OK", event.id, True, ""]

    async def ask(self, name: str, *filters: Filter) -> None:
        """Subscribe; returns when the relay has answered, whatever it has."""
        await self.say("REQ", name, *filters)
        await self.until(lambda: bool(self.of("EOSE", name) or self.of("CLOSED", name) or self.of("NOTICE")))

    # ------------------------------------------------------------ hearing

    async def until(self, holds: Callable[[], bool], limit_s: float = LIMIT_S) -> bool:
        """Whether it holds before the limit, and before the connection ends."""
        try:
            async with asyncio.timeout(limit_s), self._news:
                await self._news.wait_for(lambda: holds() or bool(self.ended))
        except TimeoutError:
            return False
        return holds()

    def of(self, label: str, about: str = "") -> list[Frame]:
        return [frame for frame in self.frames if frame[0] == label and about in ("", frame[1])]

    async def answer(self, event_id: str, limit_s: float = LIMIT_S) -> Frame | None:
        """Its OK to this event."""
        await self.until(lambda: bool(self.of("OK", event_id)), limit_s)
        return next(iter(self.of("OK", event_id)), None)

    def heard(self, name: str) -> list[str]:
        """The ids of the events of a subscription."""
        return [frame[2]["id"] for frame in self.of("EVENT", name)]


@asynccontextmanager
async def line_to(url: str, key: SecretKey | None = None) -> AsyncIterator[Line]:
    """A connection; with a key it is authenticated first."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, max_msg_size=0, autoping=False) as socket,
    ):
        line = Line(socket, url)
        listening = asyncio.create_task(line.listen())
        try:
            if key is not None:
                await line.authenticate(key)
            yield line
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def quiet(*lines: Line, enough: Callable[[], bool] = lambda: False) -> None:
    """Wait until enough has come, or none of them says anything for a while."""
    while not enough():
        before = [len(line.frames) for line in lines]
        await asyncio.wait([asyncio.create_task(_more(line, seen)) for line, seen in zip(lines, before, strict=True)])
        if [len(line.frames) for line in lines] == before:
            return


async def _more(line: Line, seen: int) -> bool:
    return await line.until(lambda: len(line.frames) > seen, QUIET_S)


def words(frames: Sequence[Frame]) -> str:
    """What it said about something, as a person reads it; "nothing" where it said nothing."""
    return "; ".join(dict.fromkeys(_said(frame) for frame in frames)) or "nothing"


def _said(frame: Frame) -> str:
    match frame:
        case ["OK", _, bool(accepted), *rest]:
            text = str(rest[0]) if rest and rest[0] else ""
            return f"OK {str(accepted).lower()}" + (f" “{text}”" if text else "")
        case ["CLOSED", _, *rest]:
            return f"CLOSED “{rest[0] if rest else ''}”"
        case ["NOTICE", text]:
            return f"NOTICE “{text}”"
        case _:
            return str(frame[0])
