"""Type-length-value with one byte each for type and length, as NIP-19 and the CLINK pointers use it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kitestring.base.errors import CodecError

#: The length is one byte.
MAX_VALUE_LENGTH: Final = 255


def decode(data: bytes) -> list[tuple[int, bytes]]:
    """All entries in wire order. Raises CodecError for an empty, stray or truncated entry."""
    entries: list[tuple[int, bytes]] = []
    position, end = 0, len(data)
    if not end:
        raise CodecError("the text carries no data")
    while position < end:
        start = position + 2
        position = start + data[position + 1] if start <= end else end + 1
        if position > end:
            raise CodecError("the data ends in the middle of an entry")
        entries.append((data[start - 2], data[start:position]))
    return entries


def encode(entries: Iterable[tuple[int, bytes]]) -> bytes:
    """The entries in the given order. Raises CodecError for a value of more than 255 bytes."""
    parts: list[bytes] = []
    for kind, value in entries:
        if len(value) > MAX_VALUE_LENGTH:
            raise CodecError(f"a value has {len(value)} bytes, at most {MAX_VALUE_LENGTH} can be written")
        parts.append(bytes((kind, len(value))) + value)
    return b"".join(parts)


def text(value: bytes) -> str:
    """A value as UTF-8 text. Raises CodecError."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise CodecError("a value is not valid text") from None
