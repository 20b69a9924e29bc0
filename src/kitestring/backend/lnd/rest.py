"""lnd's REST interface as a transport: pinned TLS, the macaroon, bounded answers, and errors that tell apart what was
never asked, what lnd refused, and what nobody knows.

Streams are newline-delimited JSON, each line ``{"result": …}`` or ``{"error": …}``.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from weakref import WeakSet

import aiohttp
import msgspec

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.node import NodeUnreachableError

S = TypeVar("S")

#: Name, TCP and TLS together; a node behind Tor needs a few seconds.
CONNECT_LIMIT_S: Final = 15.0
#: A call that is no stream: lnd answers in milliseconds, a busy one on an SD card in some seconds.
CALL_LIMIT_S: Final = 60.0
#: Streams of payments at once, which have connections of their own: the engine's default limit of 1,000 open payments,
#: and some for payments that were given up and not yet let go.
MAX_PAYMENTS: Final = 1_024
#: Connections for everything else, so that a balance or a look-up never waits for a payment to end.
MAX_CALLS: Final = 64
#: aiohttp forgets the connection of a cancelled request while its TLS is still saying goodbye. :meth:`LndHttp.close`
#: looks every FAREWELL_LOOK_S whether all are gone, and at most for FAREWELL_LIMIT_S: a node far away needs that long.
FAREWELL_LIMIT_S: Final = 1.0
FAREWELL_LOOK_S: Final = 0.005
#: For the end of a stream after its last result; lnd sends both at once.
DRAIN_LIMIT_S: Final = 1.0
#: A page of 100 payments, each with dozens of attempts of 2 kB.
MAX_BODY: Final = 32 * 1024 * 1024
#: One payment with all its attempts.
MAX_LINE: Final = 8 * 1024 * 1024
#: Of lnd's text in errors and evidence.
MAX_TEXT: Final = 300
#: gRPC codes (https://grpc.io/docs/guides/status-codes/).
NOT_FOUND: Final = 5
ALREADY_EXISTS: Final = 6


class RpcError(msgspec.Struct):
    code: int = 0
    message: str = ""


class _ErrorBody(msgspec.Struct):
    code: int | None = None
    message: str = ""
    error: RpcError | str | None = None


class LndRefusedError(Exception):
    """lnd itself answered with an error. ``code`` is the gRPC code."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = printable(message)
        super().__init__(f"lnd: {self.message} (code {code})")


class LndAnswerError(Exception):
    """The answer broke off, came too late, was too long or was no answer of lnd's. Nobody knows what lnd did."""


def printable(text: str) -> str:
    """Foreign text on one line, capped."""
    return "".join(char if char.isprintable() else " " for char in text[:MAX_TEXT])


@dataclass(frozen=True, slots=True)
class Access:
    """Where lnd is and what opens it. Without a certificate the system's authorities are trusted."""

    host: str
    port: int
    macaroon: bytes = field(repr=False)
    certificate_pem: str = field(default="", repr=False)

    @property
    def base_url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"

    def tls(self) -> aiohttp.Fingerprint | ssl.SSLContext:
        """Exactly this certificate and no other, whatever host name it was made for. Raises KitestringError."""
        if not self.certificate_pem:
            return ssl.create_default_context()
        try:
            der = ssl.PEM_cert_to_DER_cert(_first_certificate(self.certificate_pem))
        except ValueError:
            raise KitestringError(Reason.MALFORMED, "the file given as cert= holds no PEM certificate") from None
        return aiohttp.Fingerprint(hashlib.sha256(der).digest())


def _first_certificate(pem: str) -> str:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    _, found, rest = pem.partition(begin)
    body, closed, _ = rest.partition(end)
    if not (found and closed):
        raise ValueError("no certificate")
    return begin + body + end


