"""One connection to the embedded relay: reads commands, answers them, delivers events through a bounded queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set
from typing import Final

import msgspec
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
from kitestring.relay.entry import Bringer
from kitestring.relay.gate import Gate
from kitestring.relay.hub import FORGED, Hub, Watch
from kitestring.relay.limits import BYTES_PER_TOKEN, BYTES_PER_TURN, COMMANDS_PER_TURN, WORK_PER_TOKEN, RelayLimits
from kitestring.relay.line import Line
from kitestring.relay.outbox import Outbox, PeerSocket

TOO_FAST: Final = "rate-limited: this author publishes too much, send it again later"
TOO_MANY: Final = "rate-limited: the relay has too much to do for those it does not know, try again later"


class Control(msgspec.Struct, frozen=True, gc=False):
    """A PING with its ``payload``, or a PONG, which has none to give back."""

    payload: bytes | None


class Session:
    """Commands are obeyed one after the other, and none is read while the reader is behind with its answers.

    ``is_own`` marks the connection of the relay's owner. Whoever else has published an event of a known key is known
    from then on; all others have their turn at the gate of the strangers.
    """

    def __init__(
        self, socket: PeerSocket, talk: ServerConversation, hub: Hub, outbox: Outbox, line: Line,
        gate: Gate, *, limits: RelayLimits, clock: Clock, is_own: bool,
    ) -> None:  # fmt: skip
        self._socket: Final = socket
        self._talk: Final = talk
        self._hub: Final = hub
        self._outbox: Final = outbox
        self._line: Final = line
        self._gate: Final = gate
        self._limits: Final = limits
        self._clock: Final = clock
        self._bucket: Final = Bucket(limits.max_events_per_s, limits.max_events_burst, clock)
        self._obeyed = self._obeyed_bytes = 0
        self._watches: Final[dict[str, Watch]] = {}
        self._is_known = False
        self._met = ""  # the known key by which it was recognised
        self.is_own: Final = is_own
        self.bringer: Final = Bringer()
        self.cut: Final = outbox.cut
        self._send: Final = outbox.push
        self.headroom: Final = outbox.headroom
        if is_own:
            outbox.is_own = True
            self._meet()

    @property
    def authenticated(self) -> Set[str]:
        return self._talk.authenticated

    @property
    def behind(self) -> bool:
        return self._outbox.behind

    def deliver(self, prefix: bytes, event_json: bytes) -> None:
        self._outbox.push(prefix, event_json, b"]")

    def _meet(self) -> None:
        """A known key is at the other end: strangers take nothing from this connection any more."""
        self._is_known = True
        self._line.seat.vouch()
        self._line.inflow.vouch()
        self._outbox.vouch()

    async def run(self, *, greet: bool) -> None:
        """Serve until the connection ends."""
        writer = asyncio.create_task(self._outbox.write())
        self._line.seat.heard(0)
        try:
            if greet:
                self._send(self._talk.greeting())
            await self._read()
        finally:
            for watch in self._watches.values():
                self._hub.close(watch)
            self._watches.clear()
            self.bringer.is_here = False
            self._hub.leave(self)
            self._hub.part(self._met)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            self._outbox.leave()

    async def _read(self) -> None:
        outbox, line = self._outbox, self._line
        while not outbox.cut_off:
            message = await self._socket.receive()
            read = _READ.get(message.type)
            if read is None:
                return
            size_bytes = len(message.data)
            line.inflow.took(0 if message.type in _CONTROL else size_bytes)
            await self._take(read(self._talk, message.data), size_bytes)
            line.seat.heard(len(self._watches))
            await outbox.room()

    async def _take(self, command: _Command, size_bytes: int) -> None:
        """Obey at the pace that every connection may keep, and that strangers may keep together. What is too fast for
        it is refused, if an event, and in any case made to wait: refusing at full speed would cost as much.
        """
        wait_s = 0.0 if self.is_own else self._bucket.wait_s()
        if wait_s and isinstance(command, Publish):
            self._send(ok(command.event.id, False, f"rate-limited: at most {self._limits.max_events_per_s} events/s"))
            await self._clock.sleep(wait_s)
            return
        if wait_s:
            await self._clock.sleep(wait_s)
        self._bucket.charge(1)
        if self._is_free(command) or await self._has_turn(command, size_bytes):
            await self._obey(command, size_bytes)
        else:
            self._turn_away(command)
        self._obeyed += 1
        self._obeyed_bytes += size_bytes
        if isinstance(command, Subscribe) or self._obeyed >= COMMANDS_PER_TURN or self._obeyed_bytes >= BYTES_PER_TURN:
            self._obeyed = self._obeyed_bytes = 0
            await asyncio.sleep(0)  # what has arrived already is read without a pause otherwise

    def _turn_away(self, command: _Command) -> None:
        match command:
            case Publish(event=event) | Auth(event=event):
                self._send(ok(event.id, False, TOO_MANY))
            case Subscribe(subscription_id=name):
                self._send(closed(name, TOO_MANY))
            case Close(subscription_id=name):
                self._unsubscribe(name)
            case RefusedFrame() | Control():
                pass

    def _is_free(self, command: _Command) -> bool:
        """Whether it need not wait among the strangers. An event is its author's, whoever brings it."""
        if isinstance(command, Publish):
            return self.is_own or (self._is_known and self._hub.is_vouched(command.event.pubkey))
        return self._is_known

    async def _has_turn(self, command: _Command, size_bytes: int) -> bool:
        cost = self._hub.cost(command.event, size_bytes) if isinstance(command, Publish) else 1
        return await self._gate.turn(self._line.seat.place, cost)

    async def _obey(self, command: _Command, size_bytes: int) -> None:
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
            case Control(payload=payload):
                if payload is not None:
                    await self._socket.pong(payload)

    async def _publish(self, event: Event, size_bytes: int) -> None:
        now, paces = self._clock.now(), self._gate.paces
        if not self.is_own and paces.is_used_up(event.pubkey):
            self._send(ok(event.id, False, TOO_FAST))
            return
        accepted, message = await self._hub.publish(event, size_bytes, now, self)
        self._send(ok(event.id, accepted, message))
        if not message and not self.is_own:
            paces.charge(event.pubkey, 1 + size_bytes / BYTES_PER_TOKEN)
        if message == FORGED:
            self._is_known = self.is_own
        elif not message and not self._is_known and self._hub.is_vouched(event.pubkey) and self._is_fresh(event, now):
            self._recognise(event.pubkey)

    def _recognise(self, key: str) -> None:
        """An app that also uses other relays is heard there by others, who may be the first to bring here what it
        says: so only so many connections have its standing."""
        if self._met or self._hub.meet(key):
            self._met = self._met or key
            self._meet()

    def _is_fresh(self, event: Event, now: int) -> bool:
        """Whether it is no copy of what was seen here: that is kept as long."""
        return abs(now - event.created_at) < self._limits.ephemeral_ttl_s

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
                watch = self._watches[name] = self._hub.open(self, name, filters)
                work = (weight + watch.cost) / WORK_PER_TOKEN
                self._bucket.charge(work)
                if not self._is_known:
                    self._gate.charge(work)
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


_Command = RelayCommand | Control
_CONTROL: Final = frozenset({WSMsgType.PING, WSMsgType.PONG})
#: How each message of a client is read; any other type is the end of the connection.
_READ: Final[dict[WSMsgType, Callable[[ServerConversation, bytes], _Command]]] = {
    WSMsgType.TEXT: ServerConversation.receive,
    WSMsgType.BINARY: lambda _, __: RefusedFrame(notice("invalid: frames are text")),
    WSMsgType.PING: lambda _, payload: Control(bytes(payload)),
    WSMsgType.PONG: lambda _, __: Control(None),
}
