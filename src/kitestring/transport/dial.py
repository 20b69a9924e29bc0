"""Opening the WebSocket of one relay: direct, through a proxy, or, for relays of foreign codes, guarded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

import aiohttp

from kitestring.base.errors import KitestringError, Reason
from kitestring.transport.cork import CorkedSocket
from kitestring.transport.guard import public_socket
from kitestring.transport.names import ForeignNames
from kitestring.transport.proxies import Proxies, is_socks

#: Messages above this end the connection; those between the frame limit and this are skipped, so that one oversize
#: stored event cannot make us reconnect forever.
MAX_MESSAGE_BYTES: Final = 1_048_576
#: Seconds for name look-up, TCP, TLS and the WebSocket handshake together; Tor needs most of them.
CONNECT_TIMEOUT_S: Final = 20.0
#: Seconds for the closing handshake; a relay that is silent until then is cut off.
CLOSE_TIMEOUT_S: Final = 2.0
#: Seconds between pings; without an answer within half of that a connection is dead. Below the 60 s after which common
#: reverse proxies cut an idle connection, and so short that a publication outlasts a connection which died before it.
HEARTBEAT_S: Final = 18.0

#: The question of NIP-11; what a cache has kept says nothing about now.
_ABOUT: Final = {"Accept": "application/nostr+json", "Cache-Control": "no-cache"}

Socket = aiohttp.ClientWebSocketResponse[bool]


async def _no_redirects(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    response = await handler(request)
    if 300 <= response.status < 400:
        response.close()
        raise aiohttp.ClientConnectionError("the relay answers with a redirect, which is not followed")
    return response


def socks_connector(proxy: str) -> aiohttp.BaseConnector:
    """Connections through a SOCKS proxy. Raises KitestringError without the extra package."""
    try:
        from aiohttp_socks import ProxyConnector  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise KitestringError(
            Reason.UNSUPPORTED, "a SOCKS proxy needs the extra package: pip install 'kitestring[tor]'"
        ) from error
    # Names are always resolved by the proxy: .onion has no other way, and a local look-up would tell who is asked for.
    plain = proxy.replace("socks5h://", "socks5://").replace("socks4a://", "socks4://")
    return ProxyConnector.from_url(plain, rdns=True, limit=0)


def socks_failures(proxy: str | None) -> tuple[type[Exception], ...]:
    """The exceptions of its own with which a SOCKS proxy fails; none for any other way."""
    if proxy is None or not is_socks(proxy):
        return ()
    from aiohttp_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError  # noqa: PLC0415 - an extra

    return ProxyError, ProxyConnectionError, ProxyTimeoutError


#: The ways without a SOCKS proxy: to our own relays, to those in the codes of others, and to these where the address
#: check is lifted.
_OWN, _GUARDED, _FOREIGN = "", "guarded", "foreign"
_DIRECT: Final[Mapping[str, Callable[[], aiohttp.TCPConnector]]] = {
    _OWN: lambda: aiohttp.TCPConnector(limit=0),
    _GUARDED: lambda: aiohttp.TCPConnector(limit=0, resolver=ForeignNames(), socket_factory=public_socket),
    _FOREIGN: lambda: aiohttp.TCPConnector(limit=0, resolver=ForeignNames()),
}


class Dialer:
    """Sessions for the three ways to a relay, made when first needed. Close it, or use it as a context. ``headers`` are
    sent with the request to a relay, by its URL."""

    def __init__(
        self, proxies: Proxies | None = None, headers: Mapping[str, Mapping[str, str]] | None = None, *,
        allow_private: bool = False,
    ) -> None:  # fmt: skip
        self._proxies: Final = proxies or Proxies()
        self._headers: Final = headers or {}
        self._allow_private: Final = allow_private
        self._sessions: Final[dict[str, aiohttp.ClientSession]] = {}

    async def open(self, url: str, *, foreign: bool = False) -> Socket:
        """The open WebSocket. ``foreign`` marks a URL out of somebody else's code: its address must be public.

        Raises KitestringError for a foreign URL that would go through a proxy and for a missing SOCKS extra, and
        OSError, TimeoutError or aiohttp.ClientError when the relay cannot be reached.
        """
        session, proxy = self._way(url, foreign=foreign)
        return await session.ws_connect(
            url,
            headers=self._headers.get(url),
            proxy=proxy,
            decode_text=False,
            heartbeat=HEARTBEAT_S,
            max_msg_size=MAX_MESSAGE_BYTES,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
        )

    async def ask_about(self, url: str) -> Mapping[str, str]:
        """The head of what one of our own relays answers to the question about itself (NIP-11), by the same way.
        Raises as :meth:`open`; the caller sets the time limit."""
        session, proxy = self._way(url)
        page = "http" + url.removeprefix("ws")
        async with session.get(page, proxy=proxy, headers=_ABOUT, allow_redirects=False) as answer:
            return answer.headers

    def _way(self, url: str, *, foreign: bool = False) -> tuple[aiohttp.ClientSession, str | None]:
        proxy = self._proxies.for_url(url)
        guarded = foreign and not self._allow_private
        if proxy is not None and guarded and not self._proxies.allow_foreign:
            raise KitestringError(
                Reason.NOT_PERMITTED, f"the relay {url} of the code cannot be checked behind a proxy, so it is not used"
            )
        if proxy is not None and is_socks(proxy):
            return self._session(proxy), None
        if proxy is not None:
            return self._session(_OWN), proxy
        return self._session(_GUARDED if guarded else _FOREIGN if foreign else _OWN), None

    def _session(self, way: str) -> aiohttp.ClientSession:
        session = self._sessions.get(way)
        if session is None:
            connector = _DIRECT[way]() if way in _DIRECT else socks_connector(way)
            session = aiohttp.ClientSession(
                connector=connector, middlewares=(_no_redirects,), trust_env=False, ws_response_class=CorkedSocket
            )
            self._sessions[way] = session
        return session

    async def close(self) -> None:
        while self._sessions:
            await self._sessions.popitem()[1].close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