def read_file(path: Path, what: str) -> bytes:
    """Raises KitestringError naming the path."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise KitestringError(Reason.MALFORMED, f"{what} {path} cannot be read: {error.strerror}") from error


class LndHttp:
    """Two aiohttp sessions to one lnd, for calls and for payments, between :meth:`open` and :meth:`close`."""

    def __init__(self, access: Access) -> None:
        self._access: Final = access
        self._calls: aiohttp.ClientSession | None = None
        self._payments: aiohttp.ClientSession | None = None
        self._sockets: Final = WeakSet[socket.socket]()

    def __repr__(self) -> str:
        return f"LndHttp({self._access.base_url!r})"

    async def open(self) -> None:
        """Connects to nothing yet. Raises KitestringError when the certificate cannot be read."""
        self._calls, self._payments = self._make_session(MAX_CALLS), self._make_session(MAX_PAYMENTS)

    def _make_session(self, limit: int) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._access.tls(), limit=limit, socket_factory=self._make_socket),
            headers={"Grpc-Metadata-macaroon": self._access.macaroon.hex()},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_LIMIT_S),
        )

    async def close(self) -> None:
        sessions = [session for session in (self._calls, self._payments) if session is not None]
        self._calls = self._payments = None
        for session in sessions:
            await session.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_LIMIT_S):
                while any(one.fileno() >= 0 for one in self._sockets):  # noqa: ASYNC110 (nobody tells)
                    await asyncio.sleep(FAREWELL_LOOK_S)

    def _make_socket(self, address: tuple[Any, ...]) -> socket.socket:
        made = socket.socket(*address[:3])
        self._sockets.add(made)
        return made

    async def call(self, method: str, path: str, answer: type[S], body: dict[str, Any] | None = None) -> S:
        """One answer. Raises NodeUnreachableError, LndRefusedError, LndAnswerError."""
        try:
            async with asyncio.timeout(CALL_LIMIT_S), self._request(self._calls, method, path, body) as response:
                return _decode(await _read_all(response), answer)
        except TimeoutError as error:
            raise LndAnswerError(f"no answer within {CALL_LIMIT_S:.0f} s") from error

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, answer: type[S], body: dict[str, Any] | None = None, *, long: bool = False
    ) -> AsyncIterator[AsyncIterator[S]]:
        """The results of a stream as they come; the caller sets the time limit. ``long`` is a payment's, which may last
        and takes one of :data:`MAX_PAYMENTS`. Entering waits for the first of them,
        because lnd sends its headers with it. Raises as :meth:`call`; a stream that breaks in the middle of a
        line raises LndAnswerError, one that is closed between two lines just ends."""
        session = self._payments if long else self._calls
        async with (
            self._request(session, method, path, body) as response,
            aclosing(_results(response, answer)) as results,
        ):
            try:
                yield results
            finally:
                _abandon(response)

    @asynccontextmanager
    async def _request(
        self, session: aiohttp.ClientSession | None, method: str, path: str, body: dict[str, Any] | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if session is None:
            raise NodeUnreachableError("the backend is not open")
        data = None if body is None else msgspec.json.encode(body)
        url = f"{self._access.base_url}{path}"
        try:
            async with session.request(method, url, data=data, allow_redirects=False) as response:
                if response.status != 200:
                    raise _refusal(response.status, await _read_all(response))
                yield response
        except (
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
            aiohttp.ServerFingerprintMismatch,
        ) as error:
            # The only ways to end before the request was sent.
            raise NodeUnreachableError(_why_unreachable(self._access, error)) from error
        except aiohttp.ClientError as error:
            raise LndAnswerError(_why_broken(self._access, error)) from error


def _why_unreachable(access: Access, error: Exception) -> str:
    if isinstance(error, aiohttp.ServerFingerprintMismatch):
        return f"{access.base_url} shows another certificate than the one given as cert="
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate of {access.base_url} is not known: add cert=PATH (lnd's tls.cert)"
    return f"{access.base_url} cannot be reached: {printable(str(error) or type(error).__name__)}"


def _why_broken(access: Access, error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientResponseError) and error.message.startswith("Bad status line"):  # HTTP/2 frames
        return f"{access.base_url} is lnd's gRPC port; use its REST port (8080 by default)"
    return f"the answer broke off: {type(error).__name__}"


async def drain(results: AsyncIterator[object]) -> None:
    """Read a stream to its end, so that the connection can be used again. What it says no longer matters, nor whether
    it breaks."""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, LndAnswerError, LndRefusedError):
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
            raise LndAnswerError(f"the answer is longer than {MAX_BODY} bytes")
    return bytes(body)


async def _results(response: aiohttp.ClientResponse, answer: type[S]) -> AsyncGenerator[S, None]:
    line = bytearray()
    async for chunk in response.content.iter_any():
        *complete, rest = chunk.split(b"\n")
        for part in complete:
            text = bytes(line) + part
            line.clear()
            if text.strip():
                yield _result(text, answer)
        line += rest
        if len(line) > MAX_LINE:
            raise LndAnswerError(f"a line of the stream is longer than {MAX_LINE} bytes")
    if line.strip():
        yield _result(bytes(line), answer)


class _Line(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw()
    error: RpcError | None = None


def _result(line: bytes, answer: type[S]) -> S:
    envelope = _decode(line, _Line)
    if envelope.error is not None:
        raise LndRefusedError(envelope.error.code, envelope.error.message)
    if not bytes(envelope.result):
        raise LndAnswerError("a line of the stream has neither result nor error")
    return _decode(bytes(envelope.result), answer)


def _decode(data: bytes, answer: type[S]) -> S:
    try:
        return msgspec.json.decode(data, type=answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LndAnswerError(f"this is no answer of lnd's: {printable(str(error))}") from error


def _refusal(status: int, body: bytes) -> Exception:
    """lnd's own error if the body has its form, which no proxy's error page has."""
    try:
        parsed = msgspec.json.decode(body, type=_ErrorBody)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return LndAnswerError(f"HTTP status {status}")
    if isinstance(parsed.error, RpcError) and parsed.error.code:
        return LndRefusedError(parsed.error.code, parsed.error.message)
    if parsed.code:
        return LndRefusedError(parsed.code, parsed.message)
    return LndAnswerError(f"HTTP status {status}")
