"""How to answer a request: kept with the request row, so that a reply can still be made after a crash."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Wire = Literal["nwc", "offers"]
Cipher = Literal["nip44", "nip04"]
Version = Literal["tagged", "legacy"]

#: Purpose and name of the one key that offers answer with; NWC connections have a key each.
SERVICE_KEY: Final = "service"
NWC_KEY_PREFIX: Final = "nwc:"


class ReplyTo(msgspec.Struct, frozen=True, array_like=True):
    """The opaque ``reply_to`` of the engine. Hex is lower case, ``created_at`` is the request's own time.

    ``key_id`` names the key of the service that was spoken to: ``service`` or ``nwc:<grant id>``. ``method`` is the
    NWC method; ``version`` says whether a CLINK caller sent ``clink_version``. Members are only ever added at the end.
    """

    wire: Wire
    key_id: str
    peer: str
    cipher: Cipher
    event_id: str
    created_at: int
    method: str = ""
    version: Version = "tagged"

    def freeze(self) -> bytes:
        """The stored form."""
        return _encode(self)


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(ReplyTo).decode


def thaw(stored: bytes) -> ReplyTo:
    """What :meth:`ReplyTo.freeze` stored. Raises msgspec.MsgspecError for anything else."""
    return _decode(stored)
