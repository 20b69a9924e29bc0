"""The one guarded way out to HTTP, for every URL that somebody else may have written.

https only; http for ``.onion`` through a proxy, and for hosts that the owner has listed. Where a URL leads is decided
by :class:`~kitestring.transport.border.Border`, for each redirect anew, and exactly the addresses that were
checked are connected to, while TLS still checks the name. Size, time and head of an answer have limits. Nothing is kept
between two questions: no cookie, no connection, no credential.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from yarl import URL

from kitestring.base.text import one_line
from kitestring.transport.border import (
    AddressLookup,
    Admitted,
    Border,
    FetchError,
    FetchFault,
    Pinned,
    named,
    parse_url,
)
from kitestring.transport.dial import socks_connector, socks_failures
from kitestring.transport.proxies import Proxies, is_socks
from kitestring.transport.trouble import trouble

#: Questions that one fetcher has under way; the others wait, within their time.
MAX_AT_ONCE: Final = 64
#: Of the head of an answer: common servers send two dozen lines, the longest of them a policy of some kB.
MAX_HEADERS: Final = 64
MAX_HEADER_BYTES: Final = 8_190
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
#: Headers of every question.
_OURS: Final = {"User-Agent": "kitestring", "Accept-Encoding": "gzip, deflate"}
#: Encodings of a body, and whether it is packed; others are not asked for.
_IS_PACKED: Final = {"": False, "identity": False, "gzip": True, "x-gzip": True, "deflate": True}
#: The window of zlib that reads the head of gzip, or of deflate, whichever is there.
_ANY_HEAD: Final = 32 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class FetchCaps:
    """Limits of one question: ``total_s`` seconds with all redirects, ``body_bytes`` of the answer as it is unpacked,
    and how many ``redirects`` are followed (those of a GET alone). The body holds the metadata of a Lightning Address
    with its picture; with 0 ``body_bytes`` none is read, whatever is sent."""

    total_s: float = 15.0
    body_bytes: int = 262_144
    redirects: int = 3


DEFAULT_CAPS: Final = FetchCaps()


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer, whatever its ``status``. ``url`` is who gave it, after redirects; ``content_type`` has no parameters
    and is ``application/octet-stream`` where none was told."""

    status: int
    content_type: str
    body: bytes = field(repr=False)
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Question:
    method: str
    body: bytes | None
    headers: Mapping[str, str]
    caps: FetchCaps


