"""The rights in an lnd macaroon, read from the macaroon itself (libmacaroons v2, identifier of macaroon-bakery 3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kitestring.base.errors import CodecError

#: lnd's largest has about 300 bytes.
MAX_BYTES: Final = 4_096
#: The first byte of every macaroon of this form.
VERSION: Final = 2

_IDENTIFIER, _END = 2, 0
_BAKERY_3: Final = 3
_OPS_FIELD, _ENTITY_FIELD, _ACTIONS_FIELD = 3, 1, 2
_LENGTH_DELIMITED: Final = 2


def rights(macaroon: bytes) -> frozenset[str]:
    """``entity:action`` words. Raises CodecError when this is not a macaroon of lnd."""
    if len(macaroon) > MAX_BYTES or macaroon[:1] != bytes([VERSION]):
        raise CodecError("this is not an lnd macaroon")
    identifier = next((data for kind, data in _packets(macaroon[1:]) if kind == _IDENTIFIER), b"")
    if identifier[:1] != bytes([_BAKERY_3]):
        raise CodecError("this macaroon was not made by lnd")
    found: set[str] = set()
    for field, operation in _members(identifier[1:]):
        if field == _OPS_FIELD:
            members = [(kind, data.decode(errors="replace")) for kind, data in _members(operation)]
            entity = next((text for kind, text in members if kind == _ENTITY_FIELD), "")
            found |= {f"{entity}:{text}" for kind, text in members if kind == _ACTIONS_FIELD}
    return frozenset(found)


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The first section: type, length, bytes; ended by type 0."""
    position = 0
    while position < len(data) and data[position] != _END:
        kind, position = _varint(data, position)
        value, position = _bytes(data, position)
        yield kind, value


def _members(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Fields of a protobuf message; all of those in question are length-delimited."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        if key & 7 != _LENGTH_DELIMITED:
            raise CodecError("this macaroon has an identifier of an unknown form")
        value, position = _bytes(data, position)
        yield key >> 3, value


def _bytes(data: bytes, position: int) -> tuple[bytes, int]:
    length, position = _varint(data, position)
    if position + length > len(data):
        raise CodecError("the macaroon is cut off")
    return data[position : position + length], position + length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 63, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise CodecError("the macaroon is cut off")
