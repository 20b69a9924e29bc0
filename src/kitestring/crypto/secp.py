"""secp256k1 as this project needs it: one adapter over libsecp256k1, whichever way the library is reached.

:class:`Secp` speaks the C interface, which has been stable for years; a :class:`Binding` (bindings.py) says how memory
is made and read. btclib-secp256k1 is the dependency; coincurve and a system-wide libsecp256k1 are tried after it.
Only constant-time functions of the library touch secret keys. Specifications: BIP-340, SEC 1 (ECDSA, ECDH).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from kitestring.base.errors import CodecError
from kitestring.crypto.bindings import Binding, first_available

ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_ORDER: Final = ORDER // 2
COMPRESSED: Final = 258  # SECP256K1_EC_COMPRESSED
#: Parsed public keys kept, because parsing costs a square root (a tenth of a verification). About 0.25 kB each.
MAX_PARSED_KEYS: Final = 4096


def _sized(value: bytes, size: int, name: str) -> bytes:
    """The C side reads ``size`` bytes whatever it is given, so nothing shorter may reach it."""
    if type(value) is not bytes or len(value) != size:
        raise ValueError(f"the {name} must be {size} bytes")
    return value


class Secp:
    """The operations, on raw bytes. Wrong lengths raise ValueError; the answers of a check are booleans."""

    def __init__(self, binding: Binding) -> None:
        self.name: Final = binding.name
        self._b: Final = binding
        self._lib: Final = binding.lib
        self._ctx: Final = binding.context
        self._parse_xonly: Final = lru_cache(MAX_PARSED_KEYS)(self._read_xonly)

    def _read_xonly(self, public: bytes) -> Any:
        if len(public) != 32:
            return None
        point = self._b.new("secp256k1_xonly_pubkey")
        return point if self._lib.secp256k1_xonly_pubkey_parse(self._ctx, point, public) else None

    def _parse_full(self, public: bytes) -> Any:
        point = self._b.new("secp256k1_pubkey")
        return point if self._lib.secp256k1_ec_pubkey_parse(self._ctx, point, public, len(public)) else None

    def _serialize(self, point: Any) -> bytes:
        out, size = self._b.new("char[33]"), self._b.new("size_t")
        size[0] = 33
        self._lib.secp256k1_ec_pubkey_serialize(self._ctx, out, size, point, COMPRESSED)
        return self._b.read(out, 33)

    def is_valid_secret(self, secret: bytes) -> bool:
        return len(secret) == 32 and bool(self._lib.secp256k1_ec_seckey_verify(self._ctx, secret))

    def is_valid_public(self, public: bytes) -> bool:
        """Whether 32 bytes are the x of a point on the curve."""
        return self._parse_xonly(public) is not None

    def keypair(self, secret: bytes) -> Any:
        """The opaque signing state of a secret key; making it costs as much as signing, so callers keep it."""
        pair = self._b.new("secp256k1_keypair")
        if not self._lib.secp256k1_keypair_create(self._ctx, pair, _sized(secret, 32, "secret key")):
            raise ValueError("the secret key is out of range")
        return pair

    def keypair_xonly(self, pair: Any) -> bytes:
        point, out = self._b.new("secp256k1_xonly_pubkey"), self._b.new("char[32]")
        self._lib.secp256k1_keypair_xonly_pub(self._ctx, point, self._b.null, pair)
        self._lib.secp256k1_xonly_pubkey_serialize(self._ctx, out, point)
        return self._b.read(out, 32)

    def keypair_sign(self, pair: Any, message: bytes, aux: bytes) -> bytes:
        """BIP-340 signature of a message of any length. It is not verified afterwards: that would cost three times."""
        out = self._b.new("char[64]")
        _sized(aux, 32, "auxiliary randomness")
        if len(message) == 32:
            done = self._lib.secp256k1_schnorrsig_sign32(self._ctx, out, message, pair, aux)
        else:
            params, _alive = self._b.nonce_parameters(aux)
            done = self._lib.secp256k1_schnorrsig_sign_custom(self._ctx, out, message, len(message), pair, params)
        if not done:
            raise ValueError("the message could not be signed with this key")
        return self._b.read(out, 64)

    def schnorr_sign(self, secret: bytes, message: bytes, aux: bytes) -> bytes:
        return self.keypair_sign(self.keypair(secret), message, aux)

    def schnorr_verify(self, public: bytes, message: bytes, signature: bytes) -> bool:
        point = self._parse_xonly(public)
        if point is None or len(signature) != 64:
            return False
        return bool(self._lib.secp256k1_schnorrsig_verify(self._ctx, signature, message, len(message), point))

    def xonly_public(self, secret: bytes) -> bytes:
        return self.keypair_xonly(self.keypair(secret))

    def compressed_public(self, secret: bytes) -> bytes:
        point = self._b.new("secp256k1_pubkey")
        if not self._lib.secp256k1_ec_pubkey_create(self._ctx, point, _sized(secret, 32, "secret key")):
            raise ValueError("the secret key is out of range")
        return self._serialize(point)

    def shared_x(self, secret: bytes, public: bytes) -> bytes:
        """The unhashed x of the shared point (NIP-04, NIP-44). Raises CodecError when ``public`` is no key."""
        point = self._parse_full(b"\x02" + _sized(public, 32, "public key"))
        if point is None:
            raise CodecError("the public key is not a point of the curve")
        out = self._b.new("char[64]")
        _sized(secret, 32, "secret key")
        if not self._lib.secp256k1_ecdh(self._ctx, out, point, secret, self._b.copy_x, self._b.null):
            raise ValueError("the secret key is out of range")
        return self._b.read(out, 64)[:32]

    def ecdsa_sign_recoverable(self, secret: bytes, digest: bytes) -> tuple[bytes, int]:
        """Compact low-S signature with its recovery id, RFC 6979 nonce (BOLT11)."""
        _sized(secret, 32, "secret key")
        _sized(digest, 32, "digest")
        sig, null = self._b.new("secp256k1_ecdsa_recoverable_signature"), self._b.null
        if not self._lib.secp256k1_ecdsa_sign_recoverable(self._ctx, sig, digest, secret, null, null):
            raise ValueError("the secret key is out of range")
        out, recid = self._b.new("char[64]"), self._b.new("int")
        self._lib.secp256k1_ecdsa_recoverable_signature_serialize_compact(self._ctx, out, recid, sig)
        return self._b.read(out, 64), int(recid[0])

    def ecdsa_recover(self, digest: bytes, signature: bytes, recid: int) -> bytes:
        """The compressed public key that made the signature, high-S accepted. Raises CodecError when there is none."""
        _sized(digest, 32, "digest")
        _sized(signature, 64, "signature")
        sig, point = self._b.new("secp256k1_ecdsa_recoverable_signature"), self._b.new("secp256k1_pubkey")
        parse = self._lib.secp256k1_ecdsa_recoverable_signature_parse_compact
        if not (0 <= recid <= 3 and parse(self._ctx, sig, signature, recid)):
            raise CodecError("the signature is not a recoverable one")
        if not self._lib.secp256k1_ecdsa_recover(self._ctx, point, sig, digest):
            raise CodecError("no public key can be recovered from the signature")
        return self._serialize(point)

    def ecdsa_verify(self, public: bytes, digest: bytes, signature: bytes) -> bool:
        """Whether the compact signature is valid, low-S or high-S; ask :func:`is_low_s` where that matters."""
        if len(digest) != 32 or len(signature) != 64 or len(public) not in {33, 65}:
            return False
        point, sig = self._parse_full(public), self._b.new("secp256k1_ecdsa_signature")
        if point is None or not self._lib.secp256k1_ecdsa_signature_parse_compact(self._ctx, sig, signature):
            return False
        self._lib.secp256k1_ecdsa_signature_normalize(self._ctx, sig, sig)
        return bool(self._lib.secp256k1_ecdsa_verify(self._ctx, sig, digest, point))


def is_low_s(signature: bytes) -> bool:
    """Whether the s of a 64-byte compact signature is in the lower half (the only form BIP-62 and BOLT11 write)."""
    return len(signature) == 64 and int.from_bytes(signature[32:]) <= HALF_ORDER


_SECP: Final = Secp(first_available())

keypair: Final = _SECP.keypair
keypair_sign: Final = _SECP.keypair_sign
keypair_xonly: Final = _SECP.keypair_xonly
schnorr_sign: Final = _SECP.schnorr_sign
schnorr_verify: Final = _SECP.schnorr_verify
xonly_public: Final = _SECP.xonly_public
compressed_public: Final = _SECP.compressed_public
shared_x: Final = _SECP.shared_x
ecdsa_sign_recoverable: Final = _SECP.ecdsa_sign_recoverable
ecdsa_recover: Final = _SECP.ecdsa_recover
ecdsa_verify: Final = _SECP.ecdsa_verify
is_valid_public: Final = _SECP.is_valid_public
is_valid_secret: Final = _SECP.is_valid_secret
