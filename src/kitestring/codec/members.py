"""Members of a JSON object in the forms in which peers write them, where a form has one meaning only.

Amounts are not among them: those are read by :func:`kitestring.codec.json.int_member`, which guesses nothing.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Final

from kitestring.base.errors import CodecError
from kitestring.base.money import MAX_WHOLE
from kitestring.codec.json import int_member, text_member

#: 32 bytes have 43 digits in base64 and a sign that fills up, 64 in hex: no text can be both.
_BASE64_32: Final = re.compile(r"[A-Za-z0-9+/_-]{43}=?", re.ASCII).fullmatch
_HEX_32: Final = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII).fullmatch
_FLAGS: Final[Mapping[object, bool]] = {"true": True, "false": False, "1": True, "0": False}


def said(members: Mapping[str, object]) -> dict[str, object]:
    """The members that say something: without null and empty text, which peers write where they mean nothing."""
    return {name: value for name, value in members.items() if value is not None and value != ""}


def object_member(members: Mapping[str, object], name: str) -> dict[str, object]:
    """The members of the object ``name`` that say something; none where it is absent, null, an empty text, or an empty
    array (an empty object as PHP writes it). Raises CodecError for anything else."""
    value = members.get(name)
    if isinstance(value, dict):
        return said(value)
    if value is None or value in ("", []):
        return {}
    raise CodecError(f"{name} must be an object")


def hash_member(members: Mapping[str, object], name: str) -> str:
    """32 bytes as lower-case hex, "" where they are absent: hex in any case, or base64 of either alphabet.

    Raises CodecError.
    """
    value = (text_member(members, name) or "").strip()
    if not value:
        return ""
    if _HEX_32(value):
        return value.lower()
    if _BASE64_32(value):
        return base64.urlsafe_b64decode(value.rstrip("=").replace("+", "-").replace("/", "_") + "=").hex()
    raise CodecError(f"{name} must be 64 hexadecimal digits")


def count_member(members: Mapping[str, object], name: str) -> int | None:
    """A number that is no amount, such as a time or a length: also as decimal text, and cut to whole where a peer
    divides its milliseconds. Raises CodecError below 0, and for what is no number."""
    value = members.get(name)
    if isinstance(value, float) and 0 <= value <= MAX_WHOLE:
        return int(value)
    return int_member(members, name, decimal_text=True)


def flag_member(members: Mapping[str, object], name: str) -> bool:
    """True or false, false where it is absent; also as a text and as 1 or 0. Raises CodecError."""
    value = members.get(name)
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    if isinstance(value, int | str):
        found = _FLAGS.get(str(value).lower())
        if found is not None:
            return found
    raise CodecError(f"{name} must be true or false")


def words_member(members: Mapping[str, object], name: str) -> str:
    """A text for people, "" where it is absent; a whole number, such as that of an order, is written out. Raises
    CodecError."""
    value = members.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_member(members, name) or ""
