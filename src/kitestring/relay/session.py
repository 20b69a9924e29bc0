"""One connection to the embedded relay: reads commands, answers them, delivers events through a bounded queue."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from typing import Final

from aiohttp import WSMsgType

from kitestring.base.ports import Clock
from kitestring.nostr.event import Event
from kitestring.nostr.relay import (
    Auth,
    Close,
    Publish,
    RefusedFrame,
    RelayCommand,
    ServerConversation,
    Subscribe,
    closed,
    eose,
    notice,
    ok,
)
from kitestring.relay.bucket import Bucket
from kitestring.relay.hub import Hub, Watch
from kitestring.relay.limits import BYTES_PER_TURN, COMMANDS_PER_TURN, WORK_PER_TOKEN, Limits
from kitestring.relay.outbox import Outbox, PeerSocket


class Session:
    """Commands are obeyed one after the other, and none is read while the reader is behind with its answers."""

    def __init__(
        self, socket: PeerSocket, talk: ServerConversation, hub: Hub, outbox: Outbox, *, limits: Limits, clock: Clock
    ) -> None:
        self._socket: Final = socket
        self._talk: Final = talk
        self._hub: Final = hub
        self._outbox: Final = outbox
        self._limits: Final = limits
        self._clock: Final = clock
        self._bucket: Final = Bucket(limits.max_events_per_s, limits.max_events_burst, clock)
        self._obeyed = self._obeyed_bytes = 0
        self._watches: Final[dict[str, Watch]] = {}
        self.cut: Final = outbox.cut
        self._send: Final = outbox.push
        self.headroom: Final = outbox.headroom

    @property
    def authenticated(self) -> Set[str]:
        return self._talk.authenticated

    @property
    def behind(self) -> bool:
        return self._outbox.behind

    def deliver(self, prefix: bytes, event_json: bytes) -> None:
        self._outbox.push(prefix, event_json, b"]")

    async def run(self, *, greet: bool) -> None:
        """Serve until the connection ends."""
        writer = asyncio.create_task(self._outbox.write())
        try:
            if greet:
                self._send(self._talk.greeting())
            await self._read()
        finally:
            for watch in self._watches.values():
                self._hub.close(watch)
            self._watches.clear()
            self._hub.leave(self)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            self._outbox.leave()

    async def _read(self) -> None:
        receive, outbox = self._socket.receive, self._outbox
        while not outbox.cut_off:
            message = await receive()
            if message.type is WSMsgType.TEXT:
                await self._take(self._talk.receive(message.data), len(message.data))
            elif message.type is WSMsgType.BINARY:
                await self._take(RefusedFrame(notice("invalid: frames are text")), 0)
            else:
                return
            await outbox.room()

    async def _take(self, command: RelayCommand, size_bytes: int) -> None:
        """Obey at the pace that every connection may keep. What is too fast for it is refused, if an event, and in any
        case made to wait: refusing at full speed would cost as much.
        """
        wait_s = self._bucket.wait_s()
        is_own = isinstance(command, Publish) and self._hub.is_own(command.event)
        if wait_s and isinstance(command, Publish) and not is_own:
            self._send(ok(command.event.id, False, f"rate-limited: at most {self._limits.max_events_per_s} events/s"))
            await self._clock.sleep(wait_s)
            return
        if wait_s:
            await self._clock.sleep(wait_s)
        self._bucket.charge(0 if is_own else 1)
        await self._obey(command, size_bytes)
        self._obeyed += 1
        self._obeyed_bytes += size_bytes
        if isinstance(command, Subscribe) or self._obeyed >= COMMANDS_PER_TURN or self._obeyed_bytes >= BYTES_PER_TURN:
            self._obeyed = self._obeyed_bytes = 0
            await asyncio.sleep(0)  # what has arrived already is read without a pause otherwise

    async def _obey(self, command: RelayCommand, size_bytes: int) -> None:
        match command:
            case Publish(event=event):
                await self._publish(event, size_bytes - len('["EVENT",]'))
            case Subscribe():
                await self._subscribe(command)
            case Close(subscription_id=name):
                self._unsubscribe(name)
            case Auth(event=event):
                why_not = self._talk.authenticate(event, self._clock.now())
                self._send(ok(event.id, not why_not, why_not))
            case RefusedFrame(reply=reply):
                self._send(reply)

    async def _publish(self, event: Event, size_bytes: int) -> None:
        accepted, message = await self._hub.publish(event, size_bytes, self._clock.now())
        self._send(ok(event.id, accepted, message))
        if message and self._hub.is_own(event):  # came free of charge, and was a copy or a forgery
            self._bucket.charge(1)

    async def _subscribe(self, command: Subscribe) -> None:
        name, filters = command.subscription_id, command.filters
        self._unsubscribe(name)
        weight = self._hub.weight(filters)
        if len(self._watches) >= self._limits.max_subscriptions:
            self._send(closed(name, f"error: at most {self._limits.max_subscriptions} subscriptions per connection"))
        elif refusal := self._hub.refusal(self, filters, weight):
            self._send(closed(name, refusal))
        else:
            async with self._hub.turn(weight):
                self._outbox.is_own = self._outbox.is_own or self._hub.is_for_owner(filters)
                watch = self._watches[name] = self._hub.open(self, name, filters)
                self._bucket.charge((weight + watch.cost) / WORK_PER_TOKEN)
                ids = await self._hub.stored(watch, self._clock.now())
            await self._send_stored(watch, ids)
            self._send(eose(name))

    async def _send_stored(self, watch: Watch, ids: list[str]) -> None:
        """However much it is, it goes out as fast as the reader takes it, and never counts as unread."""
        for event_id in ids:
            event_json = self._hub.json_of(event_id)
            if event_json is not None:
                self.deliver(watch.prefix, event_json)
                await self._outbox.room()
            if self._outbox.cut_off:
                return

    def _unsubscribe(self, name: str) -> None:
        watch = self._watches.pop(name, None)
        if watch is not None:
            self._hub.close(watch)
