"""Answers of which every text is as long and as strange as a stranger can make it."""

from __future__ import annotations

from typing import Any, Final

from msgspec.inspect import (
    BoolType,
    DictType,
    IntType,
    ListType,
    LiteralType,
    Metadata,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
    type_info,
)

#: Escapes, a forged row, marks that turn the reading round, letters of two cells, joined pictures, right-to-left words.
WORDS: Final = "喫茶店 \x1b[2J\x1b[31m☕👩🏽\u200d🚀 \u202eشمس\u2066 e\u0301\n+1 sat  paid " + "x" * 40
#: Texts that are of one form, whoever writes them, and numbers by the end of their names.
_EXACT: Final = {"npub": "npub1" + "q" * 58, "delivery": "whd_0a1b2c3d4e5f6071", "caller": "ab" * 32, "currency": "EUR"}
_NUMBERS: Final = {"_at": 1_800_000_000, "_msat": 2_099_999_999_999_000, "": 12_345}


def hostile(wanted: Any) -> dict[str, Any]:
    """An answer of the type ``wanted``, with three rows in each list, and nothing absent."""
    return dict(_value("", type_info(wanted)))


def _value(name: str, kind: Type) -> Any:
    match kind:
        case Metadata(type=inner):
            return _value(name, inner)
        case UnionType(types=types):
            return _value(name, next(one for one in types if not isinstance(one, NoneType)))
        case StructType(fields=fields):
            return {field.encode_name: _value(field.encode_name, field.type) for field in fields}
        case ListType(item_type=item):
            return [_value(name, item) for _ in range(3)]
        case LiteralType(values=values):
            return values[-1]
        case DictType():
            return {}
    return _plain(name, kind)


def _plain(name: str, kind: Type) -> Any:
    match kind:
        case BoolType():
            return False
        case IntType():
            return next((number for end, number in _NUMBERS.items() if name.endswith(end)))
        case StrType() if name.endswith(("_hash", "_id", "pubkey")) or name in {"id", "caller"}:
            return "ab" * (8 if name.endswith("id") else 32)
        case StrType():
            return _EXACT.get(name, WORDS)
    raise TypeError(f"{name}: {kind}")
