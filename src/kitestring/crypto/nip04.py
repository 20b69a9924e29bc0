"""NIP-04: AES-256-CBC under the unhashed x of the shared point. Deprecated; only for old NWC connections.

There is no MAC: the signature of the carrying event is the only integrity, so it must have been verified before.
"""

from __future__ import annotations

import hmac
from binascii import b2a_base64
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

from kitestring.base.errors import CodecError
from kitestring.crypto.failure import MAX_TEXT_BYTES, DecryptError

BLOCK_BYTES: Final = 16
SEPARATOR: Final = "?iv="


def encrypt(plaintext: str, shared_x: bytes, iv: bytes) -> str:
    """``base64(ciphertext)?iv=base64(iv)``; ``iv`` is 16 random bytes. Raises CodecError: too long or not Unicode."""
    try:
        text = plaintext.encode()
    except UnicodeEncodeError as error:
        raise CodecError("the text is not valid Unicode") from error
    if len(text) > MAX_TEXT_BYTES:
        raise CodecError(f"a text to encrypt has at most {MAX_TEXT_BYTES} bytes")
    missing = BLOCK_BYTES - len(text) % BLOCK_BYTES
    encryptor = Cipher(AES256(shared_x), CBC(iv)).encryptor()
    sealed = encryptor.update(text + bytes((missing,)) * missing) + encryptor.finalize()
    return f"{_base64(sealed)}{SEPARATOR}{_base64(iv)}"


def decrypt(payload: str, shared_x: bytes, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """The text of a payload, at most ``max_bytes`` long. Raises DecryptError, whatever is wrong."""
    if len(payload) > _most_chars(max_bytes):
        raise DecryptError
    body, separator, tail = payload.partition(SEPARATOR)
    try:
        sealed, iv = msgspec.convert(body, bytes), msgspec.convert(tail, bytes)
    except (msgspec.ValidationError, UnicodeError):
        raise DecryptError from None
    if not separator or len(iv) != BLOCK_BYTES or not sealed or len(sealed) % BLOCK_BYTES:
        raise DecryptError
    decryptor = Cipher(AES256(shared_x), CBC(iv)).decryptor()
    return _unpad(decryptor.update(sealed) + decryptor.finalize(), max_bytes)


def _most_chars(max_bytes: int) -> int:
    """Base64 of the longest padded text, the separator and base64 of the IV."""
    return (max_bytes + BLOCK_BYTES + 2) // 3 * 4 + len(SEPARATOR) + 24


def _unpad(padded: bytes, max_bytes: int) -> str:
    size = padded[-1]
    if len(padded) - size > max_bytes:
        raise DecryptError
    if not 1 <= size <= BLOCK_BYTES or not hmac.compare_digest(padded[-size:], bytes((size,)) * size):
        raise DecryptError
    try:
        return padded[:-size].decode()
    except UnicodeDecodeError:
        raise DecryptError from None


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")
