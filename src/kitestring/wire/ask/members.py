"""Members of an answer, read as far as they can be: what is odd counts as absent, and the rest of the answer is kept.

Services differ in what they leave out, and in how they write what they have: null times, empty texts, numbers as texts
or as whole floats. Whether a value must be there is decided by who asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from kitestring.base.money import MAX_WHOLE
from kitestring.base.text import clean

Members = Mapping[str, object]

#: Characters of a hexadecimal value: 64 bytes, of which no key, hash or preimage has more.
MAX_HEX_CHARS: Final = 128
#: Longest invoice, hash, name and the like that is taken over from a wallet, in characters.
MAX_TEXT_CHARS: Final = 8192
#: Methods and extensions that an info event or get_info may list.
MAX_NAMES: Final = 100

_DECIMAL: Final = re.compile(r"-?[0-9]{1,16}", re.ASCII).fullmatch


def number_in(members: Members, name: str, *, low: int = 0) -> int | None:
    """The whole number ``name``; None where there is none between ``low`` and 2^53."""
    value = members.get(name)
    if (isinstance(value, str) and _DECIMAL(value)) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if low <= value <= MAX_WHOLE else None


def text_in(members: Members, name: str, max_chars: int) -> str:
    """The text ``name`` without control characters, cut to ``max_chars``; "" where there is none."""
    value = members.get(name)
    return clean(value, max_chars) if isinstance(value, str) else ""


def hex_in(members: Members, name: str) -> str:
    """The hexadecimal value ``name`` in lower case; "" where there is none."""
    value = text_in(members, name, MAX_HEX_CHARS).lower()
    try:
        return value if bytes.fromhex(value).hex() == value else ""
    except ValueError:
        return ""


def names_in(members: Members, name: str, max_names: int, max_chars: int) -> tuple[str, ...]:
    """The texts in the list ``name``; () where there is none."""
    values = members.get(name)
    if not isinstance(values, list):
        return ()
    return tuple(clean(value, max_chars) for value in values[:max_names] if isinstance(value, str))


def saying(members: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None and value != ""}
