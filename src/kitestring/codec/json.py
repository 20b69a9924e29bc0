"""Strict JSON for decrypted payloads, where a second reading of the same text could move money.

Refused are duplicate keys, NaN and Infinity, nesting beyond :data:`MAX_DEPTH`, integers outside ±(2^53 − 1), lone
surrogates and texts beyond :data:`MAX_SIZE`. Floats keep their type, so that :func:`int_member` can refuse them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from kitestring.base.errors import CodecError
from kitestring.base.money import MAX_WHOLE, to_stored

#: Bytes of a decrypted payload; also the most that NIP-44 could carry before its extension.
MAX_SIZE: Final = 65_536
#: The deepest payload we know has 5 levels; 16 leaves room and keeps every later recursion harmless.
MAX_DEPTH: Final = 16

_BLANK: Final = " \t\n\r"
#: Possessive, and an unfinished string runs to the end: hostile text is still read in one pass.
_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_DECIMAL: Final = re.compile(r"0|-?[1-9][0-9]{0,15}", re.ASCII)
_LONGEST_INTEGER: Final = len(str(-MAX_WHOLE))


def loads_object(text: str) -> dict[str, object]:
    """The JSON object in ``text``, read strictly. Raises CodecError for everything else."""
    try:
        value = _loads(text, MAX_SIZE, _DECODER)
        if "\\u" in text:
            _check_escapes(value)
    except UnicodeEncodeError:
        raise CodecError("the payload has half of a surrogate pair") from None
    return value


def loads_reply(text: str, max_bytes: int) -> dict[str, object]:
    """The JSON object in the answer of a peer, which moves no money here: where only one of its values is odd, the rest
    is read. A number that nothing can hold is None, half of a surrogate pair is U+FFFD, and of two members of one name
    the last one counts. Raises CodecError for everything else, and beyond ``max_bytes``."""
    try:
        value = _loads(text, max_bytes, _LENIENT)
    except UnicodeEncodeError:
        raise CodecError("the payload has half of a surrogate pair") from None
    if "\\u" in text:
        return {_whole(name): _whole_values(member) for name, member in value.items()}
    return value


def _loads(text: str, max_bytes: int, decoder: json.JSONDecoder) -> dict[str, object]:
    try:
        if len(text) > max_bytes or len(text.encode()) > max_bytes:
            raise CodecError(f"the payload is larger than {max_bytes} bytes")
        _check_depth(text)
        body = text.strip(_BLANK)
        value, end = decoder.raw_decode(body)
    except json.JSONDecodeError:
        raise CodecError("the payload is not valid JSON") from None
    if end != len(body):
        raise CodecError("the payload is not valid JSON")
    if value.__class__ is not dict:
        raise CodecError("the payload is not a JSON object")
    result: dict[str, object] = value
    return result


def dumps(value: object) -> str:
    """Compact JSON. ``value`` consists of dict, list, str, int, Msat, bool and None."""
    return msgspec.json.encode(value, enc_hook=to_stored).decode()


def int_member(
    members: Mapping[str, object],
    name: str,
    *,
    low: int = 0,
    high: int = MAX_WHOLE,
    decimal_text: bool = False,
) -> int | None:
    """The integer ``name``, or None if it is absent or null.

    Booleans, floats (``1.0``, ``1e3``) and texts are refused; ``decimal_text`` accepts ``"21"`` where a peer is known
    to send it. Raises CodecError, also outside ``low`` … ``high``.
    """
    value = members.get(name)
    if value is None:
        return None
    if decimal_text and isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise CodecError(f"{name} must be a whole number")
    if not low <= value <= high:
        raise CodecError(f"{name} must be between {low} and {high}")
    return value


def text_member(members: Mapping[str, object], name: str, *, max_length: int = MAX_SIZE) -> str | None:
    """The text ``name``, or None if it is absent or null. Raises CodecError beyond ``max_length`` characters."""
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise CodecError(f"{name} must be a string")
    if len(value) > max_length:
        raise CodecError(f"{name} is longer than {max_length} characters")
    return value


def _check_depth(text: str) -> None:
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        depth += _STEPS.get(match[0], 0)
        if depth > MAX_DEPTH:
            raise CodecError(f"the payload is nested deeper than {MAX_DEPTH} levels")


def _check_escapes(value: object) -> None:
    # The parser makes half a pair out of a lone escape; only then does the value not encode.
    json.dumps(value, ensure_ascii=False).encode()


def _whole(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _whole_values(value: object) -> object:
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, list):
        return [_whole_values(each) for each in value]
    if isinstance(value, dict):
        return {_whole(name): _whole_values(each) for name, each in value.items()}
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise CodecError("a name occurs twice in the payload")
    return members


def _safe_integer(digits: str) -> int:
    if len(digits) <= _LONGEST_INTEGER and -MAX_WHOLE <= (value := int(digits)) <= MAX_WHOLE:
        return value
    raise CodecError("the payload has a number beyond 2^53")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise CodecError("the payload has a number that is not finite")
    return value


def _integer_or_none(digits: str) -> int | None:
    return int(digits) if len(digits) <= _LONGEST_INTEGER and abs(int(digits)) <= MAX_WHOLE else None


def _finite_or_none(digits: str) -> float | None:
    value = float(digits)
    return None if math.isinf(value) else value


def _refuse_constant(name: str) -> object:
    raise CodecError(f"the payload has {name}, which is not JSON")


_STEPS: Final = {"{": 1, "[": 1, "}": -1, "]": -1}
_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_safe_integer, parse_float=_finite, parse_constant=_refuse_constant
)
_LENIENT: Final = json.JSONDecoder(
    parse_int=_integer_or_none, parse_float=_finite_or_none, parse_constant=lambda _: None
)
