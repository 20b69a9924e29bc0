"""Addresses of relays, as texts. Whether one may be dialled is decided where it is dialled."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from kitestring.base.errors import CodecError

#: Real ones have less than 100; a pointer can carry 255.
MAX_RELAY_URL_LENGTH: Final = 512

#: Addresses whose judgement is kept (about 0.2 kB each, a long one 0.6): most codes and links name the same few relays.
MAX_JUDGED_URLS: Final = 1_024

_RELAY_URL: Final = re.compile(
    r"wss?://(?:[^\s\x00-\x1f\x7f/?#@:\\\[\]]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:[/?][^\s\x00-\x1f\x7f#]*)?",
    re.IGNORECASE,
)


def is_relay_url(url: str) -> bool:
    """``ws://`` or ``wss://``, a host, a port that there is, no user information, no fragment, nothing that cannot be
    seen."""
    return len(url) <= MAX_RELAY_URL_LENGTH and _is_relay_url(url)


@lru_cache(MAX_JUDGED_URLS)
def _is_relay_url(url: str) -> bool:
    if _RELAY_URL.fullmatch(url) is None or not url.isprintable():
        return False
    try:
        return urlsplit(url).port != 0
    except ValueError:  # a port beyond 65,535, brackets around no address
        return False


def require_relay_url(url: str) -> str:
    """``url`` unchanged. Raises CodecError if it is no address of a relay."""
    if not is_relay_url(url):
        raise CodecError("a relay must be a ws:// or wss:// address without user name")
    return url


def usable_relays(urls: Iterable[str], most: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The first ``most`` addresses of relays among ``urls``, as they are written, and what was left out: one bad value
    among good ones is no reason to refuse a link."""
    good: list[str] = []
    left_out: list[str] = []
    for url in urls:
        (good if len(good) < most and is_relay_url(url) else left_out).append(url)
    return tuple(good), tuple(left_out)
