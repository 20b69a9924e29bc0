"""Texts as the wires carry them: the limits of each, and JSON without control characters."""

from __future__ import annotations

from typing import Final

from kitestring.base.text import UNSAFE, clean
from kitestring.codec.bolt11 import MAX_DESCRIPTION_BYTES
from kitestring.codec.json import dumps

#: The largest text whose encrypted event stays below what relays take: the last NIP-44 padding step that fits.
MAX_PLAINTEXT_BYTES: Final = 40_960
#: What a peer's error text may fill on a screen or in a log line, in characters.
MAX_PEER_MESSAGE: Final = 200


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
    return UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", json_text)


def metadata_text(metadata: object, max_chars: int) -> str:
    """A JSON object as text without control characters; "" for anything else, and where that is longer than
    ``max_chars``."""
    if not metadata or not isinstance(metadata, dict):
        return ""
    text = dumps(metadata)
    if len(text) > max_chars:
        return ""  # escaping only makes it longer, and takes time for each character
    text = escape_unsafe(text)
    return text if len(text) <= max_chars else ""
