"""A table has the columns that say something, as far as there is room."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from kitestring.app.cli import columns as module
from kitestring.app.cli import values
from kitestring.app.cli.answers import answers
from kitestring.app.cli.columns import Column, fitted
from kitestring.app.cli.values import short_key
from kitestring.base.width import width_of
from tests.kit.app.console import commands, run
from tests.kit.app.hostile import WORDS, hostile

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


#: Commands that show a table, with what they need.
LISTS = {
    "connections": (), "connection show": ("shop",), "account list": (), "offer list": (), "transactions": (),
    "hold list": (), "blocked": (), "debit grants": (), "manage grants": (), "offer deliveries": (),
    "approvals": ("--ended",), "events": (), "debit sessions": ("till",),
}  # fmt: skip


def listed(monkeypatch: pytest.MonkeyPatch, words: str, width: int) -> list[str]:
    for where in (module, values):
        monkeypatch.setattr(where, "columns", lambda: width)
    said = run(commands()[words], *LISTS[words], answer=hostile(answers(words)[0])).lines
    return said[said.index("") + 1 :] if words in {"connection show", "events", "debit sessions"} else said


@pytest.mark.parametrize("words", LISTS)
def test_a_list_of_the_longest_and_strangest_words_fits_a_terminal(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    for width in (80, 100, 130):
        lines = listed(monkeypatch, words, width)
        assert len(lines) >= 4
        assert [line for line in lines if width_of(line) > width] == []


@pytest.mark.parametrize("words", LISTS)
def test_no_stranger_forges_a_row_of_a_list_and_nothing_is_cut_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    lines = listed(monkeypatch, words, sys.maxsize)
    assert len(lines) == 4, "a head and three rows"
    assert "…" not in "".join(lines).replace(short_key("npub1" + "q" * 58), "")
    assert "\x1b" not in "".join(lines)


def test_a_block_of_a_narrow_terminal_has_what_can_be_cut_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = "ab" * 32
    for where in (module, values):
        monkeypatch.setattr(where, "columns", lambda: 40)
    wanted = (Column("hash", lambda _: whole), Column("for", lambda _: "咖啡" * 40, least=8))
    assert fitted([{}, {}], wanted) == "\n\n".join([f"hash  {whole}\nfor   {'咖啡' * 8}…"] * 2)


def test_an_id_is_cut_at_its_front(monkeypatch: pytest.MonkeyPatch) -> None:
    for where in (module, values):
        monkeypatch.setattr(where, "columns", lambda: 20)
    wanted = (Column("name", lambda _: "a" * 11), Column("id", lambda _: "0123456789", least=7, keeps_end=True))
    assert fitted([{}], wanted).splitlines()[1] == f"{'a' * 11}  …456789"


def test_columns_stand_under_each_other_whatever_language_is_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = (Column("name", lambda row: str(row["name"]), least=6), Column("|", lambda _: "|"))
    rows = [{"name": name} for name in ("coffee", "喫茶店", "☕👩🏽\u200d🚀", "شمس", "e\u0301e\u0301", WORDS, "")]
    for width in (12, 40, sys.maxsize):
        for where in (module, values):
            monkeypatch.setattr(where, "columns", lambda width=width: width)
        assert len({width_of(line.rpartition("|")[0]) for line in fitted(rows, wanted).splitlines()}) == 1
