"""Request and reply events of every wire: kinds, tags, times, encryption, and which replies are believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kitestring.base.clocks import AHEAD_S
from kitestring.base.errors import CodecError
from kitestring.base.ports import Encoded, Entropy
from kitestring.crypto import nip04, nip44
from kitestring.crypto.failure import MAX_TEXT_BYTES
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import MAX_OUTGOING_EVENT_BYTES, Event, encode_event, first_tag, sign_event, verify_event
from kitestring.nostr.work import find_nonce
from kitestring.wire.clink import CLINK_VERSION
from kitestring.wire.grammar import Draft, Wire
from kitestring.wire.reply_to import Cipher, ReplyTo, Version
from kitestring.wire.text import MAX_PLAINTEXT_BYTES

#: Bytes of a text that a client reads: what relays carry at the most (some take messages of 512,000 bytes), in base64.
#: Nothing as long is ever written.
MAX_REPLY_BYTES: Final = 384_000


def shared_secret(key: SecretKey, peer: str, cipher: Cipher) -> bytes:
    """The secret of :func:`encrypt` and :func:`decrypt` for one pair of keys; worth caching. Raises CodecError."""
    return nip44.conversation_key(key, peer) if cipher == "nip44" else key.shared_x(peer)


def encrypt(plaintext: str, cipher: Cipher, shared: bytes, entropy: Entropy) -> str:
    """The content of an event. Raises CodecError beyond :data:`MAX_PLAINTEXT_BYTES`."""
    # A character has at most four bytes: ordinary messages are not encoded just to be counted.
    if 4 * len(plaintext) > MAX_PLAINTEXT_BYTES and len(plaintext.encode()) > MAX_PLAINTEXT_BYTES:
        raise CodecError(f"the message is larger than {MAX_PLAINTEXT_BYTES} bytes")
    if cipher == "nip44":
        return nip44.encrypt(plaintext, shared, entropy(32))
    return nip04.encrypt(plaintext, shared, entropy(16))


def decrypt(content: str, cipher: Cipher, shared: bytes, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """The text of a content, at most ``max_bytes`` long. Raises CodecError, which never says why."""
    decrypted = nip44.decrypt if cipher == "nip44" else nip04.decrypt
    return decrypted(content, shared, max_bytes)


def reply_time(request_created_at: int, now: int) -> int:
    """Not before the request, because clients subscribe from its time on, and never so far ahead of our clock that it
    would be refused."""
    return min(max(now, request_created_at), now + AHEAD_S)


def reply_event(
    wire: Wire, to: ReplyTo, plaintext: bytes, *, key: SecretKey, shared: bytes, entropy: Entropy, now: int
) -> Encoded:
    """The signed reply, or the same one again with a fresh time when relays find the stored one too old.

    ``wire`` is the one ``to.wire`` names, ``key`` that of ``to.key_id``, ``shared`` its secret with ``to.peer`` for
    ``to.cipher``. Raises CodecError when the event would be larger than relays take.
    """
    signed_at = reply_time(to.created_at, now)
    content = encrypt(plaintext.decode(), to.cipher, shared, entropy)
    tags = [["p", to.peer], ["e", to.event_id], *wire.reply_tags]
    if to.part:
        tags.append(["d", to.part])
    signed = sign_event(key, kind=wire.reply_kind, tags=tags, content=content, created_at=signed_at, aux=entropy(32))
    event = encode_event(signed)
    if len(event) > MAX_OUTGOING_EVENT_BYTES:
        raise CodecError(f"the reply is larger than {MAX_OUTGOING_EVENT_BYTES} bytes")
    return Encoded(plaintext, event, signed_at)


def notification_event(
    kind: int, peer: str, cipher: Cipher, plaintext: bytes, *, key: SecretKey, shared: bytes, entropy: Entropy, now: int
) -> Encoded:
    """A signed word to ``peer`` that nobody has asked for; ``shared`` is its secret with ``key`` for ``cipher``. Raises
    CodecError beyond :data:`MAX_PLAINTEXT_BYTES`."""
    content = encrypt(plaintext.decode(), cipher, shared, entropy)
    signed = sign_event(key, kind=kind, tags=[["p", peer]], content=content, created_at=now, aux=entropy(32))
    return Encoded(plaintext, encode_event(signed), now)


def request_event(
    key: SecretKey,
    *,
    kind: int,
    service: str,
    plaintext: str,
    cipher: Cipher,
    shared: bytes,
    entropy: Entropy,
    now: int,
    expires_at: int | None = None,
    work_bits: int = 0,
    version: Version = "tagged",
) -> Event:
    """A signed request of a client: kind 23194 (NWC) or one of CLINK, which names its ``version`` unless that is the
    one of 2024. ``expires_at`` is for NWC only. ``work_bits`` of proof of work (NIP-13) take some 2 ** bits hashes,
    half a second or so for 20 of them."""
    draft = request_draft(
        kind=kind, service=service, plaintext=plaintext, cipher=cipher, shared=shared, entropy=entropy,
        expires_at=expires_at, version=version,
    )  # fmt: skip
    nonce = find_nonce(key.public_hex, now, kind, draft.tags, draft.content, work_bits) if work_bits else None
    return sign_draft(key, draft, now, entropy, nonce)


def request_draft(
    *, kind: int, service: str, plaintext: str, cipher: Cipher, shared: bytes, entropy: Entropy,
    expires_at: int | None = None, version: Version = "tagged",
) -> Draft:  # fmt: skip
    """Such a request before it is signed, to be mined first."""
    tags = [["p", service]]
    if kind in kinds.CLINK:
        tags.extend([CLINK_VERSION] if version == "tagged" else [])
    elif cipher == "nip44":
        tags.append(["encryption", "nip44_v2"])
    if expires_at is not None:
        tags.append(["expiration", str(expires_at)])
    return Draft(kind, tags, encrypt(plaintext, cipher, shared, entropy))


def sign_draft(key: SecretKey, draft: Draft, now: int, entropy: Entropy, nonce: list[str] | None = None) -> Event:
    """The event; ``nonce`` is the tag that was mined for it and for this time."""
    tags = draft.tags if nonce is None else [*draft.tags, nonce]
    return sign_event(key, kind=draft.kind, tags=tags, content=draft.content, created_at=now, aux=entropy(32))


@dataclass(frozen=True, slots=True)
class Expected:
    """The reply a client waits for: who writes it (``author``), to whom (``own``), about which request. All hex."""

    kind: int
    author: str
    own: str
    request_id: str


def is_reply(event: Event, expected: Expected) -> bool:
    """Whether this is the reply: author, kind, first ``p``, first ``e`` and version, then id and signature.

    Everything else is to be ignored *without ending the wait*. Some wallets leave out the ``p`` of a NWC response.
    """
    if event.kind != expected.kind or event.pubkey != expected.author or first_tag(event, "e") != expected.request_id:
        return False
    addressee = first_tag(event, "p")
    if addressee != expected.own and not (addressee is None and event.kind == kinds.NWC_RESPONSE):
        return False
    if event.kind in kinds.CLINK and first_tag(event, CLINK_VERSION[0]) not in {None, CLINK_VERSION[1]}:
        return False
    return verify_event(event)
