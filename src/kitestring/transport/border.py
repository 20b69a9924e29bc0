"""The place that a URL leads to, and whether it may be asked: decided before anything is sent, for each redirect anew.

A name is resolved once, every address behind it is checked, and only these addresses are connected to. So neither a
name that resolves differently the second time nor one with a private address among public ones gets around the check.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.text import one_line
from kitestring.codec.hosts import is_private_by_text, is_public
from kitestring.transport.names import AddressInfo, as_resolved, resolve, resolve_foreign
from kitestring.transport.proxies import Proxies
from kitestring.transport.trouble import trouble

#: The longest URL that common servers take.
MAX_URL_CHARS: Final = 8_192
SCHEMES: Final = ("https", "http")
ONION: Final = ".onion"
#: Where the owner names the servers that are his own.
SETTING: Final = "network.private_hosts"

AddressLookup = Callable[[str, int], Awaitable[Sequence[AddressInfo]]]


class FetchFault(StrEnum):
    """The kind of a failure."""

    ADDRESS = "address"  # no URL that could be fetched
    REFUSED = "refused"  # it leads where we do not go; nothing was sent
    UNREACHABLE = "unreachable"  # no connection, no trust in its certificate; nothing was sent
    LATE = "late"
    TOO_LARGE = "too_large"
    REDIRECTED = "redirected"  # once where none is followed, or too often
    BROKEN = "broken"  # the answer is no HTTP, or breaks off


_REASONS: Final[Mapping[FetchFault, Reason]] = {
    FetchFault.ADDRESS: Reason.MALFORMED,
    FetchFault.REFUSED: Reason.NOT_PERMITTED,
    FetchFault.UNREACHABLE: Reason.UNAVAILABLE,
    FetchFault.LATE: Reason.UNAVAILABLE,
    FetchFault.TOO_LARGE: Reason.UNAVAILABLE,
    FetchFault.REDIRECTED: Reason.UNAVAILABLE,
    FetchFault.BROKEN: Reason.UNAVAILABLE,
}


class FetchError(KitestringError):
    """Nothing was fetched. The sentence names the host and never the rest of the URL, which may hold a secret."""

    def __init__(self, fault: FetchFault, sentence: str) -> None:
        super().__init__(_REASONS[fault], sentence, fault=fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Admitted:
    """A URL that may be asked: through ``proxy``, or else at no other than these ``addresses``."""

    url: URL = field(repr=False)
    proxy: str | None = field(repr=False)
    addresses: tuple[AddressInfo, ...] = ()


def parse_url(text: str) -> URL:
    """An http(s) URL without credentials in it; what follows # is left out. Raises FetchError."""
    try:
        url = URL(text).with_fragment(None)
        is_whole = url.scheme in SCHEMES and bool(url.raw_host) and url.port != 0
    except (ValueError, UnicodeError):
        is_whole = False
    if not is_whole or len(text) > MAX_URL_CHARS or any(sign <= " " or sign == "\x7f" for sign in text):
        sentence = "this is no address that can be fetched; it must look like https://example.com/path"
        raise FetchError(FetchFault.ADDRESS, sentence)
    if url.user is not None or url.password is not None:
        sentence = f"the address at {named(url)} holds a user name or a password, which is never sent: leave it out"
        raise FetchError(FetchFault.ADDRESS, sentence)
    return url


def named(url: URL) -> str:
    """The host of a URL as sentences name it."""
    return one_line(url.raw_host or "")


class Border:
    """The rule of where to. ``private_hosts`` are hosts, or ``host:port``, that the owner's own URLs may lead to
    although they are not public or not encrypted."""

    def __init__(
        self, proxies: Proxies, private_hosts: Collection[str] = (), resolver: AddressLookup | None = None
    ) -> None:
        self._proxies: Final = proxies
        self._private_hosts: Final = frozenset(host.lower() for host in private_hosts)
        self._resolvers: Final = {True: resolver or resolve, False: resolver or resolve_foreign}

    async def admit(self, url: URL, *, own: bool) -> Admitted:
        """Look where a URL leads; ``own`` says that the owner, and nobody else, has written its host. Raises FetchError
        when it may not be asked, or its name is unknown."""
        self.check(url, own=own)
        host = (url.raw_host or "").rstrip(".")
        is_onion, is_listed = host.endswith(ONION), own and self._is_listed(url)
        proxy = self._proxies.for_url(str(url))
        if proxy is None:
            if is_onion:
                sentence = (
                    f"{named(url)} is reached through Tor alone: name its proxy in network.proxy_wss and proxy_ws"
                )
                raise _refused(sentence)
            return Admitted(url, None, await self._addresses(url, host, own=own, is_listed=is_listed))
        if not (own or is_onion or self._proxies.allow_foreign):
            raise _refused(f"where {named(url)} leads to cannot be checked behind a proxy, so it is not asked")
        return Admitted(url, proxy)

    def check(self, url: URL, *, own: bool) -> None:
        """Look at the text of a URL alone, and ask nobody. Raises FetchError where it can never be asked."""
        host = (url.raw_host or "").rstrip(".")
        is_listed = own and self._is_listed(url)
        if url.scheme != "https" and not (host.endswith(ONION) or is_listed):
            raise _refused(f"{named(url)} would be asked without encryption: https is needed; {_remedy(url)}")
        if is_private_by_text(host) and not is_listed:
            raise _not_public(url)

    def _is_listed(self, url: URL) -> bool:
        host = url.raw_host or ""
        bracketed = f"[{host}]" if ":" in host else host
        return not self._private_hosts.isdisjoint({host, bracketed, f"{bracketed}:{url.port}"})

    async def _addresses(self, url: URL, host: str, *, own: bool, is_listed: bool) -> tuple[AddressInfo, ...]:
        try:
            found = tuple(await self._resolvers[own](host, url.port or 0))
        except (OSError, UnicodeError) as error:
            raise FetchError(
                FetchFault.UNREACHABLE, f"{named(url)} cannot be found: {one_line(trouble(error))}"
            ) from error
        if not found:
            raise FetchError(FetchFault.UNREACHABLE, f"{named(url)} has no address")
        if not is_listed and not all(is_public(str(address[0])) for *_, address in found):
            raise _not_public(url)
        return found


def _refused(sentence: str) -> FetchError:
    return FetchError(FetchFault.REFUSED, sentence)


def _remedy(url: URL) -> str:
    """The advice, in the form of the setting: another port of a host that stands there is another server."""
    host = f"[{named(url)}]" if ":" in named(url) else named(url)
    return f"if it is your own, name {host if url.is_default_port() else f'{host}:{url.port}'} in {SETTING}"


def _not_public(url: URL) -> FetchError:
    return _refused(f"{named(url)} is not on a public address; {_remedy(url)}")


class Pinned(AbstractResolver):
    """The resolver, and the maker of sockets, that know the checked addresses alone."""

    def __init__(self, addresses: Sequence[AddressInfo]) -> None:
        self._addresses: Final = addresses
        self._checked: Final = {ip_address(str(address[0])) for *_, address in addresses}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return as_resolved(host, port, self._addresses)

    async def close(self) -> None:
        """Hold nothing."""

    def open_socket(self, info: tuple[Any, ...]) -> socket.socket:
        """A socket for one of them. An address that stands in the URL is never resolved, so it is looked at here."""
        kind, style, protocol, _, address = info
        if ip_address(str(address[0])) not in self._checked:
            raise OSError(errno.EACCES, "this is none of the addresses that were checked")
        return socket.socket(kind, style, protocol)
