"""NIP-44 version 2: ChaCha20 and HMAC-SHA256 under a key per pair of users, padded lengths.

The signature of the carrying event must have been verified before anything is decrypted. Texts are 1 … 65,535 bytes
when written; the 6-byte length prefix of longer ones is read up to a limit and never written.
"""

from __future__ import annotations

import hmac
from binascii import b2a_base64
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from kitestring.base.errors import CodecError
from kitestring.crypto.failure import MAX_TEXT_BYTES, DecryptError
from kitestring.crypto.keys import SecretKey, hkdf_extract

VERSION: Final = b"\x02"
#: Largest text in bytes whose length fits the 2-byte prefix, the only one we write.
MAX_WRITTEN_BYTES: Final = 65_535
#: Version byte + nonce + MAC around the padded text.
OVERHEAD_BYTES: Final = 1 + 32 + 32
#: Base64 of the shortest payload: overhead, 2-byte prefix and 32 bytes of padded text.
MIN_PAYLOAD_CHARS: Final = 132

_COUNTER_ZERO: Final = bytes(4)
#: The two pads of HMAC (RFC 2104), as translations of a 32-byte key and as what follows it in a block of 64 bytes.
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))
_INNER_REST: Final = b"\x36" * 32
_OUTER_REST: Final = b"\x5c" * 32


def conversation_key(secret: SecretKey, peer_hex: str) -> bytes:
    """The 32-byte key shared with a peer, the same from both sides. Raises CodecError when the peer is no key."""
    return hkdf_extract(b"nip44-v2", secret.shared_x(peer_hex))


def message_keys(key: bytes, nonce: bytes) -> bytes:
    """76 bytes: ChaCha20 key (32), ChaCha20 nonce (12), MAC key (32); HKDF-expand with the nonce as info (RFC 5869)."""
    # HMAC by hand: the three share one key, so its two pads are made once (half the time of three hmac.digest calls).
    inner, outer = key.translate(_INNER_PAD) + _INNER_REST, key.translate(_OUTER_PAD) + _OUTER_REST
    first = sha256(outer + sha256(inner + nonce + b"\x01").digest()).digest()
    second = sha256(outer + sha256(inner + first + nonce + b"\x02").digest()).digest()
    return first + second + sha256(outer + sha256(inner + second + nonce + b"\x03").digest()).digest()[:12]


def padded_length(size: int) -> int:
    """The padded size in bytes of a text of ``size`` ≥ 1 bytes: powers of two in steps of an eighth, at least 32."""
    if size <= 32:
        return 32
    step = max(32, (1 << (size - 1).bit_length()) // 8)
    return step * ((size - 1) // step + 1)


def _mac(key: bytes, body: bytes) -> bytes:
    """HMAC-SHA256 with a key of 32 bytes. Two plain hashes: hmac.digest spends as long again on its context."""
    inner = sha256(key.translate(_INNER_PAD) + _INNER_REST + body).digest()
    return sha256(key.translate(_OUTER_PAD) + _OUTER_REST + inner).digest()


def _stream(keys: bytes, data: bytes) -> bytes:
    return Cipher(ChaCha20(keys[:32], _COUNTER_ZERO + keys[32:44]), None).encryptor().update(data)


def seal(padded: bytes, key: bytes, nonce: bytes) -> str:
    """The payload around a text that already has its prefix and padding."""
    keys = message_keys(key, nonce)
    body = nonce + _stream(keys, padded)
    return b2a_base64(VERSION + body + _mac(keys[44:], body), newline=False).decode("ascii")


def encrypt(plaintext: str, key: bytes, nonce: bytes) -> str:
    """The base64 payload. ``key`` is the conversation key, ``nonce`` 32 random bytes that are never used twice.

    Raises CodecError when the text has not 1 … 65,535 bytes or is not valid Unicode.
    """
    try:
        text = plaintext.encode()
    except UnicodeEncodeError as error:
        raise CodecError("the text is not valid Unicode") from error
    size = len(text)
    if not 1 <= size <= MAX_WRITTEN_BYTES:
        raise CodecError(f"a text to encrypt has 1 to {MAX_WRITTEN_BYTES} bytes")
    if len(key) != 32 or len(nonce) != 32:
        raise ValueError("the conversation key and the nonce must be 32 bytes each")
    return seal(size.to_bytes(2) + text.ljust(padded_length(size), b"\0"), key, nonce)


def decrypt(payload: str, key: bytes, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """The text of a payload, at most ``max_bytes`` long. Raises DecryptError, whatever is wrong."""
    most_chars = (OVERHEAD_BYTES + 6 + padded_length(max_bytes) + 2) // 3 * 4
    if not MIN_PAYLOAD_CHARS <= len(payload) <= most_chars:
        raise DecryptError
    try:
        raw = msgspec.convert(payload, bytes)  # strict base64, four times as fast as binascii
    except (msgspec.ValidationError, UnicodeError):
        raise DecryptError from None
    if raw[:1] != VERSION or len(raw) < OVERHEAD_BYTES + 2 + 32:
        raise DecryptError
    body = raw[1:-32]
    keys = message_keys(key, body[:32])
    if not hmac.compare_digest(_mac(keys[44:], body), raw[-32:]):
        raise DecryptError
    return _unpad(_stream(keys, body[32:]), max_bytes)


def _unpad(padded: bytes, max_bytes: int) -> str:
    start, size = 2, int.from_bytes(padded[:2])
    if size == 0:
        start, size = 6, int.from_bytes(padded[2:6])
        if size <= MAX_WRITTEN_BYTES:
            raise DecryptError
    if size > max_bytes or len(padded) != start + padded_length(size):
        raise DecryptError
    try:
        return padded[start : start + size].decode()
    except UnicodeDecodeError:
        raise DecryptError from None
