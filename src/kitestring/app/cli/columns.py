"""Columns of a table: as many as a terminal has room for, and those alone that say something."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kitestring.app.cli.values import MAX_CELL_CHARS, columns, facts, table, when
from kitestring.base.text import clean
from kitestring.base.width import cut, cut_front, width_of

_GAP: Final = 2


@dataclass(frozen=True, slots=True)
class Column:
    """``cell`` is made of a row. A column whose cells are all empty is left out, unless it is always there. On a
    terminal it fills ``most`` cells; where there is no room, it is cut to ``least`` (0 = never), at its front if
    ``keeps_end``, and those with the highest ``rank`` go first (0 = none ever goes). One whose head ends in a blank is
    aligned to the right. Without a terminal nothing is cut."""

    head: str
    cell: Callable[[Any], str]
    rank: int = 0
    least: int = 0
    most: int = 48
    is_always_there: bool = False
    keeps_end: bool = False

    def cut(self, text: str, width: int) -> str:
        return cut_front(text, width) if self.keeps_end else cut(text, width)


#: Characters of a time without its zone.
_TIME_CHARS: Final = 16


def times(head: str, pick: Callable[[dict[str, Any]], int | None], rows: Sequence[dict[str, Any]]) -> Column:
    """A column of times. Where all have the same offset from UTC that stands in the head alone, which saves room."""
    offsets = {when(seconds)[_TIME_CHARS:].strip() for seconds in map(pick, rows) if seconds is not None}
    if len(offsets) != 1:
        return Column(head, lambda row: when(pick(row)))
    return Column(f"{head} ({offsets.pop()})", lambda row: when(pick(row))[:_TIME_CHARS])


def fitted(rows: Sequence[Any], wanted: Sequence[Column]) -> str:
    """The rows as a table of those columns for which the terminal has room. If even the last ones have none, each row
    is a block of lines with all of them."""
    cells = {column: [clean(column.cell(row) or "", MAX_CELL_CHARS).strip() for row in rows] for column in wanted}
    there = [column for column in wanted if column.is_always_there or any(cells[column])]
    room, shown = columns(), list(there)
    full = {column: max(width_of(column.head.strip()), *map(width_of, cells[column])) for column in there}
    widths = {one: full[one] if room == sys.maxsize or not one.least else min(full[one], one.most) for one in there}
    if not _squeeze(shown, widths, room):
        return _blocks(cells, there, len(rows), room)
    fit = [[column.cut(text, widths[column]) for text in cells[column]] for column in shown]
    return table(list(zip(*fit, strict=True)), tuple(column.head for column in shown))


def _blocks(cells: dict[Column, list[str]], shown: list[Column], count: int, room: int) -> str:
    """Each row as lines under each other; what a row of a table cuts is cut here too, at the edge of the terminal."""
    names = {column: column.head.strip() or "way" for column in shown}  # only the direction has no head
    beside = max(map(width_of, names.values())) + _GAP

    def value(column: Column, i: int) -> str:
        text = cells[column][i]
        return column.cut(text, max(column.least, room - beside)) if column.least else text

    return "\n\n".join(facts([(names[column], value(column, i)) for column in shown]) for i in range(count))


def _squeeze(shown: list[Column], widths: dict[Column, int], room: int) -> bool:
    """Take columns away that have no room even when all are cut, and cut the others, the widest first, until the table
    fits; whether it does."""
    room += _GAP  # behind the last one there is none
    while sum(min(widths[one], _floor(one)) if one.least else widths[one] for one in shown) + _GAP * len(shown) > room:
        last = max((one for one in shown if one.rank), key=lambda one: one.rank, default=None)
        if last is None:
            return False
        shown.remove(last)
    for _ in range(sum(widths[one] for one in shown) + _GAP * len(shown) - room):
        widest = max((one for one in shown if one.least and widths[one] > _floor(one)), key=lambda one: widths[one])
        widths[widest] -= 1
    return True


def _floor(column: Column) -> int:
    return max(column.least, width_of(column.head.strip()))
