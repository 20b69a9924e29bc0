"""Addresses of relays, as texts. Whether one may be dialled is decided where it is dialled."""

from __future__ import annotations

import re
from typing import Final

from kitestring.base.errors import CodecError

#: Real ones have less than 100; a pointer can carry 255.
MAX_RELAY_URL_LENGTH: Final = 512

_RELAY_URL: Final = re.compile(
    r"wss?://(?:[^\s\x00-\x1f\x7f/?#@:\\\[\]]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:[/?#][^\s\x00-\x1f\x7f]*)?",
    re.IGNORECASE,
)


def is_relay_url(url: str) -> bool:
    """``ws://`` or ``wss://``, a host, no user information, no white space or control characters."""
    return len(url) <= MAX_RELAY_URL_LENGTH and _RELAY_URL.fullmatch(url) is not None


def require_relay_url(url: str) -> str:
    """``url`` unchanged. Raises CodecError if it is no address of a relay."""
    if not is_relay_url(url):
        raise CodecError("a relay must be a ws:// or wss:// address without user name")
    return url