class Fetcher:
    """Ask web servers. ``private_hosts`` are hosts, or ``host:port``, in private networks that the owner has listed for
    URLs of their own. ``trust`` are the certificates that are believed (None = those of the system)."""

    def __init__(
        self, proxies: Proxies | None = None, private_hosts: Collection[str] = (), *,
        resolver: AddressLookup | None = None, trust: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self._border: Final = Border(proxies or Proxies(), private_hosts, resolver)
        self._trust: Final = True if trust is None else trust
        self._slots: Final = asyncio.Semaphore(MAX_AT_ONCE)

    async def fetch(
        self, url: str, *, own: bool = False, method: str = "GET", body: bytes | None = None,
        headers: Mapping[str, str] | None = None, caps: FetchCaps = DEFAULT_CAPS,
    ) -> Fetched:  # fmt: skip
        """Ask once. ``own`` marks a URL that the owner has written: listed private hosts are open to it, and it goes
        through a proxy, where no address can be checked. ``headers`` are sent to its own host and port alone.

        Raises FetchError.
        """
        target = parse_url(url)
        try:
            async with asyncio.timeout(caps.total_s), self._slots:
                return await self._follow(target, _Question(method, body, headers or {}, caps), own=own)
        except TimeoutError as error:
            sentence = f"{named(target)} has not answered within {caps.total_s:g} s"
            raise FetchError(FetchFault.LATE, sentence) from error

    async def _follow(self, target: URL, question: _Question, *, own: bool) -> Fetched:
        first, limit = target.origin(), question.caps.redirects if question.method == "GET" else 0
        for _ in range(limit + 1):
            admitted = await self._border.admit(target, own=own)
            answer = await self._ask(admitted, question, question.headers if target.origin() == first else {})
            if isinstance(answer, Fetched):
                return answer
            own = own and answer.raw_host == target.raw_host  # another host is what a stranger says
            target = answer
        often = f"has redirected {limit} times" if limit else "answers with a redirect"
        raise FetchError(FetchFault.REDIRECTED, f"{named(target)} {often}, and no further one is followed")

    async def _ask(self, to: Admitted, question: _Question, headers: Mapping[str, str]) -> Fetched | URL:
        connector, proxy = _connections(to)
        with _told_as_ours(to):
            async with (
                aiohttp.ClientSession(
                    connector=connector, trust_env=False,
                    timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False,
                    max_line_size=MAX_HEADER_BYTES, max_field_size=MAX_HEADER_BYTES, max_headers=MAX_HEADERS,
                ) as session,
                session.request(
                    question.method, to.url, data=question.body, headers={**_OURS, **headers}, proxy=proxy,
                    allow_redirects=False, ssl=self._trust,
                ) as response,
            ):  # fmt: skip
                if response.status in REDIRECTS:
                    return _redirected(to.url, response)
                body = await _read(response, question.caps.body_bytes) if question.caps.body_bytes else b""
                return Fetched(response.status, response.content_type, body, str(to.url))


def _connections(to: Admitted) -> tuple[aiohttp.BaseConnector, str | None]:
    """The way there, and the HTTP proxy to be named in the request."""
    if to.proxy is not None and is_socks(to.proxy):
        return socks_connector(to.proxy), None
    if to.proxy is not None:
        return aiohttp.TCPConnector(force_close=True), to.proxy
    pinned = Pinned(to.addresses)
    return aiohttp.TCPConnector(
        resolver=pinned, socket_factory=pinned.open_socket, use_dns_cache=False, force_close=True
    ), None


def _redirected(url: URL, response: aiohttp.ClientResponse) -> URL:
    try:
        return parse_url(str(url.join(URL(response.headers["Location"]))))
    except (KeyError, ValueError, FetchError) as error:
        raise FetchError(FetchFault.BROKEN, f"{named(url)} redirects to what is no address") from error


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    found = bytearray()
    if (response.content_length or 0) > most:
        raise _too_large(response, most)
    async for part in response.content.iter_any():
        found += part
        if len(found) > most:
            raise _too_large(response, most)
    return _unpacked(response, bytes(found), most)


def _unpacked(response: aiohttp.ClientResponse, body: bytes, most: int) -> bytes:
    """The body without its encoding. Unpacked here, because aiohttp takes a gzip that is cut off for a whole one."""
    is_packed = _IS_PACKED.get(response.headers.get("Content-Encoding", "").strip().lower())
    if is_packed is None:
        raise FetchError(FetchFault.BROKEN, f"{named(response.url)} answers in an encoding that was not asked for")
    if not is_packed or not body:
        return body
    unpacker = zlib.decompressobj(_ANY_HEAD)
    try:
        found = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise _broke_off(response) from error
    if len(found) > most:
        raise _too_large(response, most)
    if not unpacker.eof or unpacker.unused_data:
        raise _broke_off(response)
    return found


def _too_large(response: aiohttp.ClientResponse, most: int) -> FetchError:
    return FetchError(FetchFault.TOO_LARGE, f"{named(response.url)} answers with more than {most:,} bytes")


def _broke_off(response: aiohttp.ClientResponse) -> FetchError:
    return FetchError(FetchFault.BROKEN, f"the answer of {named(response.url)} broke off")


#: Exceptions of aiohttp, what each means, and its sentence; the nearest class counts.
_MEANINGS: Final[Mapping[type[BaseException], tuple[FetchFault, str]]] = {
    aiohttp.ClientConnectorCertificateError: (
        FetchFault.UNREACHABLE, "{host} is not trusted: its certificate is unknown, over, or made for another name",
    ),
    aiohttp.ClientProxyConnectionError: (FetchFault.UNREACHABLE, "the proxy to {host} cannot be reached: {why}"),
    aiohttp.ClientHttpProxyError: (FetchFault.UNREACHABLE, "the proxy does not lead to {host}"),
    aiohttp.ClientConnectorError: (FetchFault.UNREACHABLE, "{host} cannot be reached: {why}"),
    aiohttp.ClientResponseError: (FetchFault.BROKEN, "{host} answers with a head that is no HTTP, or too large"),
    aiohttp.InvalidURL: (FetchFault.ADDRESS, "the address at {host} cannot be asked"),
    aiohttp.ClientError: (FetchFault.BROKEN, "the answer of {host} broke off"),
    OSError: (FetchFault.BROKEN, "the answer of {host} broke off"),  # it may have been asked by then
}  # fmt: skip


@contextmanager
def _told_as_ours(to: Admitted) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise
    except (aiohttp.ClientError, OSError) as error:
        fault, sentence = next(_MEANINGS[kind] for kind in type(error).__mro__ if kind in _MEANINGS)
        raise FetchError(fault, sentence.format(host=named(to.url), why=one_line(trouble(error)))) from error
    except socks_failures(to.proxy) as error:
        sentence = f"the proxy does not lead to {named(to.url)}: {one_line(trouble(error))}"
        raise FetchError(FetchFault.UNREACHABLE, sentence) from error
