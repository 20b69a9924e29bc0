"""Rows as CSV, for spreadsheets and the programs of accountants."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

from kitestring.base.text import clean

#: Of one text in a cell: more than any description has.
MAX_TEXT_CHARS: Final = 4_096
#: A spreadsheet takes a text that begins so for a formula, and would carry it out; the wide ones it may read as others.
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
#: The same inside of a text: where a comma is the decimal point, cells are parted at semicolons.
_INSIDE: Final = re.compile(r"(;\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")


def csv_lines(rows: Iterable[Sequence[str | int | None]]) -> str:
    """The rows as lines of CSV, without the last line end. Texts of others are on one line, and none is a formula: one
    that would be has an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        writer.writerow(["" if cell is None else harmless(cell) if isinstance(cell, str) else cell for cell in row])
    return out.getvalue().removesuffix("\n")


def harmless(text: str) -> str:
    """``text`` as no spreadsheet takes it for more than a text, also one that parts cells at semicolons."""
    shown = _INSIDE.sub(r"\1'", clean(text, MAX_TEXT_CHARS))
    return f"'{shown}" if text.lstrip(" ").startswith(_FORMULAS) or shown.lstrip().startswith(_FORMULAS) else shown
