"""Proxies as a value: which one, if any, leads to a relay or a web server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from kitestring.base.errors import KitestringError, Reason

#: Hosts that are never reached through a proxy unless the caller says so.
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
SOCKS_SCHEMES: Final = ("socks5h", "socks5", "socks4a", "socks4")
HTTP_SCHEMES: Final = ("http", "https")
#: Schemes of URLs that go by the proxy for encrypted connections.
ENCRYPTED: Final = ("wss", "https")


@dataclass(frozen=True, slots=True)
class Proxies:
    """``wss`` and ``ws`` are proxy URLs (http, https, socks5, socks5h, socks4) for relays of that scheme; the first is
    for ``https`` too, the second for ``http``.

    Settings fill them from HTTPS_PROXY and HTTP_PROXY: aiohttp's own look-up knows no proxy for ``wss``.
    ``bypass`` are hosts, or domain suffixes with a leading dot, that are dialled directly (NO_PROXY); ``*`` is all.
    ``allow_foreign`` lets relays of foreign codes, and foreign URLs, through although no address can be checked behind
    a proxy.
    The repr shows no URL, because a proxy URL may carry a password. Raises KitestringError for what is no
    proxy URL, without repeating it.
    """

    wss: str | None = None
    ws: str | None = None
    bypass: tuple[str, ...] = LOOPBACK
    allow_foreign: bool = False

    def __post_init__(self) -> None:
        for proxy in filter(None, (self.wss, self.ws)):
            _check(proxy)

    def for_url(self, url: str) -> str | None:
        """The proxy that leads to a URL, or None for a direct connection."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if any(_covers(rule, host) for rule in self.bypass):
            return None
        return self.wss if parts.scheme in ENCRYPTED else self.ws

    def __repr__(self) -> str:
        return f"Proxies(wss={self.wss is not None}, ws={self.ws is not None}, bypass={self.bypass})"


def _check(proxy: str) -> None:
    try:
        parts = urlsplit(proxy)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise KitestringError(Reason.MALFORMED, "a proxy URL cannot be read: check its host and port") from None
    if parts.scheme not in (*SOCKS_SCHEMES, *HTTP_SCHEMES):
        raise KitestringError(Reason.MALFORMED, "a proxy must begin with http://, https://, socks5:// or socks4://")
    if not is_whole:
        raise KitestringError(Reason.MALFORMED, "a proxy URL lacks its host: write socks5://127.0.0.1:9050, say")


def _covers(rule: str, host: str) -> bool:
    return rule == "*" or host == rule.lstrip(".") or (rule.startswith(".") and host.endswith(rule))


def is_socks(proxy: str) -> bool:
    return urlsplit(proxy).scheme in SOCKS_SCHEMES
