"""Nostr events (NIP-01): strict decoding, canonical ids, signing and verification."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Annotated, Final

import msgspec

from kitestring.base.errors import CodecError
from kitestring.base.money import MAX_WHOLE
from kitestring.crypto.keys import NO_AUX, SecretKey
from kitestring.crypto.secp import schnorr_verify

#: Largest incoming event in bytes; larger ones are refused before parsing.
MAX_EVENT_BYTES: Final = 131_072
#: Largest event we publish, in bytes (the common limit of relays).
MAX_OUTGOING_EVENT_BYTES: Final = 65_536
#: NIP-01 has no bound for times; JSON numbers above this are not exact everywhere.
MAX_TIME: Final = MAX_WHOLE
MAX_KIND: Final = 65_535

_HEX_256: Final = re.compile("[0-9a-f]{256}").fullmatch

Hex32 = Annotated[str, msgspec.Meta(min_length=64, max_length=64)]
Hex64 = Annotated[str, msgspec.Meta(min_length=128, max_length=128)]
Kind = Annotated[int, msgspec.Meta(ge=0, le=MAX_KIND)]
Time = Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME)]


class Event(msgspec.Struct, frozen=True):
    """A signed event. ``created_at`` in Unix seconds; ``id``, ``pubkey``, ``sig`` are lower-case hex.

    A decoded event has the right shape; only :func:`verify_event` says whether id and signature are true.
    """

    id: Hex32
    pubkey: Hex32
    created_at: Time
    kind: Kind
    tags: list[list[str]]
    content: str
    sig: Hex64

    def __post_init__(self) -> None:
        if _HEX_256(self.id + self.pubkey + self.sig) is None:
            raise ValueError("id, pubkey and sig must be lower-case hex")


class Head(msgspec.Struct, frozen=True, gc=False):
    """Id and author of an event: a relay's OK is matched by them."""

    id: str
    pubkey: str


_decode: Final = msgspec.json.Decoder(Event).decode
_head: Final = msgspec.json.Decoder(Head).decode
_encode: Final = msgspec.json.Encoder().encode


def canonical(pubkey: str, created_at: int, kind: int, tags: list[list[str]], content: str) -> bytes:
    """The serialisation of NIP-01 that an id is the hash of. Raises CodecError for text that is not UTF-8 (lone
    surrogates)."""
    try:
        return _encode((0, pubkey, created_at, kind, tags, content))
    except UnicodeEncodeError as error:
        raise CodecError("the event contains text that is not valid Unicode") from error


def event_digest(pubkey: str, created_at: int, kind: int, tags: list[list[str]], content: str) -> bytes:
    """SHA-256 of :func:`canonical`. Raises CodecError as it does."""
    return sha256(canonical(pubkey, created_at, kind, tags, content)).digest()


def event_id(pubkey: str, created_at: int, kind: int, tags: list[list[str]], content: str) -> str:
    """The event id, 64 lower-case hex characters. Raises CodecError as :func:`event_digest`."""
    return event_digest(pubkey, created_at, kind, tags, content).hex()


def sign_event(
    key: SecretKey, *, kind: int, tags: list[list[str]], content: str, created_at: int, aux: bytes = NO_AUX
) -> Event:
    """A signed event by ``key``. ``aux`` is 32 random bytes (BIP-340); zeros are safe, only less side-channel proof.

    Raises CodecError when kind or time are out of range or the text is not valid Unicode.
    """
    if not (0 <= kind <= MAX_KIND and 0 <= created_at <= MAX_TIME):
        raise CodecError("the kind or time of the event is out of range")
    pubkey = key.public_hex
    digest = event_digest(pubkey, created_at, kind, tags, content)
    return Event(digest.hex(), pubkey, created_at, kind, tags, content, key.sign(digest, aux).hex())


def verify_event(event: Event) -> bool:
    """Whether the id is the hash of the event and the signature is the author's."""
    try:
        digest = event_digest(event.pubkey, event.created_at, event.kind, event.tags, event.content)
    except CodecError:
        return False
    if digest.hex() != event.id:
        return False
    return schnorr_verify(bytes.fromhex(event.pubkey), digest, bytes.fromhex(event.sig))


def decode_event(raw: bytes | str) -> Event:
    """An event out of its JSON object. Raises CodecError: too large, not JSON, a member missing or of a wrong type."""
    try:
        data = raw.encode() if isinstance(raw, str) else raw
        if len(data) > MAX_EVENT_BYTES:
            raise CodecError(f"the event is larger than {MAX_EVENT_BYTES} bytes")
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise CodecError("this is not a Nostr event") from error


def read_head(own_event: bytes) -> Head:
    """Id and author of an event that we have encoded ourselves: nothing is checked. Raises msgspec.MsgspecError."""
    return _head(own_event)


def encode_event(event: Event) -> bytes:
    """The event as compact JSON. Raises CodecError for text that is not valid Unicode."""
    try:
        return _encode(event)
    except UnicodeEncodeError as error:
        raise CodecError("the event contains text that is not valid Unicode") from error


def first_tag(event: Event, name: str) -> str | None:
    """The value of the first tag of that name, None when there is none or it has no value."""
    for tag in event.tags:
        if tag and tag[0] == name:
            return tag[1] if len(tag) > 1 else None
    return None


def tag_values(event: Event, name: str) -> list[str]:
    """The first values of all tags of that name, in order."""
    return [tag[1] for tag in event.tags if len(tag) > 1 and tag[0] == name]
