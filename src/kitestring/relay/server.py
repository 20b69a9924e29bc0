"""The embedded relay: NIP-01, 09, 11, 40 and 42 on one port, inside the service or on its own."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterable
from hmac import compare_digest
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
from aiohttp import WSCloseCode, web

from kitestring import __version__
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.ports import Clock, Entropy
from kitestring.nostr.relay import MAX_FILTERS, MAX_FRAME_BYTES, MAX_SUBSCRIPTION_ID_CHARS, ServerConversation
from kitestring.relay.address import dialled, relay_url
from kitestring.relay.disk import Disk
from kitestring.relay.gate import Gate
from kitestring.relay.hub import Hub
from kitestring.relay.inflow import Inflows
from kitestring.relay.limits import CLOSE_TIMEOUT_S, HEARTBEAT_S, MAX_MESSAGE_BYTES, RelayLimits
from kitestring.relay.line import Line
from kitestring.relay.listener import Listener, affordable_connections
from kitestring.relay.outbox import Outbox, PeerSocket
from kitestring.relay.seats import Seats
from kitestring.relay.session import Session
from kitestring.relay.shares import Shares
from kitestring.relay.vouched import VouchedKeys

#: Seconds between two looks for events that have ended. A query never shows an ended one, so this only frees memory.
EXPIRE_EVERY_S: Final = 30.0
SUPPORTED_NIPS: Final = (1, 9, 11, 40, 42)
DOCUMENT_TYPE: Final = "application/nostr+json"
#: NIP-11 wants these three, so that pages of any site can read the document.
CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Allow-Methods": "GET, OPTIONS",
}
STOPPING: Final = b"the relay is stopping"
#: Carries what only the process knows that has started the relay.
OWN_HEADER: Final = "Kitestring-Own"
LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")


class Relay:
    """``path`` is the SQLite file for durable events (None: memory only). ``auth`` asks clients who they are and shows
    payment events only to their author and addressees. ``public_urls`` are further addresses under which clients know
    this relay (behind a reverse proxy, an onion); AUTH answers must name one of them or the address listened on.
    ``vouched`` are the keys of whoever runs it and of those he knows, asked for each time: no crowd of strangers takes
    their room or their turn. ``own_headers`` mark the connection of the owner's service, which everybody waits for.
    """

    def __init__(
        self, path: Path | None, *, clock: Clock, entropy: Entropy, limits: RelayLimits | None = None,
        auth: bool = False, public_urls: Iterable[str] = (), vouched: VouchedKeys | None = None,
        name: str = "kitestring relay",
    ) -> None:  # fmt: skip
        self._clock: Final = clock
        self._entropy: Final = entropy
        self._limits: Final = limits or RelayLimits()
        self._auth: Final = auth
        self._name: Final = name
        self._disk: Final = Disk(path) if path is not None else None
        self._hub: Final = Hub(self._disk, self._limits, auth=auth, vouched=vouched)
        self._gate: Final = Gate(self._limits, clock)
        self._inflows: Final = Inflows(self._limits.max_total_received_bytes)
        self._hosts: Final = {url.partition("://")[2].partition("/")[0].lower() for url in public_urls}
        self._unread: Final[Shares[Outbox]] = Shares(self._limits.max_total_queued_bytes, Outbox.cut)
        self._sockets: Final[set[PeerSocket]] = set()
        self.own_headers: Final = {OWN_HEADER: entropy(16).hex()}
        self._runner: web.ServerRunner | None = None
        self._listener: Listener | None = None
        self._expiry: asyncio.Task[None] | None = None
        self.url = ""

    # ------------------------------------------------------------ life

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; the port, which the system chooses for 0. ``url`` is set afterwards.

        Raises KitestringError when the port is taken or the file cannot be used.
        """
        if self._disk is not None:
            self._hub.restore(await self._disk.open(self._limits))
        server = web.Server(self._get)
        self._runner = web.ServerRunner(server, shutdown_timeout=CLOSE_TIMEOUT_S)
        await self._runner.setup()
        seats = Seats(affordable_connections(self._limits.max_connections), self._limits.max_connections_per_address)
        self._listener = Listener(lambda seat: Line(server, self._inflows, seat), seats)
        try:
            port = await self._listener.open(host, port)
        except OSError as error:
            await self.stop()
            raise _not_listening(error, host, port) from error
        self.url = relay_url(host, port)
        self._hosts.update(f"{name}:{port}" for name in {dialled(host), *LOOPBACK})
        self._expiry = asyncio.create_task(self._expire(), name="relay expiry")
        return port

    async def stop(self) -> None:
        """Close every connection and the file.

        The code says "service restart", because that is what brings all libraries back: after "going away" (1001) some
        take it that nobody expects them (Python's websockets, sockette), and after a line that breaks off without a
        closing handshake nostr-tools gives up for good.
        """
        if self._expiry is not None:
            self._expiry.cancel()
            await asyncio.gather(self._expiry, return_exceptions=True)
        if self._listener is not None:
            await self._listener.close()
        await self._gate.close()
        closing = (socket.close(code=WSCloseCode.SERVICE_RESTART, message=STOPPING) for socket in list(self._sockets))
        await asyncio.gather(*closing, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
        if self._disk is not None:
            await self._disk.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _expire(self) -> None:
        while True:
            await self._clock.sleep(EXPIRE_EVERY_S)
            await self._hub.expire(self._clock.now())

    # ------------------------------------------------------------ HTTP

    async def _get(self, request: web.BaseRequest) -> web.StreamResponse:
        is_here, asks_for_socket = request.path == "/", request.headers.get("Upgrade", "").lower() == "websocket"
        if request.method == "GET" and is_here and asks_for_socket:
            return await self._serve(request)
        response = self._tell(request) if is_here else _nothing_there()
        response.force_close()  # one answer per connection: none is held without a subscription
        return response

    def _tell(self, request: web.BaseRequest) -> web.Response:
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=CORS)
        if request.method != "GET":
            return _nothing_there()
        if DOCUMENT_TYPE in request.headers.get("Accept", ""):
            document = msgspec.json.encode(self.document())
            return web.Response(body=document, content_type=DOCUMENT_TYPE, headers=CORS)
        return web.Response(text=f"{self._name}: a Nostr relay. Connect with a Nostr client.\n", headers=CORS)

    def document(self) -> dict[str, object]:
        """The NIP-11 document."""
        limits = self._limits
        document: dict[str, object] = {
            "name": self._name,
            "description": "A relay for payment messages.",
            "supported_nips": SUPPORTED_NIPS,
            "software": "kitestring",
            "version": __version__,
            "limitation": {
                "max_message_length": MAX_FRAME_BYTES,
                "max_subscriptions": limits.max_subscriptions,
                "max_filters": MAX_FILTERS,
                "max_event_tags": limits.max_event_tags,
                "max_limit": limits.max_results,
                "max_subid_length": MAX_SUBSCRIPTION_ID_CHARS,
                "auth_required": self._auth,
                "payment_required": False,
                "created_at_upper_limit": limits.max_ahead_s,
            },
        }
        if limits.kinds is not None:
            document["retention"] = [{"kinds": sorted(limits.kinds)}, {"time": 0}]
        return document

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        socket: PeerSocket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_S, max_msg_size=MAX_MESSAGE_BYTES, compress=False, timeout=CLOSE_TIMEOUT_S,
            decode_text=False, autoping=False,
        )  # fmt: skip
        await socket.prepare(request)
        line, transport = request.protocol, request.transport
        if transport is None or not isinstance(line, Line):
            return socket
        line.inflow.serve()
        talk = ServerConversation(self._entropy(16).hex(), self._hosts)
        outbox = Outbox(socket, self._limits, self._unread, transport.abort)
        session = Session(
            socket, talk, self._hub, outbox, line, self._gate, limits=self._limits, clock=self._clock,
            is_own=self._is_own(request),
        )  # fmt: skip
        self._sockets.add(socket)
        try:
            await session.run(greet=self._auth)
        finally:
            self._sockets.discard(socket)
        return socket

    def _is_own(self, request: web.BaseRequest) -> bool:
        return compare_digest(request.headers.get(OWN_HEADER, "").encode(), self.own_headers[OWN_HEADER].encode())


def _nothing_there() -> web.Response:
    return web.Response(status=404, text="there is a Nostr relay at / and nothing else\n", headers=CORS)


def _not_listening(error: OSError, host: str, port: int) -> KitestringError:
    """The error of an address that cannot be had: for now, which trying again may mend, or at all."""
    if error.errno == errno.EADDRINUSE:
        sentence = (
            f"port {port} on {host} is in use: stop the program that has it, or choose another port for the relay"
        )
        return KitestringError(Reason.UNAVAILABLE, sentence)
    reason = Reason.UNAVAILABLE if error.errno == errno.EADDRNOTAVAIL else Reason.MALFORMED
    return KitestringError(reason, f"the relay cannot listen on {host}:{port}: {error.strerror or error}")
