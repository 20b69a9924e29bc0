"""z-base-32 of whole bytes, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.codec import zbase32


@given(st.integers(0, 13).flatmap(lambda fives: st.binary(min_size=5 * fives, max_size=5 * fives)))
def test_what_is_written_is_read_back(data: bytes) -> None:
    text = zbase32.encode(data)
    assert set(text) <= set(zbase32.ALPHABET)
    assert (zbase32.decode(text), len(text)) == (data, len(data) * 8 // 5)


def test_the_letters_are_those_of_the_text() -> None:
    assert zbase32.encode(bytes.fromhex("f0bfc7f07f")) == "6n9hxhd9"
    assert zbase32.encode(bytes(5)) == "yyyyyyyy"


@pytest.mark.parametrize("text", ["y", "yyyyyyy", "yyyyyyyl", "YYYYYYYY", "yyyyyyy=", "yyyyyyyé"])
def test_another_letter_or_length_is_refused(text: str) -> None:
    with pytest.raises(CodecError):
        zbase32.decode(text)


def test_what_does_not_end_with_a_letter_is_not_written() -> None:
    with pytest.raises(ValueError, match="multiples of five"):
        zbase32.encode(b"abc")
