"""Texts from peers: capped and without control characters before anything else sees them."""

from __future__ import annotations

import re
from typing import Final

#: What a peer's error text may fill on a screen or in a log line, in characters.
MAX_PEER_MESSAGE: Final = 200
#: BOLT #11 descriptions have at most 1,023 groups of five bits.
MAX_DESCRIPTION_BYTES: Final = 639

#: Controls, line and paragraph separators, and the marks that reorder what a reader sees.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str, max_length: int) -> str:
    """``text`` without control characters, cut to ``max_length`` characters."""
    if text.isprintable():
        return text[:max_length]
    # Cut twice: the first cut bounds the work, the second the result.
    return _UNSAFE.sub("", text[: 4 * max_length])[:max_length]


def clean_description(text: str) -> str:
    """``text`` without control characters, cut to what an invoice can carry."""
    text = clean(text, MAX_DESCRIPTION_BYTES)
    return text if text.isascii() else text.encode()[:MAX_DESCRIPTION_BYTES].decode(errors="ignore")


def escape_unsafe(json_text: str) -> str:
    """The same JSON value, written so that the text itself holds no control characters.

    Values are not changed: a signed event may be among them.
    """
    if json_text.isprintable():
        return json_text
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", json_text)
