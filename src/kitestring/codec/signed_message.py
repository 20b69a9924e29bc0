"""Messages that a Lightning node has signed with its own key, in the form of lnd, Core Lightning and others.

The signature is recoverable: whoever has it and the message learns which node has signed. Specification: a draft of a
bLIP, "General-purpose Lightning signatures" (2022).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from kitestring.base.errors import CodecError
from kitestring.codec import zbase32
from kitestring.crypto import secp

#: So that what is signed is never an invoice or anything else of the network.
PREFIX: Final = b"Lightning Signed Message:"
#: 65 bytes in z-base-32.
SIGNATURE_CHARS: Final = 104
#: The first byte of a signature: the recovery id on top of this.
_HEADER: Final = 31


def sign(message: str, secret32: bytes) -> str:
    """The signature of ``message`` by this key, always the same. Raises ValueError for a secret out of range."""
    signature, recovery_id = secp.ecdsa_sign_recoverable(secret32, _digest(message))
    return zbase32.encode(bytes([_HEADER + recovery_id]) + signature)


def signer(message: str, signature: str) -> str:
    """The key of the node that has signed ``message``, 66 hex digits. Raises CodecError for what is no signature; the
    key is never wrong, but that of a signature of another message is nobody's."""
    if len(signature) != SIGNATURE_CHARS:
        raise CodecError(f"a signature has {SIGNATURE_CHARS} letters")
    header, compact = (data := zbase32.decode(signature))[0], data[1:]
    if not 0 <= header - _HEADER <= 3:
        raise CodecError("the signature does not say which key can be recovered")
    return secp.ecdsa_recover(_digest(message), compact, header - _HEADER).hex()


def _digest(message: str) -> bytes:
    return sha256(sha256(PREFIX + message.encode()).digest()).digest()
