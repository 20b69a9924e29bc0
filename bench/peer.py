"""The other end of the socket: a relay that hands prepared requests to the service and takes what it publishes.

It checks nothing while the clock runs: answers are kept as they came and read afterwards. Of info events it keeps the
newest per author and shows it to whoever asks for it, because a new connection is read back before it is handed out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from aiohttp import WSMsgType, web

from kitestring.nostr.kinds import DEBIT, NWC_INFO, NWC_RESPONSE, OFFER
from kitestring.transport.changes import Changes
from kitestring.transport.clock import SystemClock

IN_FLIGHT: Final = 64
#: Seconds for one round, and for whatever else is waited for; more means the service has stopped answering.
ROUND_S: Final = 90.0
#: A frame is ``["EVENT",`` + event + ``]``.
_EVENT: Final = slice(9, -1)


class _Head(msgspec.Struct):
    id: str
    kind: int
    pubkey: str


class _Published(msgspec.Struct, array_like=True):
    label: str
    event: _Head


class _Filter(msgspec.Struct):
    recipients: list[str] = msgspec.field(default_factory=list, name="#p")
    authors: list[str] = msgspec.field(default_factory=list)
    kinds: list[int] = msgspec.field(default_factory=list)


class _Asked(msgspec.Struct, array_like=True):
    label: str
    subscription_id: str
    filter: _Filter


_head: Final = msgspec.json.Decoder(_Published).decode
_asked: Final = msgspec.json.Decoder(_Asked).decode


class Peer:
    """``info`` are info events by author, as JSON; ``info_taken`` counts all that came. ``requests`` is the number of
    REQs that requests are delivered by. One that ``wants_auth`` serves a REQ when all of its keys have said who they
    are."""

    def __init__(self, *, wants_auth: bool = False) -> None:
        self.url = ""
        self.info: Final[dict[str, bytes]] = {}
        self.info_taken = 0
        self._wants_auth: Final = wants_auth
        self._known: Final[set[str]] = set()
        self._subscriptions: Final[dict[str, str]] = {}
        self._readers: Final[dict[str, bytes]] = {}  # of info events, by author: the REQ that asks for them
        self._socket: web.WebSocketResponse[bool] | None = None
        self._next: Iterator[bytes] = iter(())
        self._expected = 0
        self._answers: list[bytes] = []
        self._complete: Final = asyncio.Event()
        self._changes: Final = Changes(SystemClock())

    async def serve(self, request: web.Request) -> web.StreamResponse:
        socket: web.WebSocketResponse[bool] = web.WebSocketResponse(decode_text=False, compress=False)
        await socket.prepare(request)
        self._socket = socket
        if self._wants_auth:
            await socket.send_frame(b'["AUTH","who are you"]', WSMsgType.TEXT)
        async for message in socket:
            data: bytes = message.data
            if data.startswith(b'["EVENT"'):
                await self._take(socket, data)
            elif data.startswith(b'["REQ"'):
                await self._listen(socket, _asked(data))
            elif data.startswith(b'["AUTH"'):
                await self._know(socket, _head(data).event)
        return socket

    async def _know(self, socket: web.WebSocketResponse[bool], auth: _Head) -> None:
        self._known.add(auth.pubkey)
        await socket.send_frame(b'["OK","' + auth.id.encode() + b'",true,""]', WSMsgType.TEXT)

    async def _listen(self, socket: web.WebSocketResponse[bool], asked: _Asked) -> None:
        name = asked.subscription_id.encode()
        if self._wants_auth and not self._known.issuperset((*asked.filter.recipients, *asked.filter.authors)):
            await socket.send_frame(b'["CLOSED","' + name + b'","auth-required: who are you"]', WSMsgType.TEXT)
            return
        for author in asked.filter.authors if NWC_INFO in asked.filter.kinds else ():
            self._readers[author] = name
            if author in self.info:
                await socket.send_frame(b'["EVENT","' + name + b'",' + self.info[author] + b"]", WSMsgType.TEXT)
        await socket.send_frame(b'["EOSE","' + name + b'"]', WSMsgType.TEXT)
        self._subscriptions.update(dict.fromkeys(asked.filter.recipients, asked.subscription_id))
        self._changes.notify()

    async def _take(self, socket: web.WebSocketResponse[bool], data: bytes) -> None:
        head = _head(data).event
        await socket.send_frame(b'["OK","' + head.id.encode() + b'",true,""]', WSMsgType.TEXT)
        if head.kind in {NWC_RESPONSE, OFFER, DEBIT}:
            await self._take_answer(socket, data)
        elif head.kind == NWC_INFO:
            self.info[head.pubkey] = data[_EVENT]
            self.info_taken += 1
            self._changes.notify()
            if head.pubkey in self._readers:  # that may be closed by now: then it is passed over
                frame = b'["EVENT","' + self._readers[head.pubkey] + b'",' + data[_EVENT] + b"]"
                await socket.send_frame(frame, WSMsgType.TEXT)

    async def _take_answer(self, socket: web.WebSocketResponse[bool], data: bytes) -> None:
        self._answers.append(data[_EVENT])
        following = next(self._next, None)
        if following is not None:
            await socket.send_frame(following, WSMsgType.TEXT)
        if len(self._answers) == self._expected:
            self._complete.set()

    # ------------------------------------------------------------ what the bench asks

    def subscription(self, key: str) -> str:
        """The id of the REQ by which the service listens for events to ``key``."""
        return self._subscriptions[key]

    async def listened_for(self, keys: Collection[str]) -> None:
        """Wait until the service listens for events to all of them."""
        wanted = set(keys)
        await self._until(lambda: self._subscriptions.keys() >= wanted, "the service does not listen for every key")

    async def listens_for(self, number: int) -> None:
        """Wait until the service listens for events to so many keys."""
        await self._until(lambda: len(self._subscriptions) >= number, f"the service does not listen for {number} keys")

    @property
    def requests(self) -> int:
        return len(set(self._subscriptions.values()))

    async def has_info(self, authors: Collection[str]) -> None:
        """Wait until there is an info event of each of them."""
        wanted = set(authors)
        await self._until(lambda: self.info.keys() >= wanted, "not every connection is announced")

    async def has_taken_info(self, number: int) -> None:
        """Wait until so many info events have come."""
        await self._until(lambda: self.info_taken >= number, f"there are no {number} info events")

    async def _until(self, is_so: Callable[[], bool], complaint: str) -> None:
        if not await self._changes.until(is_so, ROUND_S):
            raise AssertionError(f"{complaint} after {ROUND_S} s")

    async def round(self, frames: list[bytes], in_flight: int) -> list[bytes]:
        """Send all of them, so many in flight; the events that answer, when as many are there."""
        assert self._socket is not None
        self._next, self._expected, self._answers = iter(frames), len(frames), []
        self._complete.clear()
        for _ in range(in_flight):
            frame = next(self._next, None)
            if frame is not None:
                await self._socket.send_frame(frame, WSMsgType.TEXT)
        try:
            await asyncio.wait_for(self._complete.wait(), ROUND_S)
        except TimeoutError:
            left = len(frames) - len(self._answers)
            raise AssertionError(f"{left} of {len(frames)} requests are unanswered after {ROUND_S} s") from None
        return self._answers


@asynccontextmanager
async def peer(*, wants_auth: bool = False) -> AsyncIterator[Peer]:
    relay = Peer(wants_auth=wants_auth)
    app = web.Application()
    app.router.add_get("/", relay.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    relay.url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield relay
    finally:
        await runner.cleanup()
