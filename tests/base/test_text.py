"""What is left of a stranger's text before anybody sees it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.text import MAX_LINE_CHARS, clean, escape_unsafe, is_safe, on_screen, one_line, unseen

#: Marks of direction, an override, an isolate, a deprecated mark, a byte-order mark, a lone surrogate.
TRICKS = "\u200e\u200f\u061c\u202e\u2066\u2069\u206a\ufeff\ud800"
CONTROLS = "\n\r\t\x00\x07\x1b\x7f\x85\x9b\u2028\u2029"


@pytest.mark.parametrize("trick", TRICKS)
def test_what_reorders_a_line_is_taken_out(trick: str) -> None:
    assert clean(f"pay{trick} me", 20) == "pay me"
    assert one_line(f"pay{trick}me") == "payme"


@pytest.mark.parametrize("control", [*CONTROLS, "\r\n", "\x00\x1b", "\n\u202e\n", " \n  "])
def test_a_control_character_becomes_a_blank_so_that_words_stay_apart(control: str) -> None:
    assert clean(f"line one{control}line two", 40) == one_line(f"line one{control}line two") == "line one line two"
    assert clean(f"{control}tea{control}", 40) == "tea"


#: Persian, Hindi and Sinhala need a joiner or its opposite, Khmer a break without width, French a blank that holds.
WORDS = [
    "\u0645\u06cc\u200c\u062e\u0648\u0631\u062f",
    "क्\u200dष",
    "ශ්\u200dරී",
    "ភាសា\u200bខ្មែរ",
    "prix\u00a0: 5\u202f€",
    "👩\u200d👧",
    "🏴\u200d☠\ufe0f",
    "e\u0301",
]


@pytest.mark.parametrize("word", WORDS)
def test_letters_and_marks_that_languages_and_emoji_need_stay(word: str) -> None:
    assert clean(word, 40) == one_line(word) == on_screen(word) == word
    assert is_safe(word)


@pytest.mark.parametrize("text", ["x" * 1_000, "\n" + "x" * 1_000, "x" * 1_000 + "\n"])
def test_a_long_text_is_cut(text: str) -> None:
    assert clean(text, 50) == "x" * 50
    assert one_line(text) == "x" * MAX_LINE_CHARS


def test_the_work_on_a_hostile_text_is_bounded_by_the_length_asked_for() -> None:
    assert clean("\x00" * 40 + "x" * 1_000, 10) == ""


def test_a_text_without_tricks_is_not_touched() -> None:
    for text in ("", "plain", "Grüße, 你好"):
        assert clean(text, 50) == one_line(text) == on_screen(text) == text
        assert is_safe(text)


def test_a_page_keeps_its_lines_and_blanks_and_loses_what_steers_a_terminal() -> None:
    page = "head  \n  \x1b[1A\x1b[2Kfalse\n\n\u202eend\r"
    assert on_screen(page) == "head  \n   [1A [2Kfalse\n\nend "


@pytest.mark.parametrize("value", [CONTROLS + TRICKS[:-1], {"a\u202eb": ["\u2067"]}, "plain", "Grüße 🫖"])
def test_json_keeps_its_value_and_loses_its_tricks(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False)
    escaped = escape_unsafe(text)
    assert json.loads(escaped) == value
    assert is_safe(escaped)
    assert (escaped == text) is is_safe(text)


@pytest.mark.parametrize("text", ["tea", "Grüße ☕", *(word for word in WORDS[:3]), "👩\u200d👧"])
def test_what_people_read_has_nothing_unseen_in_it(text: str) -> None:
    assert unseen(text) == ""


@pytest.mark.parametrize("character", ["\u200b", "\u2060", "\xad", "\ufeff", "\u202e", "\n", "\xa0", "\u3000"])
def test_the_first_character_that_nobody_sees_is_found(character: str) -> None:
    assert unseen(f"te{character}a\x00") == character


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters() | st.sampled_from(CONTROLS + TRICKS), max_size=60), st.integers(0, 50))
def test_no_text_gets_through_with_a_trick(text: str, length: int) -> None:
    for seen in (clean(text, length), one_line(text)):
        assert is_safe(seen)
        assert clean(seen, MAX_LINE_CHARS) == seen
    assert len(clean(text, length)) <= length
    assert all(map(is_safe, on_screen(text).split("\n")))
    assert on_screen(text).count("\n") == text.count("\n")
    assert is_safe(escape_unsafe(text))
