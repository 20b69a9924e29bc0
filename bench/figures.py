"""One row of the result: a ratio, its limit, and what it is made of; the table and the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

OUT: Final = Path(__file__).parent / "out"


@dataclass(frozen=True, slots=True)
class Figure:
    """``limit`` None = for information. ``better`` says on which side of the limit the good values are."""

    name: str
    ratio: float
    limit: float | None
    better: Literal["lower", "higher"]
    detail: str

    @property
    def holds(self) -> bool:
        if self.limit is None:
            return True
        return self.ratio <= self.limit if self.better == "lower" else self.ratio >= self.limit


def print_table(figures: list[Figure]) -> None:
    width = max(len(figure.name) for figure in figures)
    for figure in figures:
        sign = "≤" if figure.better == "lower" else "≥"
        limit = f"{sign} {figure.limit:g}" if figure.limit is not None else ""
        word = "" if figure.limit is None else "OK" if figure.holds else "over"
        print(f"{figure.name:<{width}}  {figure.ratio:>7.2f}  {limit:>6}  {word:<4}  {figure.detail}")


def write_json(figures: list[Figure]) -> Path:
    OUT.mkdir(exist_ok=True)
    rows = [
        {
            "name": figure.name,
            "ratio": round(figure.ratio, 3),
            "limit": figure.limit,
            "better": figure.better,
            "detail": figure.detail,
        }
        for figure in figures
    ]
    path = OUT / "latest.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")
    return path
