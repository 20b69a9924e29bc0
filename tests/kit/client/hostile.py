"""A relay that hides nothing and checks nothing, and a service that plays a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from kitestring.base.money import sat
from kitestring.client.net import Net, Waits
from kitestring.codec.pointers import Ndebit, Noffer, PriceType
from kitestring.codec.uri import NwcUri
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, decode_event, encode_event, first_tag, sign_event
from kitestring.nostr.filter import decode_filter
from kitestring.transport.relays import RelayPool
from kitestring.wire.envelope import decrypt, encrypt, shared_secret
from kitestring.wire.reply_to import Cipher
from tests.kit.chance import entropy
from tests.kit.clock import NOW, StandingClock

SERVICE, STRANGER, CLIENT = (SecretKey(bytes([number]) * 32) for number in (7, 8, 9))
TWENTY_ONE = sat(21)
#: Short where a test waits until the end, long where an answer comes.
IMPATIENT = Waits(
    reach_s=1, connect_s=1, eose_s=0.2, publish_s=1, info_s=0.2, read_s=0.3, pay_s=0.2, offer_s=0.3, debit_s=0.3,
    enroll_s=0.3, others_s=0.1, unread_s=0.1, lookup_pauses_s=(0, 0.05), recheck_s=0.05,
)  # fmt: skip
PATIENT = Waits(pay_s=10, lookup_pauses_s=(0, 0.05), recheck_s=0.05)


CLOCK = StandingClock()


def net(waits: Waits = PATIENT, *own_relays: str, allow_private: bool = False) -> Net:
    return Net(CLOCK, entropy, waits=waits, own_relays=own_relays, allow_private=allow_private)


def noffer(relay: str, offer: str = "tips", key: SecretKey = SERVICE, price_sats: int | None = None) -> Noffer:
    price_type = PriceType.SPONTANEOUS if price_sats is None else PriceType.FIXED
    return Noffer(key.public_hex, (relay,), offer, price_type, price_sats)


def ndebit(relay: str, pointer: str | None = "main", k1: str | None = None, key: SecretKey = SERVICE) -> Ndebit:
    return Ndebit(key.public_hex, (relay,), pointer, k1)


def nwc_uri(relay: str) -> NwcUri:
    return NwcUri(SERVICE.public_hex, (relay,), bytes.fromhex(CLIENT.hex()))


def info_event(methods: str = "pay_invoice", encryption: str | None = "nip44_v2 nip04", at: int = NOW) -> Event:
    tags = [] if encryption is None else [["encryption", encryption]]
    return sign_event(SERVICE, kind=kinds.NWC_INFO, tags=tags, content=methods, created_at=at)


@dataclass(frozen=True, slots=True)
class Request:
    """What the client asked, decrypted by the service."""

    event: Event
    cipher: Cipher
    members: dict[str, Any]

    @property
    def method(self) -> str:
        return str(self.members.get("method", ""))

    def reply(
        self, members: Mapping[str, object] | str, *, key: SecretKey = SERVICE, to: str = "", about: str = "",
        kind: int = 0, tags: Iterable[list[str]] = (), at: int = NOW, content: str | None = None,
    ) -> Event:  # fmt: skip
        """The signed reply, right in everything that is not named."""
        text = members if isinstance(members, str) else json.dumps(members)
        shared = shared_secret(key, self.event.pubkey, self.cipher)
        kinds_of_replies = {kinds.NWC_REQUEST: kinds.NWC_RESPONSE}
        return sign_event(
            key, kind=kind or kinds_of_replies.get(self.event.kind, self.event.kind),
            tags=[["p", to or self.event.pubkey], ["e", about or self.event.id], *tags],
            content=encrypt(text, self.cipher, shared, entropy) if content is None else content, created_at=at,
        )  # fmt: skip

    def result(self, result: object = None, error: object = None) -> Event:
        """A NWC response."""
        return self.reply({"result_type": self.method, "error": error, "result": result})


def refuses_e_tags(wanted: dict[str, Any]) -> str:
    """The words of a relay without an index of e tags."""
    return "unsupported: no such filter" if "#e" in wanted else ""


Script = Callable[[Request], Iterable[Event] | None]


def read_request(event: Event, key: SecretKey = SERVICE) -> Request:
    cipher: Cipher = "nip04" if "?iv=" in event.content else "nip44"
    return Request(event, cipher, json.loads(decrypt(event.content, cipher, shared_secret(key, event.pubkey, cipher))))


@dataclass
class HostileRelay:
    """Delivers whatever the script returns to every open subscription, filters or not unless it ``obeys`` them, as far
    as that returns them.

    ``refuses_req``: the words with which it closes a REQ, by one of its filters ("" = it does not); ``mute``: it says
    nothing at all; ``eose``: whether it says EOSE; ``refuses``: the words of its OK false. ``log`` is what the client
    sent, ``requests`` what the service was asked; ``gone`` is set when one of them has hung up.
    """

    script: Script
    stored: list[Event] = field(default_factory=list)
    refuses_req: Callable[[dict[str, Any]], str] = lambda _: ""
    obeys: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    mute: bool = False
    eose: bool = True
    refuses: str = ""
    url: str = ""
    log: list[list[Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    _sockets: list[tuple[web.WebSocketResponse, dict[str, list[Any]]]] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket, open_reqs = web.WebSocketResponse(compress=False), dict[str, list[Any]]()
        await socket.prepare(request)
        self._sockets.append((socket, open_reqs))
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._frame(socket, open_reqs, json.loads(message.data))
        self.gone.set()
        return socket

    async def _frame(self, socket: web.WebSocketResponse, open_reqs: dict[str, list[Any]], frame: list[Any]) -> None:
        self.log.append(frame)
        if self.mute:
            return
        words = next(filter(None, map(self.refuses_req, frame[2:])), "") if frame[0] == "REQ" else ""
        if words:
            await socket.send_json(["CLOSED", frame[1], words])
        elif frame[0] == "REQ":
            open_reqs[frame[1]] = frame[2:]
            for event in self.stored:
                await socket.send_str(f'["EVENT","{frame[1]}",{encode_event(event).decode()}]')
            if self.eose:
                await socket.send_json(["EOSE", frame[1]])
        elif frame[0] == "CLOSE":
            open_reqs.pop(frame[1], None)
        elif frame[0] == "EVENT":
            await self._event(socket, decode_event(json.dumps(frame[1])))

    async def _event(self, socket: web.WebSocketResponse, event: Event) -> None:
        await socket.send_json(["OK", event.id, not self.refuses, self.refuses])
        key = SERVICE if first_tag(event, "p") == SERVICE.public_hex else STRANGER
        request = read_request(event, key)
        self.requests.append(request)
        await self.deliver(self.script(request) or ())
        self.news.set()

    async def deliver(self, events: Iterable[Event]) -> None:
        for event in events:
            for socket, open_reqs in self._sockets:
                for name, filters in list(open_reqs.items()):
                    if not socket.closed and self._lets_through(event, filters):
                        await socket.send_str(f'["EVENT","{name}",{encode_event(event).decode()}]')

    def _lets_through(self, event: Event, filters: list[dict[str, Any]]) -> bool:
        if self.obeys is None:
            return True
        return any(decode_filter(self.obeys(each)).matches(event) for each in filters)

    async def hang_up(self) -> None:
        """End every connection."""
        while self._sockets:
            await self._sockets.pop()[0].close()

    def labels(self) -> list[str]:
        return [frame[0] for frame in self.log]


@asynccontextmanager
async def hostile_relay(script: Script, **options: Any) -> AsyncIterator[HostileRelay]:
    relay = HostileRelay(script, **options)
    app = web.Application()
    app.router.add_get("/", relay.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    relay.url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield relay
    finally:
        await runner.cleanup()


def pool(*urls: str) -> RelayPool:
    return RelayPool(urls, clock=CLOCK, entropy=entropy)
