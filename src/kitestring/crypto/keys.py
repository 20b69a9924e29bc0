"""Secret keys that never show themselves, and the derivation of a service's keys from its one seed."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final, NoReturn

from kitestring.base.errors import CodecError
from kitestring.crypto import secp

NO_AUX: Final = bytes(32)
#: Attempts to draw a key in range. One already fails with a chance of 2^-128; more would mean a broken source.
MAX_DRAWS: Final = 8
_HKDF_NO_SALT: Final = bytes(32)


def parse_public(public_hex: str) -> bytes:
    """32 bytes out of 64 lower-case hex characters. Raises CodecError; whether it is a point is not checked."""
    try:
        raw = bytes.fromhex(public_hex)
    except ValueError as error:
        raise CodecError("a public key is 64 lower-case hex characters") from error
    if len(raw) != 32 or raw.hex() != public_hex:
        raise CodecError("a public key is 64 lower-case hex characters")
    return raw


class SecretKey:
    """One secp256k1 secret key with its signing state. Never printed, compared by public key, not to be pickled.

    Raises CodecError when the 32 bytes are not a key (0 or not below the group order); the error shows nothing.
    """

    __slots__ = ("_pair", "_secret", "public_bytes", "public_hex")

    public_bytes: bytes
    public_hex: str

    def __init__(self, secret: bytes) -> None:
        if not secp.is_valid_secret(secret):
            raise CodecError("this is not a secret key: it must be 32 bytes and in range")
        self._secret = secret
        self._pair = secp.keypair(secret)
        self.public_bytes = secp.keypair_xonly(self._pair)
        self.public_hex = self.public_bytes.hex()

    @classmethod
    def from_hex(cls, text: str) -> SecretKey:
        """From 64 hex characters of either case. Raises CodecError."""
        try:
            secret = bytes.fromhex(text) if len(text) == 64 else b""
        except ValueError:
            secret = b""
        return cls(secret)

    @classmethod
    def generate(cls, entropy: Callable[[int], bytes]) -> SecretKey:
        """A fresh key; ``entropy(n)`` gives n random bytes. Raises CodecError if it never gives a usable one."""
        for _ in range(MAX_DRAWS):
            secret = entropy(32)
            if secp.is_valid_secret(secret):
                return cls(secret)
        raise CodecError("the source of randomness gives no usable keys")

    def sign(self, message: bytes, aux: bytes = NO_AUX) -> bytes:
        """The 64-byte BIP-340 signature of a 32-byte message, with 32 bytes of auxiliary randomness."""
        return secp.keypair_sign(self._pair, message, aux)

    def sign_recoverable(self, digest: bytes) -> tuple[bytes, int]:
        """The 64-byte compact ECDSA signature of a 32-byte digest and its recovery id (BOLT11)."""
        return secp.ecdsa_sign_recoverable(self._secret, digest)

    def shared_x(self, public_hex: str) -> bytes:
        """The unhashed x of the point shared with that key. A secret. Raises CodecError when it is no public key."""
        return secp.shared_x(self._secret, parse_public(public_hex))

    def hex(self) -> str:
        """The secret itself, for the one place that writes a key file or shows a connection string once."""
        return self._secret.hex()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretKey) and self.public_bytes == other.public_bytes

    def __hash__(self) -> int:
        return hash(self.public_bytes)

    def __repr__(self) -> str:
        return "SecretKey(…redacted…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret key is not copied or pickled; export it with hex() where that is meant")


def hkdf_extract(salt: bytes, material: bytes) -> bytes:
    """RFC 5869, SHA-256."""
    return hmac.digest(salt, material, "sha256")


def derive(seed: bytes, purpose: str, ident: str) -> SecretKey:
    """The key of ``ident`` for ``purpose``: HKDF-SHA256(32-byte seed, no salt, info = purpose ‖ 0x00 ‖ ident).

    The result is stable forever: connections and offers live as long as their keys. A draw out of range is repeated
    with 0x00 and a counter byte appended to the info. Raises CodecError for a seed of another length, a name with NUL.
    """
    if len(seed) != 32:
        raise CodecError("the seed of a service is 32 bytes")
    if not purpose or "\0" in purpose or "\0" in ident:
        raise CodecError("the purpose and name of a key must not be empty or contain NUL")
    pseudorandom, info = hkdf_extract(_HKDF_NO_SALT, seed), f"{purpose}\0{ident}".encode()
    for draw in range(MAX_DRAWS):
        suffix = bytes((0, draw)) if draw else b""
        secret = hmac.digest(pseudorandom, info + suffix + b"\x01", "sha256")
        if secp.is_valid_secret(secret):
            return SecretKey(secret)
    raise CodecError("the seed gives no usable key")
