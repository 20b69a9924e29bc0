"""URI templates (RFC 6570) up to level 3, without the two operators that copy reserved characters.

``{+name}`` and ``{#name}`` would let a value bring its own ``/``, ``?`` and ``&``, and here the values are a payer's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import quote

from kitestring.base.errors import CodecError

#: Of the text of an expression that an error repeats.
MAX_SHOWN_CHARS: Final = 60
_PARTS: Final = re.compile(r"\{([^{}]*)\}")
_NAME: Final = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*", re.ASCII)
_LITERAL: Final = re.compile(r"[!-~]*", re.ASCII)
_NOT_LITERAL: Final = re.compile(r"[\"'<>\\^`{|}]")


class _Operator(NamedTuple):
    """A row of the table in appendix A of the RFC."""

    first: str
    separator: str
    is_named: bool
    if_empty: str = ""


_OPERATORS: Final[Mapping[str, _Operator]] = {
    "": _Operator("", ",", is_named=False),
    ".": _Operator(".", ".", is_named=False),
    "/": _Operator("/", "/", is_named=False),
    ";": _Operator(";", ";", is_named=True),
    "?": _Operator("?", "&", is_named=True, if_empty="="),
    "&": _Operator("&", "&", is_named=True, if_empty="="),
}
_REFUSED: Final[Mapping[str, str]] = {
    "+": "would copy what a payer says into the address as it is",
    "#": "is never sent to a server",
}


@dataclass(frozen=True, slots=True)
class Expression:
    """``{operator name,name…}``."""

    operator: str
    names: tuple[str, ...]

    def expand(self, values: Mapping[str, str]) -> str:
        """The expression with these values; a name without one leaves nothing."""
        row = _OPERATORS[self.operator]
        parts = [self._member(row, name, values[name]) for name in self.names if name in values]
        return row.first + row.separator.join(parts) if parts else ""

    @staticmethod
    def _member(row: _Operator, name: str, value: str) -> str:
        quoted = quote(value, safe="")
        if not row.is_named:
            return quoted
        return f"{name}={quoted}" if quoted else f"{name}{row.if_empty}"


@dataclass(frozen=True, slots=True)
class Template:
    """A template in parts."""

    parts: tuple[str | Expression, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names in it, in their order."""
        return tuple(name for part in self.parts if isinstance(part, Expression) for name in part.names)

    def expand(self, values: Mapping[str, str]) -> str:
        """The address with these values, of which every character that is not unreserved is escaped."""
        return "".join(part if isinstance(part, str) else part.expand(values) for part in self.parts)


def parse(text: str) -> Template:
    """Read a template. Raises CodecError for what is none, or goes beyond what is expanded here."""
    parts: list[str | Expression] = []
    for position, part in enumerate(_PARTS.split(text)):
        if position % 2:
            parts.append(_expression(part))
        elif not _LITERAL.fullmatch(part) or _NOT_LITERAL.search(part):
            raise CodecError("an address template has blanks, stray braces or characters that no address may have")
        elif part:
            parts.append(part)
    return Template(tuple(parts))


def _expression(text: str) -> Expression:
    shown = "{" + text[:MAX_SHOWN_CHARS] + "}"
    operator = text[0] if text and not _NAME.match(text[0]) else ""
    if operator in _REFUSED:
        raise CodecError(f"{shown} in an address template {_REFUSED[operator]}: leave {operator!r} out")
    names = text[len(operator) :].split(",")
    if operator not in _OPERATORS or not all(map(_NAME.fullmatch, names)):
        raise CodecError(f"{shown} is no expression of an address template: write {{name}} or {{?name,name}}")
    return Expression(operator, tuple(names))
