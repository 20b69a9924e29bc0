"""The guard of relay addresses: what a stranger wrote into a code must not reach into a private network.

URLs that the caller has configured are free. A URL out of a foreign code must be ``wss`` on a public address, and
the check is made on the very address that is connected to (:func:`public_socket`), so that neither a name that
resolves differently the second time nor a redirect gets around it. CLINK pointers, relay dial guard.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Iterable
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from kitestring.base.errors import KitestringError, Reason
from kitestring.codec.hosts import is_private_by_text, is_public
from kitestring.codec.relay_url import is_relay_url

#: Relays dialled per pointer: more would let one code make us open sockets to a whole list of victims.
MAX_FOREIGN_RELAYS: Final = 4
#: Characters of an unusable URL that an error repeats: it is a stranger's text.
MAX_SHOWN_CHARS: Final = 100
DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}


#: Part of a sentence: a relay of one's own is exempt.
REMEDY: Final = "if it is your own, name it among your relays"


def _bad(url: str) -> KitestringError:
    text = f"{url[:MAX_SHOWN_CHARS]!r} is no relay address; it must look like wss://relay.example.com"
    return KitestringError(Reason.MALFORMED, text)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _bad(url) from error
    if not is_relay_url(url) or port == 0 or parts.fragment:
        raise _bad(url)
    return parts


def normalise(url: str) -> str:
    """The form under which two spellings of one relay are equal. Raises KitestringError (malformed)."""
    parts = _split(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port in {None, DEFAULT_PORTS[parts.scheme]} else f":{parts.port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}{query}"


def check_foreign(url: str, configured: Collection[str] = (), *, allow_private: bool = False) -> str:
    """Check a relay URL out of a foreign code as far as its text tells; return it as it is written.

    ``configured`` holds the caller's own relays, normalised; they are exempt. The address behind a name is checked when
    it is connected to. Raises KitestringError: malformed, or not permitted.
    """
    known = normalise(url)
    if known in configured or allow_private:
        return url
    parts = _split(url)
    if parts.scheme != "wss":
        raise KitestringError(Reason.NOT_PERMITTED, f"the relay {known} of the code is not encrypted (wss); {REMEDY}")
    if is_private_by_text(parts.hostname or ""):
        sentence = f"the relay {known} of the code is not on a public address; {REMEDY}"
        raise KitestringError(Reason.NOT_PERMITTED, sentence)
    return url


def foreign_relays(urls: Iterable[str], configured: Collection[str] = (), *, allow_private: bool = False) -> list[str]:
    """The first relays of a pointer that may be dialled, at most 4, as they are written and without repetition.

    Refused ones are left out; raises KitestringError (of the first) when none is left.
    """
    good: dict[str, str] = {}
    first_error: KitestringError | None = None
    for url in urls:
        try:
            good.setdefault(normalise(url), check_foreign(url, configured, allow_private=allow_private))
        except KitestringError as error:
            first_error = first_error or error
        if len(good) == MAX_FOREIGN_RELAYS:
            break
    if not good and first_error is not None:
        raise first_error
    return list(good.values())


def public_socket(address_info: tuple[Any, ...]) -> socket.socket:
    """A socket for exactly this resolved address (``getaddrinfo`` row). Raises OSError when it is not public.

    Given to aiohttp as ``socket_factory``: whatever led here, a name, a literal or a redirect, this is what is dialled.
    """
    family, kind, protocol, _, address = address_info
    if not is_public(str(address[0])):
        raise OSError(errno.EACCES, "the relay of the code is not on a public address")
    return socket.socket(family=family, type=kind, proto=protocol)
