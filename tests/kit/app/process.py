"""The service as its own process, and wallets that speak NWC to it frame by frame."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from kitestring.app.doors.unix_client import ControlClient
from kitestring.app.home.datadir import DataDir
from kitestring.codec.uri import decode_nwc
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, encode_event, first_tag, verify_event
from kitestring.relay.limits import RelayLimits
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock
from kitestring.wire.envelope import decrypt, request_event, shared_secret
from kitestring.wire.reply_to import Cipher
from tests.kit.app.terms import all_but

#: Seconds for each single wait; a healthy machine needs less than two.
PATIENCE_S = 60.0
#: A relay that keeps no ephemeral event: who was not listening gets nothing.
FORGETFUL = RelayLimits(max_ephemeral_events=0)
GENEROUS = """
[limits]
requests_per_min = 1000000
payments_per_min = 1000000
open_payments = 100000
open_invoices = 0
all_open_invoices = 0
"""


@asynccontextmanager
async def relay(limits: RelayLimits | None = None) -> AsyncIterator[Relay]:
    async with Relay(None, clock=SystemClock(), entropy=os.urandom, limits=limits) as running:
        yield running


class Service:
    """``kitestring up`` in a directory. ``start_s`` are the seconds from each start to its card."""

    def __init__(self, home: Path, relay_url: str, node: str = "sandbox://", settings: str = GENEROUS) -> None:
        home.mkdir(parents=True, exist_ok=True)
        (home / "kitestring.toml").write_text(settings)
        self.home = DataDir(home, home)
        self.start_s: list[float] = []
        self._command = [sys.executable, "-m", "kitestring", "up", "--json", "--data-dir", str(home)]
        self._command += ["--relay", relay_url, "--node", node]
        self._log = home.with_suffix(".log")
        self._child: asyncio.subprocess.Process | None = None

    async def start(self) -> dict[str, Any]:
        begun = time.monotonic()
        with self._log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *self._command, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert self._child.stdout is not None
        line = await asyncio.wait_for(self._child.stdout.readline(), PATIENCE_S)
        assert line, self._log.read_text()[-4000:]
        self.start_s.append(time.monotonic() - begun)
        card: dict[str, Any] = json.loads(line)
        return card

    async def end(self, number: signal.Signals) -> int:
        """Signal it; its exit code."""
        child, self._child = self._child, None
        if child is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)
        return await asyncio.wait_for(child.wait(), PATIENCE_S)

    async def call(self, command: str, key: str = "", /, **params: Any) -> dict[str, Any]:
        return await asyncio.to_thread(ControlClient(self.home).call, command, params, key)

    async def connect(self, name: str, /, **params: Any) -> str:
        """The URI of a new connection, which may do everything that ``params`` do not take from it."""
        asked = all_but(name=name, **params)
        return str((await self.call("connect", f"connect-{name}", **asked))["nwc_uri"])

    def read(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Look into the ledger, whoever writes there."""
        address = f"{self.home.ledger.as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=10)) as connection:
            return connection.execute(sql, values).fetchall()


@asynccontextmanager
async def service(home: Path, relay_url: str, **options: Any) -> AsyncIterator[Service]:
    running = Service(home, relay_url, **options)
    await running.start()
    try:
        yield running
    finally:
        await running.end(signal.SIGTERM)


