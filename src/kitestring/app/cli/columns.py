"""Columns of a table: as many as a terminal has room for, and those alone that say something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kitestring.app.cli.values import columns, table, when
from kitestring.base.text import clean

_GAP: Final = 2


@dataclass(frozen=True, slots=True)
class Column:
    """``cell`` is made of a row. A column whose cells are all empty is left out, unless it is always there. Where there
    is no room, it is cut to ``least`` characters (0 = never), and those with the highest ``rank`` go first (0 = none
    ever goes). One whose head ends in a blank is aligned to the right."""

    head: str
    cell: Callable[[dict[str, Any]], str]
    rank: int = 0
    least: int = 0
    most: int = 48
    is_always_there: bool = False


#: Characters of a time without its zone.
_TIME_CHARS: Final = 16


def times(head: str, pick: Callable[[dict[str, Any]], int | None], rows: Sequence[dict[str, Any]]) -> Column:
    """A column of times. Where all have the same offset from UTC that stands in the head alone, which saves room."""
    offsets = {when(seconds)[_TIME_CHARS:].strip() for seconds in map(pick, rows) if seconds is not None}
    if len(offsets) != 1:
        return Column(head, lambda row: when(pick(row)))
    return Column(f"{head} ({offsets.pop()})", lambda row: when(pick(row))[:_TIME_CHARS])


def fitted(rows: Sequence[dict[str, Any]], wanted: Sequence[Column]) -> str:
    """The rows as a table of those columns for which the terminal has room."""
    cells = {column: [clean(column.cell(row), column.most) for row in rows] for column in wanted}
    shown = [column for column in wanted if column.is_always_there or any(cells[column])]
    widths = {column: max(len(column.head.strip()), *map(len, cells[column])) for column in shown}
    _squeeze(shown, widths, columns())
    fit = [[_cut(text, widths[column]) for text in cells[column]] for column in shown]
    return table(list(zip(*fit, strict=True)), tuple(column.head for column in shown))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"


def _squeeze(shown: list[Column], widths: dict[Column, int], room: int) -> None:
    """Cut columns, and take them away, until the table fits or nothing more can go."""
    while (over := sum(widths[one] for one in shown) + _GAP * (len(shown) - 1) - room) > 0:
        slack = [one for one in shown if one.least and widths[one] > max(one.least, len(one.head.strip()))]
        if slack:
            widest = max(slack, key=lambda one: widths[one])
            floor = max(widest.least, len(widest.head.strip()))
            widths[widest] = max(floor, widths[widest] - over)
        elif last := max((one for one in shown if one.rank), key=lambda one: one.rank, default=None):
            shown.remove(last)
        else:
            return
