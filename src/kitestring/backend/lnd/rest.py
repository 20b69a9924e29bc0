"""lnd's own part of its REST interface: the macaroon in a header, its errors, and streams whose lines are
``{"result": …}`` or ``{"error": …}``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Final, TypeVar

import msgspec

from kitestring.backend.http import Lane, NodeAnswerError, NodeHttp, NodeRefusedError, Site, decode, read_pin
from kitestring.backend.registry import BackendUrl

S = TypeVar("S")

NODE: Final = "lnd"
DEFAULT_PORT: Final = 8080
#: gRPC codes (https://grpc.io/docs/guides/status-codes/).
NOT_FOUND: Final = 5
ALREADY_EXISTS: Final = 6


class StreamRefusedError(NodeRefusedError):
    """The error that ends a stream, in its own envelope: a gateway that lacks the route has no such answer."""


class _RpcError(msgspec.Struct):
    code: int = 0
    message: str = ""


class _ErrorBody(msgspec.Struct):
    """An error is in ``error`` where a stream was asked for, and beside it elsewhere."""

    code: int = 0
    message: str = ""
    error: _RpcError | str | None = None


class _Line(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw()
    error: _RpcError | None = None


def connect(url: BackendUrl, macaroon: bytes) -> NodeHttp:
    """Not opened yet. Raises KitestringError when the certificate cannot be read."""
    site = Site(
        node=NODE,
        origin=url.origin(DEFAULT_PORT),
        headers={"Grpc-Metadata-macaroon": macaroon.hex()},
        pin=read_pin(url),
        certificate="lnd's tls.cert",
        no_http=f"is lnd's gRPC port; use its REST port ({DEFAULT_PORT} by default)",
    )
    return NodeHttp(site, _refusal)


@asynccontextmanager
async def results(
    http: NodeHttp,
    method: str,
    path: str,
    answer: type[S],
    body: Mapping[str, object] | None = None,
    *,
    lane: Lane = Lane.CALLS,
) -> AsyncIterator[AsyncIterator[S]]:
    """The results of a stream as they come; the caller sets the time limit. Entering waits for the first of them,
    because lnd sends its headers with it. Raises NodeUnreachableError, NodeRefusedError, NodeAnswerError; a stream that
    is closed between two results just ends."""
    async with http.stream(method, path, body, lane=lane) as lines, aclosing(_read(lines, answer)) as found:
        yield found


async def _read(lines: AsyncIterator[bytes], answer: type[S]) -> AsyncGenerator[S, None]:
    async for line in lines:
        envelope = decode(line, _Line, NODE)
        if envelope.error is not None:
            raise StreamRefusedError(NODE, 200, envelope.error.code, envelope.error.message)
        if not bytes(envelope.result):
            raise NodeAnswerError("a line of the stream has neither result nor error")
        yield decode(bytes(envelope.result), answer, NODE)


def _refusal(status: int, body: bytes) -> NodeRefusedError | None:
    """lnd's own error: it has a code, which no proxy's error page has."""
    try:
        parsed = decode(body, _ErrorBody, NODE)
    except NodeAnswerError:
        return None
    if isinstance(parsed.error, _RpcError) and parsed.error.code:
        return StreamRefusedError(NODE, status, parsed.error.code, parsed.error.message)
    return NodeRefusedError(NODE, status, parsed.code, parsed.message) if parsed.code else None
