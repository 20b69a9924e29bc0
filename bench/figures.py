"""One row of the result: a figure, its limit, and what it is made of; the table and the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

OUT: Final = Path(__file__).parent / "out"


@dataclass(frozen=True, slots=True)
class Figure:
    """``limit`` None = for information. ``better`` says on which side of the limit the good values are. ``unit`` "" is
    a ratio."""

    name: str
    value: float
    limit: float | None
    better: Literal["lower", "higher"]
    detail: str
    unit: Literal["", "ms", "s", "MB", "KiB"] = ""

    @property
    def holds(self) -> bool:
        if self.limit is None:
            return True
        return self.value <= self.limit if self.better == "lower" else self.value >= self.limit


def print_table(figures: list[Figure]) -> None:
    width = max(len(figure.name) for figure in figures)
    for figure in figures:
        sign = "≤" if figure.better == "lower" else "≥"
        limit = f"{sign} {figure.limit:g}" if figure.limit is not None else ""
        word = "" if figure.limit is None else "OK" if figure.holds else "over"
        print(f"{figure.name:<{width}}  {figure.value:>7.2f} {figure.unit:<3}  {limit:>6}  {word:<4}  {figure.detail}")


def write_json(figures: list[Figure]) -> Path:
    OUT.mkdir(exist_ok=True)
    rows = [
        {
            "name": figure.name,
            "value": round(figure.value, 3),
            "unit": figure.unit,
            "limit": figure.limit,
            "better": figure.better,
            "detail": figure.detail,
        }
        for figure in figures
    ]
    path = OUT / "latest.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")
    return path
