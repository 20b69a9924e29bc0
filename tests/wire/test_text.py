"""Texts on a wire: within the limits of their protocol, and without characters that play tricks on a screen."""

from __future__ import annotations

import pytest

from kitestring.base.errors import KitestringError
from kitestring.codec.bolt11 import MAX_DESCRIPTION_BYTES
from kitestring.wire import text as text_module
from kitestring.wire.text import clean_description, clean_words, fit_description, fit_offer_words, metadata_text
from tests.kit.codec.invoices import invoice

TRICKS = "\x00\x1b\x7f\x85\u2028\u200e\u202e\u2066"


def test_a_description_loses_its_control_characters_and_is_cut() -> None:
    assert clean_description(f"tea{TRICKS} for two") == "tea for two"
    assert clean_description("x" * 1_000) == "x" * MAX_DESCRIPTION_BYTES


@pytest.mark.parametrize("letter", ["é", "茶", "🫖"])
def test_a_description_in_any_script_is_cut_to_whole_letters(letter: str) -> None:
    cut = clean_description("x" + letter * 1_000)
    assert cut == "x" + letter * ((MAX_DESCRIPTION_BYTES - 1) // len(letter.encode()))


def test_the_longest_description_goes_into_an_invoice() -> None:
    assert invoice(1_000, description="x" * MAX_DESCRIPTION_BYTES)
    with pytest.raises(ValueError, match="639 bytes"):
        invoice(1_000, description="x" * (MAX_DESCRIPTION_BYTES + 1))


@pytest.mark.parametrize(
    ("text", "kept"), [("x" * 9, "xxxx"), ("🫖" * 9, "🫖🫖"), ("x" + "🫖" * 9, "x🫖"), (f"t{TRICKS}ea", "t ea")]
)
def test_a_strangers_words_are_cut_as_javascript_counts_them_and_no_letter_is_halved(text: str, kept: str) -> None:
    assert clean_words(text, 4) == kept


@pytest.mark.parametrize("letter", ["x", "é", "茶", "🫖"])
def test_the_owners_own_description_is_measured_in_bytes_and_never_cut(letter: str) -> None:
    most = letter * (MAX_DESCRIPTION_BYTES // len(letter.encode()))
    assert fit_description(most) == most
    with pytest.raises(KitestringError, match=r"the description has 6\d\d bytes, and an invoice carries at most 639"):
        fit_description(most + letter)
    assert fit_description("line one\nline two") == "line one line two"


def test_the_payers_own_words_are_measured_as_services_measure_them() -> None:
    assert fit_offer_words("🫖" * 50) == "🫖" * 50
    assert fit_offer_words("x" * 100) == "x" * 100
    for words in ("🫖" * 50 + "x", "x" * 101):
        with pytest.raises(KitestringError, match=r"has 101 characters .* at most 100"):
            fit_offer_words(words)


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ({"a": "\x7f"}, '{"a":"\\u007f"}'),
        ({"a": "x" * 21}, ""),
        ({"a": "\x7f" * 12}, ""),
        ({}, ""),
        ("a", ""),
        (None, ""),
    ],
)
def test_metadata_is_a_short_object_without_tricks_or_nothing(metadata: object, text: str) -> None:
    assert metadata_text(metadata, 28) == text


def test_long_metadata_is_thrown_away_before_it_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "escape_unsafe", lambda _: pytest.fail("it was escaped"))
    assert metadata_text({"a": "\x7f" * 60_000}, 4_096) == ""
