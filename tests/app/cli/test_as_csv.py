"""CSV that no spreadsheet takes for more than it is."""

import csv
import io
import unicodedata

import pytest

from kitestring.app.cli.as_csv import MAX_TEXT_CHARS, csv_lines, harmless


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\u202e=1", "\x1b=1", "\n=1", "\uff1d1+1", "\uff0b1"],
)
def test_a_text_that_would_be_a_formula_is_one_no_more(text: str) -> None:
    assert harmless(text).startswith("'")


@pytest.mark.parametrize("text", ["tea;=cmd|'/C calc'!A0;", "tea; =1", "tea;\uff1d1", ";@SUM(A1)"])
def test_a_text_is_no_formula_either_where_a_spreadsheet_parts_cells_at_semicolons(text: str) -> None:
    cells = csv_lines([("when", text)]).split(";")
    assert not [
        cell for cell in cells if unicodedata.normalize("NFKC", cell).lstrip(" ").startswith(("=", "+", "-", "@"))
    ]


@pytest.mark.parametrize("text", ["a; b", "a;b=c", "tea", "", "3 - 2", "a=b", "Grüße", "'quoted'"])
def test_any_other_text_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


def test_hostile_texts_stay_in_their_cell_and_on_their_line() -> None:
    evil = 'a "cup",\nof\x1b[2K\u202e tea\r\n=1'
    text = csv_lines([("what", "how much"), (evil, 21), (None, -5), ("x" * 9_999, 0)])
    assert "\x1b" not in text
    assert "\u202e" not in text
    read = list(csv.reader(io.StringIO(text)))
    assert read[:3] == [["what", "how much"], ['a "cup", of [2K tea =1', "21"], ["", "-5"]]
    assert len(read[3][0]) == MAX_TEXT_CHARS
    assert len(text.splitlines()) == 4
