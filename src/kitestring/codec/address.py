"""A name at a domain (``name@domain``: Lightning address, NIP-05) and the documents that its domain serves about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from kitestring.base.errors import CodecError

MAX_NAME_CHARS: Final = 64
MAX_HOST_CHARS: Final = 255

_NAME: Final = re.compile(r"[a-z0-9_.+-]+", re.ASCII)
_HOST: Final = re.compile(
    r"(?P<domain>[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+)(?::[1-9][0-9]{0,4})?", re.ASCII
)
_NUMBERS: Final = re.compile(r"[0-9.]+", re.ASCII)
_ONION: Final = ".onion"


@dataclass(frozen=True, slots=True)
class InternetAddress:
    """``host`` may have a port. Both parts are in lower case."""

    name: str
    host: str

    def __str__(self) -> str:
        return f"{self.name}@{self.host}"

    @property
    def nostr_json(self) -> str:
        """The URL of the document of NIP-05 about the name."""
        return f"{self._origin}/.well-known/nostr.json?name={quote(self.name, safe='')}"

    @property
    def lnurlp(self) -> str:
        """The URL of the document of LUD-16 about the name."""
        return f"{self._origin}/.well-known/lnurlp/{quote(self.name, safe='+')}"

    @property
    def _origin(self) -> str:
        """Tor encrypts by itself, and its services have no certificates."""
        is_onion = self.host.partition(":")[0].endswith(_ONION)
        return f"{'http' if is_onion else 'https'}://{self.host}"


def decode(text: str) -> InternetAddress:
    """Read ``name@domain`` in any case. Raises CodecError, also for an address of numbers in place of a domain."""
    name, _, host = text.strip().lower().partition("@")
    found = _HOST.fullmatch(host) if len(host) <= MAX_HOST_CHARS else None
    if found is None or _NUMBERS.fullmatch(found["domain"]):
        raise CodecError("an address is a name at a domain, such as me@example.com")
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME_CHARS:
        raise CodecError(f"the name in an address has 1 to {MAX_NAME_CHARS} letters, digits, dots, - _ and +")
    return InternetAddress(name, host)
