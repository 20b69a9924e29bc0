"""``sign_message`` of Nostr Wallet Connect, which the text has dropped: the node signs what it is given."""

from __future__ import annotations

from kitestring.base.commands import MAX_MESSAGE_BYTES, SignMessage
from kitestring.base.errors import CodecError
from kitestring.base.outcomes import Signed
from kitestring.wire.serve.nwc.members import Params


def read_signing(params: Params, _: str) -> SignMessage:
    """The very text, not a character less, for the signature is of it. Raises CodecError for none, and for too much."""
    message = params.get("message")
    if not isinstance(message, str) or not message:
        raise CodecError("message is missing")
    if len(message.encode()) > MAX_MESSAGE_BYTES:
        raise CodecError(f"message has at most {MAX_MESSAGE_BYTES} bytes")
    return SignMessage(message=message)


def write_signed(signed: Signed) -> object:
    """The result."""
    return {"message": signed.message, "signature": signed.signature}
