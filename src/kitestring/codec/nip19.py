"""NIP-19: keys, notes and references with relay hints as text (``npub1…``, ``nprofile1…``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kitestring.base.errors import CodecError
from kitestring.codec import bech32, tlv
from kitestring.codec.pasted import tidy
from kitestring.codec.relay_url import is_relay_url, require_relay_url
from kitestring.crypto import secp

#: Advised by NIP-19; a hard limit here.
MAX_LENGTH: Final = 5_000

_SPECIAL, _RELAY, _AUTHOR, _KIND = range(4)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """``npub``: a key in 64 hex digits."""

    pubkey: str


@dataclass(frozen=True, slots=True)
class Nsec:
    """``nsec``: a secret key, which never shows itself."""

    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Note:
    """``note``: an event id in 64 hex digits."""

    event_id: str


@dataclass(frozen=True, slots=True)
class Profile:
    """``nprofile``: a key and where to find its events. Hints that are no relay addresses are left out on reading."""

    pubkey: str
    relays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventPointer:
    """``nevent``: an event id with hints."""

    event_id: str
    relays: tuple[str, ...] = ()
    author: str | None = None
    kind: int | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """``naddr``: a replaceable event."""

    identifier: str
    author: str
    kind: int
    relays: tuple[str, ...] = ()


Entity = PublicKey | Nsec | Note | Profile | EventPointer | Address


def decode(text: str) -> Entity:
    """Read any NIP-19 text, with or without ``nostr:``. Raises CodecError."""
    hrp, data = bech32.decode(strip_scheme(text), limit=MAX_LENGTH)
    reader = _READERS.get(hrp)
    if reader is None:
        raise CodecError(f"{hrp}1… is not a kind of text that NIP-19 knows")
    return reader(data)


def encode(entity: Entity) -> str:
    """The text of an entity. Raises CodecError for a bad key, id, relay or kind."""
    hrp, data = _WRITERS[type(entity)](entity)
    return bech32.encode(hrp, data, limit=MAX_LENGTH)


def decode_secret(text: str) -> bytes:
    """The 32 bytes of an ``nsec`` or of 64 hex digits. Raises CodecError, never naming what it was given."""
    text = strip_scheme(text)
    try:
        secret = bytes.fromhex(text) if len(text) == 64 else b""
    except ValueError:
        secret = b""
    if not secret:
        entity = decode(text)
        secret = entity.secret if isinstance(entity, Nsec) else b""
    if not secp.is_valid_secret(secret):
        raise CodecError("this is not a secret key")
    return secret


def read_public_key(text: str) -> str:
    """The public key in 64 hex digits or an ``npub``, as hex in lower case. Raises CodecError."""
    bare = text.strip()
    try:
        entity = PublicKey(bytes.fromhex(bare).hex()) if len(bare) == 64 else decode(bare)
    except (CodecError, ValueError):
        entity = None
    key = bytes.fromhex(entity.pubkey) if isinstance(entity, PublicKey) else b""
    if len(key) != 32 or not secp.is_valid_public(key):
        raise CodecError("this is no public key: name it as npub1… or in 64 hex digits")
    return key.hex()


def strip_scheme(text: str) -> str:
    """Without ``nostr:`` (NIP-21) and without what pasting leaves."""
    text = tidy(text)
    return text[6:].removeprefix("//") if text[:6].lower() == "nostr:" else text


def hex32(text: str) -> bytes:
    """64 hex digits as bytes. Raises CodecError."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != 32 or len(text) != 64:
        raise CodecError("a key or id must be 64 hex digits")
    return value


def _hex(value: bytes) -> str:
    if len(value) != 32:
        raise CodecError("a key or id in the text does not have 32 bytes")
    return value.hex()


class _Parts:
    """The TLV entries by type; the first of a kind counts, unknown kinds are ignored."""

    def __init__(self, data: bytes) -> None:
        self._first: dict[int, bytes] = {}
        relays: list[str] = []
        for kind, value in tlv.decode(data):
            self._first.setdefault(kind, value)
            if kind == _RELAY and is_relay_url(url := value.decode(errors="surrogateescape")):
                relays.append(url)
        self.relays = tuple(relays)

    def need(self, kind: int) -> bytes:
        if kind not in self._first:
            raise CodecError("the text lacks a part that it must have")
        return self._first[kind]

    def author(self) -> str | None:
        return _hex(self._first[_AUTHOR]) if _AUTHOR in self._first else None

    def kind(self) -> int | None:
        value = self._first.get(_KIND)
        if value is not None and len(value) != 4:
            raise CodecError("the kind of the event does not have 4 bytes")
        return None if value is None else int.from_bytes(value, "big")


def _read_secret(data: bytes) -> Nsec:
    if not secp.is_valid_secret(data):
        raise CodecError("this is not a secret key")
    return Nsec(data)


def _read_profile(data: bytes) -> Profile:
    parts = _Parts(data)
    return Profile(_hex(parts.need(_SPECIAL)), parts.relays)


def _read_event(data: bytes) -> EventPointer:
    parts = _Parts(data)
    return EventPointer(_hex(parts.need(_SPECIAL)), parts.relays, parts.author(), parts.kind())


def _read_address(data: bytes) -> Address:
    parts = _Parts(data)
    author, kind = parts.author(), parts.kind()
    if author is None or kind is None:
        raise CodecError("an address must name its author and kind")
    return Address(tlv.text(parts.need(_SPECIAL)), author, kind, parts.relays)


def _relay_parts(relays: Sequence[str]) -> list[tuple[int, bytes]]:
    return [(_RELAY, require_relay_url(relay).encode()) for relay in relays]


def _kind_part(kind: int) -> tuple[int, bytes]:
    if not 0 <= kind < 1 << 32:
        raise CodecError("the kind of an event has 32 bits")
    return _KIND, kind.to_bytes(4, "big")


def _write_event(entity: EventPointer) -> bytes:
    parts = [(_SPECIAL, hex32(entity.event_id)), *_relay_parts(entity.relays)]
    if entity.author is not None:
        parts.append((_AUTHOR, hex32(entity.author)))
    if entity.kind is not None:
        parts.append(_kind_part(entity.kind))
    return tlv.encode(parts)


def _write_address(entity: Address) -> bytes:
    author = (_AUTHOR, hex32(entity.author))
    identifier = (_SPECIAL, entity.identifier.encode())
    return tlv.encode([identifier, *_relay_parts(entity.relays), author, _kind_part(entity.kind)])


_READERS: Final[dict[str, Callable[[bytes], Entity]]] = {
    "npub": lambda data: PublicKey(_hex(data)),
    "nsec": _read_secret,
    "note": lambda data: Note(_hex(data)),
    "nprofile": _read_profile,
    "nevent": _read_event,
    "naddr": _read_address,
}
_WRITERS: Final[dict[type[Entity], Callable[[Any], tuple[str, bytes]]]] = {
    PublicKey: lambda entity: ("npub", hex32(entity.pubkey)),
    Nsec: lambda entity: ("nsec", entity.secret),
    Note: lambda entity: ("note", hex32(entity.event_id)),
    Profile: lambda entity: (
        "nprofile",
        tlv.encode([(_SPECIAL, hex32(entity.pubkey)), *_relay_parts(entity.relays)]),
    ),
    EventPointer: lambda entity: ("nevent", _write_event(entity)),
    Address: lambda entity: ("naddr", _write_address(entity)),
}
