"""Texts on a wire: within the limits of their protocol, and without characters that play tricks on a screen."""

from __future__ import annotations

import json

import pytest

from kitestring.base.text import UNSAFE
from kitestring.codec.bolt11 import MAX_DESCRIPTION_BYTES
from kitestring.wire import text as text_module
from kitestring.wire.text import clean_description, escape_unsafe, metadata_text
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


@pytest.mark.parametrize("value", [TRICKS, {"a\u202eb": ["\u2067"]}, "plain", "Grüße 🫖"])
def test_json_keeps_its_value_and_loses_its_tricks(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False)
    escaped = escape_unsafe(text)
    assert json.loads(escaped) == value
    assert UNSAFE.search(escaped) is None
    assert (escaped == text) is (UNSAFE.search(text) is None)


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
