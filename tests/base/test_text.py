"""What is left of a stranger's text before anybody sees it."""

import pytest

from kitestring.base.text import MAX_LINE_CHARS, UNSAFE, clean, one_line

#: A right-to-left override, a zero-width mark, a new line, an escape, a lone surrogate.
TRICKS = "\u202e\u200e\n\x1b\ud800"


@pytest.mark.parametrize("trick", TRICKS)
def test_what_reorders_or_breaks_a_line_is_taken_out(trick: str) -> None:
    assert clean(f"pay{trick} me", 20) == "pay me"
    assert one_line(f"pay{trick}me", 20) == "pay me"


def test_joined_emoji_and_unusual_spaces_stay_in_a_description_and_not_in_a_log_line() -> None:
    family = "\N{MAN}\N{ZERO WIDTH JOINER}\N{GIRL}\N{NO-BREAK SPACE}!"
    assert clean(family, 20) == family
    assert one_line(family, 20) == "\N{MAN} \N{GIRL} !"


@pytest.mark.parametrize("text", ["x" * 1_000, "\n" + "x" * 1_000, "x" * 1_000 + "\n"])
def test_a_long_text_is_cut(text: str) -> None:
    assert clean(text, 50) == "x" * 50
    assert len(one_line(text)) == MAX_LINE_CHARS
    assert one_line(text).strip() in text


def test_the_work_on_a_hostile_text_is_bounded_by_the_length_asked_for() -> None:
    assert clean("\x00" * 40 + "x" * 1_000, 10) == ""


def test_a_text_without_tricks_is_not_touched() -> None:
    for text in ("", "plain", "Grüße, 你好"):
        assert clean(text, 50) == one_line(text) == text
        assert UNSAFE.search(text) is None
