"""z-base-32: five bits in a letter, in an order of letters that people like. Lightning nodes write signatures in it.

Of the text nothing is left over here: only whole bytes whose bits end with a letter are written and read (multiples of
five bytes). Specification: https://philzimmermann.com/docs/human-oriented-base-32-encoding.txt.
"""

from __future__ import annotations

from base64 import b32decode, b32encode
from typing import Final

from kitestring.base.errors import CodecError

ALPHABET: Final = "ybndrfg8ejkmcpqxot1uwisza345h769"
_BASE32: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_WRITE: Final = str.maketrans(_BASE32, ALPHABET)
_READ: Final = str.maketrans(ALPHABET, _BASE32)


def encode(data: bytes) -> str:
    """Raises ValueError for a number of bytes that is no multiple of five."""
    if len(data) % 5:
        raise ValueError("only multiples of five bytes end with a letter")
    return b32encode(data).decode().translate(_WRITE)


def decode(text: str) -> bytes:
    """Raises CodecError for another letter or length."""
    if len(text) % 8 or not set(text) <= set(ALPHABET):
        raise CodecError("this is no z-base-32")
    return b32decode(text.translate(_READ))
