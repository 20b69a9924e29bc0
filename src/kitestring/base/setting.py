"""One setting is one row, and the row stands at the field that holds its value.

:func:`setting` makes both at once. A part that is given its limits as a dataclass declares the rows in that class; the
defaults, the commented file, the reference page and the environment variables follow from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeGuard, TypeVar

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import MAX_SATS, MAX_WHOLE, Msat, sat

#: A setting as a file, an option of a command or an environment variable gives it.
Value = str | int | bool | tuple[str | int, ...]
T = TypeVar("T", bound=Value)
S = TypeVar("S", str, int)

#: Longer lists are a mistake; the longest useful one (hosts without a proxy) has a dozen members.
MAX_LIST: Final = 64
#: The key of a field's row in its metadata.
ROW: Final = "setting"


def _same(value: Value) -> Value:
    return value


@dataclass(frozen=True, slots=True)
class ValueKind(Generic[T]):
    """The values that a setting may have. ``expected`` completes "it must be …"; ``unit`` is what a number counts.

    ``check`` turns what a file holds into the value of the field: None for anything that is not ``expected``, a
    KitestringError where one sentence can say more. ``plain`` turns it back. ``parse`` makes what a file would hold of
    the text of an environment variable, and leaves it to ``check`` to refuse.
    """

    expected: str
    check: Callable[[object], T | None]
    parse: Callable[[str], object] = str.strip
    plain: Callable[[T], Value] = _same
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """``key`` is the dotted name in the file. Of the environment ``variables``, the first that is set overrides it."""

    key: str
    kind: ValueKind[T]
    default: T
    doc: str
    variables: tuple[str, ...] = ()


def setting(key: str, kind: ValueKind[T], default: T, doc: str, *, variables: tuple[str, ...] = ()) -> T:
    """A field of a frozen dataclass that is a setting: its default, with the row in its metadata."""
    return field(default=default, metadata={ROW: Setting(key, kind, default, doc, variables)})


# ------------------------------------------------------------ kinds


def whole(unit: str, least: int = 0, most: int = MAX_WHOLE) -> ValueKind[int]:
    """Whole numbers of ``unit`` from ``least`` to ``most``."""
    span = f"of at least {least}" if most == MAX_WHOLE else f"from {least} to {most}"

    def check(value: object) -> int | None:
        return value if _is_whole(value, least, most) else None

    return ValueKind(f"a whole number {span}", check, _parse_whole, unit=unit)


def sats(most: int = MAX_SATS) -> ValueKind[Msat]:
    """Whole sats from 0 to ``most``: written in sats, held in msat."""
    expected = "a whole number of sats" + ("" if most == MAX_SATS else f" from 0 to {most}")

    def check(value: object) -> Msat | None:
        return sat(value) if _is_whole(value, 0, most) else None

    return ValueKind(expected, check, _parse_whole, Msat.sats_down, unit="sat")


def choice(*names: str) -> ValueKind[str]:
    """One of ``names``."""
    return ValueKind(
        f"one of {', '.join(names)}", lambda value: value if isinstance(value, str) and value in names else None
    )


def list_of(item: ValueKind[S], expected: str) -> ValueKind[tuple[S, ...]]:
    """At most :data:`MAX_LIST` values of one kind; commas or spaces separate them in an environment variable."""

    def check(value: object) -> tuple[S, ...] | None:
        if not isinstance(value, list | tuple):
            return None
        if len(value) > MAX_LIST:
            raise KitestringError(Reason.MALFORMED, f"name at most {MAX_LIST}")
        items = tuple(checked for member in value if (checked := item.check(member)) is not None)
        return items if len(items) == len(value) else None

    return ValueKind(expected, check, lambda text: tuple(map(item.parse, text.replace(",", " ").split())))


def _is_whole(value: object, least: int, most: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _parse_whole(text: str) -> object:
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= len(str(MAX_WHOLE)) else digits


def _parse_switch(text: str) -> object:
    return {"true": True, "false": False}.get(text.strip().lower(), text)


TEXT: Final = ValueKind("a string", lambda value: value if isinstance(value, str) else None)
TEXTS: Final = list_of(TEXT, "a list of strings")
SWITCH: Final = ValueKind("true or false", lambda value: value if isinstance(value, bool) else None, _parse_switch)
SATS: Final = sats()
PORT: Final = whole("TCP port", 0, 65_535)
NOSTR_KINDS: Final = list_of(whole("event kind", 0, 65_535), "a list of event kinds (whole numbers from 0 to 65535)")
