"""The HTTP under every backend that speaks REST: a pinned certificate, bounded answers, streams of lines, and errors
that say what is known afterwards.

===============================  ====================================================================
:class:`NodeUnreachableError`    no connection was made: the node was never asked
:class:`NodeRefusedError`        the node itself answered, with an error in its own form
:class:`NodeAnswerError`         anything else: the request may have been carried out, nobody knows
===============================  ====================================================================

An order that moves money goes by POST: aiohttp repeats a GET whose kept connection turns out to be closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode
from weakref import WeakSet

import aiohttp
import msgspec

from kitestring.backend.registry import BackendUrl
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.node import NodeUnreachableError
from kitestring.base.text import one_line
from kitestring.transport.dates import unix_time
from kitestring.transport.trouble import trouble

S = TypeVar("S")

#: Name, TCP and TLS together; a node behind Tor needs a few seconds.
CONNECT_LIMIT_S: Final = 15.0
#: A call that is no payment: nodes answer in milliseconds, a busy one on an SD card in some seconds.
CALL_LIMIT_S: Final = 60.0
#: Payments at once, which have connections of their own: the engine's default limit of open payments.
PAYMENT_SLOTS: Final = 1_000
#: Their connections, some of them for payments that were given up and not yet let go.
MAX_PAYMENTS: Final = PAYMENT_SLOTS + 24
#: Connections for everything else, so that a balance or a look-up never waits for a payment to end.
MAX_CALLS: Final = 64
#: Invoices that are followed at once until their payment is held; of others the state is looked up.
MAX_INVOICES: Final = 64
#: Greetings at once: each is one short question on a connection of its own.
MAX_GREETINGS: Final = 16
#: aiohttp forgets the connection of a cancelled request while its TLS is still saying goodbye. :meth:`NodeHttp.close`
#: looks every FAREWELL_LOOK_S whether all are gone, and at most for FAREWELL_LIMIT_S: a node far away needs that long.
FAREWELL_LIMIT_S: Final = 1.0
FAREWELL_LOOK_S: Final = 0.005
#: For the end of a stream after its last result; nodes send both at once.
DRAIN_LIMIT_S: Final = 1.0
#: A page of lnd's 100 payments, each with dozens of attempts of 2 kB, is the longest answer of any node.
MAX_BODY: Final = 32 * 1024 * 1024
#: One payment with all its attempts.
MAX_LINE: Final = 8 * 1024 * 1024
#: Of the node's own words in errors and evidence, in characters.
MAX_WORDS: Final = 300


class NodeRefusedError(Exception):
    """The node itself answered with an error. ``status`` is HTTP's; ``code`` is the node's own, 0 where it has none."""

    def __init__(self, node: str, status: int, code: int, message: str) -> None:
        self.status, self.code = status, code
        self.message = one_line(message, MAX_WORDS)
        super().__init__(f"{node}: {self.message} ({f'code {code}' if code else f'HTTP status {status}'})")


class NodeAnswerError(Exception):
    """The answer broke off, came too late, was too long or was none of the node's. Nobody knows what the node did."""


class Form(dict[str, str]):
    """A body that is written as a form instead of JSON."""


class Lane(Enum):
    """Connections that are counted apart: a payment may take as long as it likes, and so may who pays an invoice."""

    CALLS = "calls"
    PAYMENTS = "payments"
    INVOICES = "invoices"
    GREETINGS = "greetings"  # each on a new connection, so that it reaches whoever is at the address now


def _limit(lane: Lane) -> int:
    return {
        Lane.CALLS: MAX_CALLS,
        Lane.PAYMENTS: MAX_PAYMENTS,
        Lane.INVOICES: MAX_INVOICES,
        Lane.GREETINGS: MAX_GREETINGS,
    }[lane]


@dataclass(frozen=True, slots=True)
class Site:
    """A node's address, its credential, and the words in which people are told about it.

    ``headers`` carry the credential. ``pin`` is the SHA-256 of the one certificate that is trusted, b"" for whatever
    the system trusts. ``certificate`` and ``no_http`` end the sentences about an unknown certificate and about a port
    that speaks something else.
    """

    node: str
    origin: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    pin: bytes = b""
    certificate: str = "the node's own"
    no_http: str = "does not speak HTTP: is it the right port?"


