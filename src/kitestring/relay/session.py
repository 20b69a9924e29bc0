"""One connection to the embedded relay: reads commands, answers them, delivers events through a bounded queue."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Set
from contextlib import suppress
from typing import Final

from aiohttp import ClientError, WSMsgType, web

from kitestring.base.ports import Clock
from kitestring.nostr.relay import (
    Auth,
    Close,
    Command,
    Publish,
    Refused,
    ServerConversation,
    Subscribe,
    closed,
    eose,
    notice,
    ok,
)
from kitestring.relay.hub import Hub, Watch
from kitestring.relay.limits import Limits

Socket = web.WebSocketResponse[bool]


class Session:
    """``abort`` ends the connection at once. A reader that leaves too much unread is cut off and so learns of it."""

    def __init__(
        self, socket: Socket, talk: ServerConversation, hub: Hub, *, limits: Limits, clock: Clock,
        abort: Callable[[], None],
    ) -> None:  # fmt: skip
        self._socket: Final = socket
        self._talk: Final = talk
        self._hub: Final = hub
        self._limits: Final = limits
        self._clock: Final = clock
        self._abort: Final = abort
        self._watches: Final[dict[str, Watch]] = {}
        self._queue: Final[deque[bytes]] = deque()
        self._queued_bytes = 0
        self._wake: asyncio.Future[None] | None = None
        self._room: Final = asyncio.Event()
        self.cut_off = False

    @property
    def authenticated(self) -> Set[str]:
        return self._talk.authenticated

    # ------------------------------------------------------------ writing

    def send(self, frame: bytes) -> None:
        if self.cut_off:
            return
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        if len(self._queue) > self._limits.max_queued_frames or self._queued_bytes > self._limits.max_queued_bytes:
            self._cut_off()
        elif self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _cut_off(self) -> None:
        self.cut_off = True
        self._queue.clear()
        self._abort()
        self._room.set()

    async def _write(self) -> None:
        loop, queue, send_frame = asyncio.get_running_loop(), self._queue, self._socket.send_frame
        with suppress(ClientError, OSError):  # a broken connection is the reader's news
            while True:
                while queue:
                    frame = queue.popleft()
                    self._queued_bytes -= len(frame)
                    await send_frame(frame, WSMsgType.TEXT)
                self._room.set()
                self._wake = loop.create_future()
                await self._wake

    def _is_behind(self) -> bool:
        return 2 * len(self._queue) > self._limits.max_queued_frames

    # ------------------------------------------------------------ reading

    async def run(self, *, greet: bool) -> None:
        """Serve until the connection ends."""
        writer = asyncio.create_task(self._write())
        try:
            if greet:
                self.send(self._talk.greeting())
            await self._read()
        finally:
            for watch in self._watches.values():
                self._hub.close(watch)
            self._watches.clear()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _read(self) -> None:
        receive = self._socket.receive
        while not self.cut_off:
            message = await receive()
            if message.type is WSMsgType.TEXT:
                await self._obey(self._talk.receive(message.data), len(message.data))
            elif message.type is WSMsgType.BINARY:
                self.send(notice("invalid: frames are text"))
            else:
                return
            while self._is_behind() and not self.cut_off:  # whoever does not read its OKs is not read either
                self._room.clear()
                await self._room.wait()

    async def _obey(self, command: Command, size_bytes: int) -> None:
        match command:
            case Publish(event=event):
                accepted, message = await self._hub.publish(event, size_bytes - len('["EVENT",]'), self._clock.now())
                self.send(ok(event.id, accepted, message))
            case Subscribe():
                self._subscribe(command)
            case Close(subscription_id=name):
                self._unsubscribe(name)
            case Auth(event=event):
                why_not = self._talk.authenticate(event, self._clock.now())
                self.send(ok(event.id, not why_not, why_not))
            case Refused(reply=reply):
                self.send(reply)

    def _subscribe(self, command: Subscribe) -> None:
        name = command.subscription_id
        self._unsubscribe(name)
        if len(self._watches) >= self._limits.max_subscriptions:
            self.send(closed(name, f"error: at most {self._limits.max_subscriptions} subscriptions per connection"))
        elif self._hub.needs_auth(self, command.filters):
            self.send(closed(name, "auth-required: these events are only for their author and addressees"))
        else:
            watch = self._watches[name] = Watch(self, name, command.filters)
            self._hub.open(watch, self._clock.now())
            self.send(eose(name))

    def _unsubscribe(self, name: str) -> None:
        watch = self._watches.pop(name, None)
        if watch is not None:
            self._hub.close(watch)
