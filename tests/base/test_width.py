"""Columns stand under each other whatever language is in them."""

from __future__ import annotations

import pytest

from kitestring.base.width import cut, cut_front, padded, width_of

TEXTS = ["coffee", "カフェ", "кофе", "가", "e\u0301", "☕🍰", "👩🏽\u200d🚀", "قهوة", "\uff46\uff55\uff4c\uff4c", ""]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("coffee", 6), ("café", 4), ("cafe\u0301", 4), ("咖啡", 4), ("カフェ", 6), ("ｶﾌｪ", 3), ("커피", 4),
        ("\u1112\u1161\u11ab", 2), ("☕", 2), ("a🍰b", 4), ("قهوة", 4), ("a\u200bb", 2), ("…", 1), ("", 0),
    ],
)  # fmt: skip
def test_a_text_fills_the_cells_that_a_terminal_gives_it(text: str, cells: int) -> None:
    assert width_of(text) == cells


@pytest.mark.parametrize("text", TEXTS)
def test_nothing_is_wider_than_it_is_cut_to_and_nothing_that_fits_is_cut(text: str) -> None:
    for shorten in (cut, cut_front):
        assert shorten(text, width_of(text)) == text
        for width in range(1, width_of(text)):
            short = shorten(text, width)
            assert width_of(short) <= width
            assert "…" in short


def test_the_end_of_an_id_or_the_beginning_of_a_name_is_left() -> None:
    assert cut("a long name", 7) == "a long…"
    assert cut("咖啡咖啡", 6) == "咖啡…"
    assert cut_front("0a1b2c3d4e5f", 7) == "…3d4e5f"


@pytest.mark.parametrize("text", TEXTS)
def test_blanks_fill_the_cells_that_are_left(text: str) -> None:
    assert width_of(padded(text, 12)) == width_of(padded(text, 12, right=True)) == 12
    assert padded(text, 12).strip() == padded(text, 12, right=True).strip() == text
