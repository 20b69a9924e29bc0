"""The cells of a terminal that a text fills: letters of East Asia and pictures fill two, marks on letters none."""

from __future__ import annotations

from typing import Final
from unicodedata import category, east_asian_width

#: Said where a text was cut.
ELLIPSIS: Final = "…"
#: Marks on letters, and what is not seen at all.
_NO_CELL: Final = frozenset({"Mn", "Me", "Cf"})
#: Vowels and endings of Hangul, which are drawn into the syllable before them.
_JOINED: Final = range(0x1160, 0x1200)


def width_of(text: str) -> int:
    """The cells that ``text`` fills. A picture that is joined of several is counted as these: terminals differ, and a
    row that is too short does no harm."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def cut(text: str, width: int) -> str:
    """``text``, ended with ``…`` where it fills more than ``width`` cells."""
    if width_of(text) <= width:
        return text
    return f"{text[: _fitting(text, width - 1)].rstrip()}{ELLIPSIS}"


def cut_front(text: str, width: int) -> str:
    """The same with its end kept, as ids are told apart by it."""
    if width_of(text) <= width:
        return text
    return f"{ELLIPSIS}{text[len(text) - _fitting(text[::-1], width - 1) :].lstrip()}"


def padded(text: str, width: int, *, right: bool = False) -> str:
    """``text`` with blanks up to ``width`` cells, before it if it stands on the ``right``."""
    blanks = " " * (width - width_of(text))
    return blanks + text if right else text + blanks


def _fitting(text: str, width: int) -> int:
    """The number of characters that fill at most ``width`` cells."""
    room = width
    for i, char in enumerate(text):
        room -= _cells(char)
        if room < 0:
            return i
    return len(text)


def _cells(char: str) -> int:
    if category(char) in _NO_CELL or ord(char) in _JOINED:
        return 0
    return 2 if east_asian_width(char) in "WF" else 1