@dataclass
class Wallet:
    """One NWC client on a socket of its own. ``replies`` holds every genuine answer by request id."""

    key: SecretKey
    peer: str
    socket: aiohttp.ClientWebSocketResponse
    #: The same by request id and the name of the part that is answered (``d``), of requests that have parts.
    parts: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    replies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    requests: dict[str, Event] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        async for message in self.socket:
            frame = json.loads(message.data)
            if frame[0] != "EVENT":
                continue
            event = Event(**frame[2])
            asked = first_tag(event, "e")
            if event.pubkey != self.peer or asked not in self.requests or not verify_event(event):
                continue
            cipher: Cipher = "nip04" if "?iv=" in event.content else "nip44"
            shared = shared_secret(self.key, self.peer, cipher)
            reply = json.loads(decrypt(event.content, cipher, shared))
            self.replies.setdefault(asked, []).append(reply)
            if part := first_tag(event, "d"):
                self.parts.setdefault(asked, {}).setdefault(part, []).append(reply)
            self._news.set()
            self._news = asyncio.Event()

    async def send(self, method: str, cipher: Cipher = "nip44", /, **params: Any) -> str:
        """Ask; the request's id."""
        return await self._publish(kinds.NWC_REQUEST, {"method": method, "params": params}, cipher)

    async def debit(self, bolt11: str, pointer: str) -> str:
        """Ask a pointer for a payment; the request's id."""
        return await self._publish(kinds.DEBIT, {"bolt11": bolt11, "pointer": pointer}, "nip44")

    async def invoice(self, offer_id: str, amount_sats: int, **members: Any) -> str:
        """Ask an offer; the request's id."""
        return await self._publish(kinds.OFFER, {"offer": offer_id, "amount_sats": amount_sats, **members}, "nip44")

    async def enroll(self, work_bits: int) -> str:
        """Ask for an account; the request's id."""
        return await self._publish(kinds.ENROLL, {}, "nip44", work_bits)

    async def manage(self, pointer: str, label: str) -> str:
        """Make an offer over a pointer; the request's id."""
        fields = {"label": label, "price_sats": 21, "callback_url": "", "payer_data": []}
        members = {"resource": "offer", "action": "create", "pointer": pointer, "offer": {"fields": fields}}
        return await self._publish(kinds.MANAGE, members, "nip44")

    async def _publish(self, kind: int, members: dict[str, Any], cipher: Cipher, work_bits: int = 0) -> str:
        event = request_event(
            self.key, kind=kind, service=self.peer, plaintext=json.dumps(members), cipher=cipher,
            shared=shared_secret(self.key, self.peer, cipher), entropy=os.urandom, now=int(time.time()),
            work_bits=work_bits,
        )  # fmt: skip
        self.requests[event.id] = event
        await self.send_again(event.id)
        return event.id

    async def send_again(self, request_id: str) -> None:
        await self.socket.send_str(f'["EVENT",{encode_event(self.requests[request_id]).decode()}]')

    async def answer(self, request_id: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while request_id not in self.replies:
                await self._news.wait()
        return self.replies[request_id][0]

    async def answers(self, request_id: str, names: list[str]) -> dict[str, dict[str, Any]]:
        """The first answer to each part of a request, by its name."""
        async with asyncio.timeout(PATIENCE_S):
            while not set(names) <= self.parts.get(request_id, {}).keys():
                await self._news.wait()
        return {name: found[0] for name, found in self.parts[request_id].items()}

    async def ask(self, method: str, cipher: Cipher = "nip44", /, **params: Any) -> dict[str, Any]:
        return await self.answer(await self.send(method, cipher, **params))


@asynccontextmanager
async def wallet(uri: str) -> AsyncIterator[Wallet]:
    """A connected client of a connection URI."""
    parsed = decode_nwc(uri)
    async with _peer(SecretKey(parsed.secret), parsed.service_pubkey, parsed.relays[0], kinds.NWC_RESPONSE) as opened:
        yield opened


@asynccontextmanager
async def requestor(service_pubkey: str, relay_url: str) -> AsyncIterator[Wallet]:
    """Somebody with a fresh key who asks for debits."""
    async with _peer(SecretKey.generate(os.urandom), service_pubkey, relay_url, kinds.DEBIT) as opened:
        yield opened


@asynccontextmanager
async def payer(service_pubkey: str, relay_url: str) -> AsyncIterator[Wallet]:
    """Somebody with a fresh key who asks offers."""
    async with _peer(SecretKey.generate(os.urandom), service_pubkey, relay_url, kinds.OFFER) as opened:
        yield opened


@asynccontextmanager
async def newcomer(service_pubkey: str, relay_url: str) -> AsyncIterator[Wallet]:
    """Somebody with a fresh key who asks for an account, and makes offers in it."""
    key = SecretKey.generate(os.urandom)
    async with _peer(key, service_pubkey, relay_url, kinds.ENROLL, kinds.MANAGE) as opened:
        yield opened


@asynccontextmanager
async def _peer(key: SecretKey, service_pubkey: str, relay_url: str, *of_kinds: int) -> AsyncIterator[Wallet]:
    async with aiohttp.ClientSession() as session, session.ws_connect(relay_url, max_msg_size=0) as socket:
        opened = Wallet(key, service_pubkey, socket)
        await socket.send_str(json.dumps(["REQ", "replies", {"kinds": of_kinds, "#p": [key.public_hex]}]))
        while json.loads((await socket.receive()).data)[0] != "EOSE":
            pass
        listening = asyncio.create_task(opened.listen())
        try:
            yield opened
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
