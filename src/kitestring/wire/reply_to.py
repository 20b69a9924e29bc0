"""The way of an answer: kept with the request row, so that a reply can still be made after a crash."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Cipher = Literal["nip44", "nip04"]
Version = Literal["tagged", "legacy"]

#: The ``key_id`` of the one key that strangers speak to …
SERVICE_KEY: Final = "service"
#: … and how that of a connection begins, which has a key of its own.
CONNECTION_KEY_PREFIX: Final = "nwc:"


class ReplyTo(msgspec.Struct, frozen=True, array_like=True):
    """The opaque ``reply_to`` of the engine. Hex is lower case, ``created_at`` is the request's own time.

    ``wire`` is the name of the protocol, ``key_id`` that of the key that was spoken to: ``service``, or
    ``nwc:<grant id>`` for a connection. ``method`` is the NWC method, or what the caller of another wire wants
    its answer to have; ``version`` says whether a CLINK caller sent ``clink_version``; ``part`` names
    the payment that it answers where one request asked for several. Members are only ever added at the end.
    """

    wire: str
    key_id: str
    peer: str
    cipher: Cipher
    event_id: str
    created_at: int
    method: str = ""
    version: Version = "tagged"
    part: str = ""

    def named(self, method: str) -> ReplyTo:
        """The same for a request of this ``method``."""
        return ReplyTo(
            self.wire, self.key_id, self.peer, self.cipher, self.event_id, self.created_at, method, self.version
        )

    def of_part(self, part: str) -> ReplyTo:
        """The same for one payment of several."""
        return msgspec.structs.replace(self, part=part)

    def freeze(self) -> bytes:
        """The stored form."""
        return _encode(self)


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(ReplyTo).decode


def thaw(stored: bytes) -> ReplyTo:
    """Read what :meth:`ReplyTo.freeze` stored. Raises msgspec.MsgspecError for anything else."""
    return _decode(stored)
