"""A table has the columns that say something, as far as there is room."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.cli import columns as module
from kitestring.app.cli import values
from kitestring.app.cli.columns import Column, fitted

COLUMNS = (
    Column("when", lambda row: str(row["when"])),
    Column("why", lambda row: str(row["why"]), rank=2, least=6),
    Column("words", lambda row: str(row["words"]), rank=1, least=8),
)
ROW = {"when": "2026-11-30", "why": "", "words": "a cup of tea and a piece of cake"}


def shown(monkeypatch: pytest.MonkeyPatch, width: int, *rows: dict[str, Any]) -> list[str]:
    for where in (module, values):
        monkeypatch.setattr(where, "columns", lambda: width)
    return fitted(rows, COLUMNS).splitlines()


def test_a_column_of_which_no_row_has_anything_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 80, ROW) == ["when        words", "2026-11-30  a cup of tea and a piece of cake"]
    assert shown(monkeypatch, 80, ROW, {**ROW, "why": "x"})[0] == "when        why  words"


def test_no_line_is_longer_than_the_terminal_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    full = {**ROW, "why": "there is no route to the payee"}
    for width in range(20, 90):
        assert all(len(line) <= width for line in shown(monkeypatch, width, full)), width


def test_what_can_be_cut_is_cut_before_a_column_goes_and_the_highest_rank_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = {**ROW, "why": "there is no route to the payee"}
    assert shown(monkeypatch, 28, full)[1] == "2026-11-30  there…  a cup o…"
    assert shown(monkeypatch, 27, full)[0] == "when        words"
    assert shown(monkeypatch, 19, full)[0].split() == ["when"]


def test_words_of_others_neither_forge_a_row_nor_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, 80, {**ROW, "words": "tea\x1b[1A\n2026-11-29\u202e  free"})
    assert lines[1:] == ["2026-11-30  tea [1A 2026-11-29  free"]
