"""What is odd counts as absent; what is plainly meant is read."""

from __future__ import annotations

import pytest

from kitestring.base.money import MAX_WHOLE
from kitestring.wire.ask.members import MAX_HEX_CHARS, hex_in, names_in, number_in, text_in


@pytest.mark.parametrize("value", [21, "21", 21.0, "021"])
def test_a_whole_number_is_read_in_the_forms_that_wallets_write(value: object) -> None:
    assert number_in({"n": value}, "n") == 21


@pytest.mark.parametrize(
    "value",
    [None, "", "soon", "1e3", "1.5", 1.5, 1e300, float("inf"), True, -1, "-1", MAX_WHOLE + 1, "9" * 30, [1], {}, "٣"],
    ids=str,
)
def test_whatever_is_no_whole_number_counts_as_absent(value: object) -> None:
    assert number_in({"n": value}, "n") is None
    assert number_in({}, "n") is None


def test_a_negative_number_is_read_where_it_can_be_meant() -> None:
    assert number_in({"n": -1_500}, "n", low=-MAX_WHOLE) == -1_500
    assert number_in({"n": "-1500"}, "n", low=-MAX_WHOLE) == -1_500


def test_a_text_is_cut_and_without_control_characters() -> None:
    assert text_in({"t": "te\x1ba" * 9}, "t", 4) == "te a"
    assert [text_in({"t": value}, "t", 9) for value in (None, 7, ["x"])] == [""] * 3


@pytest.mark.parametrize("value", ["zz", "abc", "ab cd", 7, None, "ab" * MAX_HEX_CHARS + "zz"])
def test_only_whole_bytes_are_hexadecimal(value: object) -> None:
    assert hex_in({"h": "AB" * 32}, "h") == "ab" * 32
    assert hex_in({"h": value}, "h") in {"", "ab" * (MAX_HEX_CHARS // 2)}


def test_a_list_of_names_is_read_without_what_is_none() -> None:
    assert names_in({"l": ["pay", 7, None, "look\n"]}, "l", 9, 9) == ("pay", "look")
    assert names_in({"l": ["a", "b", "c"]}, "l", 2, 9) == ("a", "b")
    assert names_in({"l": "pay look"}, "l", 9, 9) == ()