def read_pin(url: BackendUrl) -> bytes:
    """The pin of the PEM certificate that ``cert=PATH`` names, whatever host name it was made for; b"" without one.

    Raises KitestringError.
    """
    if "cert" not in url.query:
        return b""
    pem = read_file(Path(url.query["cert"]), "the certificate").decode("latin-1")
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    body, closed, _ = pem.partition(begin)[2].partition(end)
    try:
        der = ssl.PEM_cert_to_DER_cert(begin + body + closed)
    except ValueError:
        der = b""
    if not der:
        raise KitestringError(Reason.MALFORMED, "the file given as cert= holds no PEM certificate")
    return hashlib.sha256(der).digest()


def read_file(path: Path, what: str) -> bytes:
    """A file that the backend's URL names. Raises KitestringError naming the path."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise KitestringError(
            Reason.MALFORMED,
            f"{what} {path} cannot be read: {trouble(error)}; check its name and who may read it",
        ) from error


class NodeHttp:
    """An aiohttp session to one node for each lane, between :meth:`open` and :meth:`close`.

    ``refusal`` reads an error answer (status, body) in the node's own form, and gives None for anything else, such as
    the error page of a proxy.

    ``greet`` asks who is at the address, by a call in the lane of greetings. It is awaited before each new connection
    of another lane is made, those made at the same moment share it, and whatever it raises keeps the request from being
    sent. So a proxy or another machine at the address gets no order that was meant for the node.
    """

    def __init__(self, site: Site, refusal: Callable[[int, bytes], NodeRefusedError | None]) -> None:
        self._site: Final = site
        self._refusal: Final = refusal
        self._sessions: dict[Lane, aiohttp.ClientSession] = {}
        self._greet: Callable[[], Awaitable[None]] | None = None
        self._greeting: asyncio.Task[None] | None = None
        self._sockets: Final = WeakSet[socket.socket]()

    def __repr__(self) -> str:
        return f"NodeHttp({self._site.origin!r})"

    async def open(self, greet: Callable[[], Awaitable[None]] | None = None) -> None:
        """Connects to nothing yet, so that a node that is down does not keep a service from starting."""
        self._greet = greet
        self._sessions = {lane: self._session(lane) for lane in Lane}

    def _session(self, lane: Lane) -> aiohttp.ClientSession:
        trust = aiohttp.Fingerprint(self._site.pin) if self._site.pin else True
        is_greeting, connections = lane is Lane.GREETINGS, aiohttp.TraceConfig()
        if not is_greeting:
            connections.on_connection_create_start.append(self._greet_first)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=trust, limit=_limit(lane), socket_factory=self._make_socket, force_close=is_greeting
            ),
            headers=self._site.headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_LIMIT_S),
            trace_configs=[connections],
        )

    async def _greet_first(self, *_: object) -> None:
        if self._greet is None:
            return
        if self._greeting is None or self._greeting.done():
            self._greeting = asyncio.ensure_future(self._greet())
            self._greeting.add_done_callback(lambda task: task.cancelled() or task.exception())  # all may have gone
        await asyncio.shield(self._greeting)

    async def renew(self) -> None:
        """Break every connection that is kept or in use, so that all are made anew: another node is at the address."""
        before = [session for lane, session in self._sessions.items() if lane is not Lane.GREETINGS]
        self._sessions |= {lane: self._session(lane) for lane in self._sessions if lane is not Lane.GREETINGS}
        for session in before:
            await session.close()

    async def close(self) -> None:
        """End every connection, and wait until the sockets are gone."""
        sessions, self._sessions = self._sessions, {}
        if self._greeting is not None:
            self._greeting.cancel()
        for session in sessions.values():
            await session.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_LIMIT_S):
                while any(one.fileno() >= 0 for one in self._sockets):  # noqa: ASYNC110 (nobody tells)
                    await asyncio.sleep(FAREWELL_LOOK_S)

    def _make_socket(self, address: tuple[Any, ...]) -> socket.socket:
        made = socket.socket(*address[:3])
        self._sockets.add(made)
        return made

    async def call(
        self,
        method: str,
        path: str,
        answer: type[S],
        body: Mapping[str, object] | None = None,
        *,
        lane: Lane = Lane.CALLS,
        limit_s: float = CALL_LIMIT_S,
    ) -> S:
        """One answer, within ``limit_s`` seconds. Raises NodeUnreachableError, NodeRefusedError, NodeAnswerError."""
        return (await self.call_dated(method, path, answer, body, lane=lane, limit_s=limit_s))[0]

    async def call_dated(
        self,
        method: str,
        path: str,
        answer: type[S],
        body: Mapping[str, object] | None = None,
        *,
        lane: Lane = Lane.CALLS,
        limit_s: float = CALL_LIMIT_S,
    ) -> tuple[S, int]:
        """As :meth:`call`, with the time of whoever answered (its ``Date``, Unix seconds), 0 where it does not say."""
        try:
            async with asyncio.timeout(limit_s), self._request(lane, method, path, body) as response:
                told_at = unix_time(response.headers) or 0
                return decode(await _read_all(response), answer, self._site.node), told_at
        except TimeoutError as error:
            raise NodeAnswerError(f"no answer within {limit_s:.0f} s") from error

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, lane: Lane = Lane.CALLS
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of an answer as they come, without empty ones; the caller sets the time limit. Entering may wait
        for the first of them. Raises as :meth:`call`; where the answer breaks off between two lines it may just
        end, and in the middle of one the last line is cut."""
        async with self._request(lane, method, path, body) as response, aclosing(_lines(response)) as lines:
            try:
                yield lines
            finally:
                _abandon(response)

    @asynccontextmanager
    async def _request(
        self, lane: Lane, method: str, path: str, body: Mapping[str, object] | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        session = self._sessions.get(lane)
        if session is None:
            raise NodeUnreachableError("the backend is not open")
        data, headers = _written(body)
        with _told_as_ours(self._site):
            async with session.request(
                method, f"{self._site.origin}{path}", data=data, headers=headers, allow_redirects=False
            ) as response:
                if not 200 <= response.status < 300:
                    refused = self._refusal(response.status, await _read_all(response))
                    raise refused or NodeAnswerError(f"HTTP status {response.status}")
                yield response


def _written(body: Mapping[str, object] | None) -> tuple[bytes | None, Mapping[str, str]]:
    if body is None:
        return None, {}
    if isinstance(body, Form):
        return urlencode(body).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    return msgspec.json.encode(body), {"Content-Type": "application/json"}


_CANNOT_BE_REACHED: Final = "{site.origin} cannot be reached: {why}"
#: Exceptions of aiohttp, their meaning and their sentence; the nearest class counts. Only a failure to connect is sure
#: to come before the request was sent.
_MEANINGS: Final[Mapping[type[Exception], tuple[type[Exception], str]]] = {
    aiohttp.ClientConnectorError: (NodeUnreachableError, _CANNOT_BE_REACHED),
    aiohttp.ConnectionTimeoutError: (NodeUnreachableError, _CANNOT_BE_REACHED),
    aiohttp.ClientConnectorCertificateError: (
        NodeUnreachableError,
        "the certificate of {site.origin} is not known: add cert=PATH ({site.certificate})",
    ),
    aiohttp.ServerFingerprintMismatch: (
        NodeUnreachableError,
        "{site.origin} shows another certificate than the one given as cert=",
    ),
    aiohttp.ClientResponseError: (NodeAnswerError, "{site.origin} {site.no_http}"),  # the head of the answer is no HTTP
    aiohttp.ClientError: (NodeAnswerError, "{site.origin} ended the connection in the middle of its answer"),
}


@contextmanager
def _told_as_ours(site: Site) -> Iterator[None]:
    try:
        yield
    except aiohttp.ClientError as error:
        meaning, sentence = next(_MEANINGS[kind] for kind in type(error).__mro__ if kind in _MEANINGS)
        why = one_line(trouble(error), MAX_WORDS)
        raise meaning(sentence.format(site=site, why=why)) from error


def decode(data: bytes, answer: type[S], node: str) -> S:
    """JSON as ``answer``. Raises NodeAnswerError."""
    try:
        return msgspec.json.decode(data, type=answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NodeAnswerError(f"this is no answer of {node}'s: {one_line(str(error), MAX_WORDS)}") from error


async def drain(results: AsyncIterator[object]) -> None:
    """Read a stream to its end, so that the connection can be used again. What it says no longer matters, nor whether
    it breaks."""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, NodeAnswerError, NodeRefusedError):
        async with asyncio.timeout(DRAIN_LIMIT_S):
            async for _ in results:
                pass


def _abandon(response: aiohttp.ClientResponse) -> None:
    """A stream that has not ended cannot be used again; no need to part politely."""
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()


async def _read_all(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY:
            raise NodeAnswerError(f"the answer is longer than {MAX_BODY} bytes")
    return bytes(body)


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    line = bytearray()
    async for chunk in response.content.iter_any():
        *complete, rest = chunk.split(b"\n")
        for part in complete:
            text = bytes(line) + part
            line.clear()
            if text.strip():
                yield text
        line += rest
        if len(line) > MAX_LINE:
            raise NodeAnswerError(f"a line of the stream is longer than {MAX_LINE} bytes")
    if line.strip():
        yield bytes(line)
