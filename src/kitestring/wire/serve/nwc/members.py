"""Members that the params of several methods of Nostr Wallet Connect have, each with its reading."""

from __future__ import annotations

from typing import Final

from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.codec import bolt11
from kitestring.codec.json import int_member, text_member
from kitestring.codec.members import hash_member
from kitestring.wire.text import metadata_text

#: Longer metadata is dropped, the request goes on (extension 06).
MAX_METADATA_CHARS: Final = 4096

Params = dict[str, object]


def amount_member(params: Params, name: str = "amount", *, low: int = 0) -> Msat | None:
    """An amount in millisatoshi, None where there is none. Raises CodecError below ``low``."""
    amount = int_member(params, name, low=low, decimal_text=True)
    return None if amount is None else Msat(amount)


def required_text(params: Params, name: str) -> str:
    """Raises CodecError where it is missing or no text."""
    value = text_member(params, name)
    if value is None:
        raise CodecError(f"{name} is missing")
    return value


def required_hash(params: Params, name: str) -> str:
    """A hash or preimage, 64 hex digits. Raises CodecError where it is missing or none."""
    value = hash_member(params, name)
    if not value:
        raise CodecError(f"{name} is missing")
    return value


def asked_hash(members: Params) -> str:
    """The payment hash that ``payment_hash``, ``invoice`` or both name. Raises CodecError for none, and for two."""
    asked, text = hash_member(members, "payment_hash"), text_member(members, "invoice")
    found = bolt11.decode(text, recover=False).payment_hash if text else asked
    if not found:
        raise CodecError("payment_hash or invoice is missing")
    if asked and asked != found:
        raise CodecError("payment_hash is not that of the invoice")
    return found


def metadata_member(params: Params) -> str:
    """As JSON text (extension 06), "" where there is none or too much."""
    return metadata_text(params.get("metadata"), MAX_METADATA_CHARS)
