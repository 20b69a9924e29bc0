"""Texts as the wires carry them: the limits of each, in the unit of its specification."""

from __future__ import annotations

from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.text import clean, escape_unsafe
from kitestring.codec.bolt11 import MAX_DESCRIPTION_BYTES
from kitestring.codec.json import dumps

#: The largest text whose encrypted event stays below what relays take: the last NIP-44 padding step that fits.
MAX_PLAINTEXT_BYTES: Final = 40_960
#: Of a payer's words to an offer, as JavaScript counts them: services that are built on clink-sdk refuse more.
MAX_OFFER_WORDS_UNITS: Final = 100
#: Of a payer's words with a debit, in the same unit: what comes longer is cut.
MAX_DEBIT_WORDS_UNITS: Final = 100
#: What a peer's error text may fill on a screen or in a log line, in characters.
MAX_PEER_MESSAGE: Final = 200


def clean_description(text: str) -> str:
    """``text`` on one line, cut to the bytes that an invoice can carry."""
    text = clean(text, MAX_DESCRIPTION_BYTES)
    return text if text.isascii() else text.encode()[:MAX_DESCRIPTION_BYTES].decode(errors="ignore")


def fit_description(text: str) -> str:
    """The owner's own ``text`` on one line. Raises KitestringError where an invoice cannot carry it: nothing is cut
    that somebody has typed."""
    text = clean(text, len(text))
    size = len(text.encode(errors="replace"))
    if size > MAX_DESCRIPTION_BYTES:
        sentence = f"the description has {size} bytes, and an invoice carries at most {MAX_DESCRIPTION_BYTES}"
        raise KitestringError(Reason.MALFORMED, sentence)
    return text


def fit_offer_words(text: str) -> str:
    """The payer's own words to an offer, on one line. Raises KitestringError where services refuse them."""
    text = clean(text, len(text))
    units = len(text.encode("utf-16-le", errors="replace")) // 2
    if units > MAX_OFFER_WORDS_UNITS:
        raise KitestringError(
            Reason.MALFORMED,
            f"the description has {units} characters (an emoji counts as two), and an offer takes at most "
            f"{MAX_OFFER_WORDS_UNITS}",
        )
    return text


def clean_words(text: str, max_units: int) -> str:
    """A stranger's ``text`` on one line, cut to ``max_units`` of UTF-16, as JavaScript counts; no character is cut in
    two."""
    text = clean(text, max_units)
    if text.isascii():
        return text
    return text.encode("utf-16-le", errors="replace")[: 2 * max_units].decode("utf-16-le", errors="ignore")


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
