from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.codec import tlv


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=255)), min_size=1, max_size=8))
def test_entries_survive_the_round_trip(entries: list[tuple[int, bytes]]) -> None:
    data = tlv.encode(entries)
    assert tlv.decode(data) == entries
    with pytest.raises(CodecError):
        tlv.decode(data + b"\x07")


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x01", b"\x00\x02a", b"\x00\x01ab", b"\x00\x00\x01"])
def test_empty_stray_and_truncated_data_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        tlv.decode(data)


def test_a_value_beyond_one_length_byte_is_not_written() -> None:
    with pytest.raises(CodecError, match="256 bytes"):
        tlv.encode([(0, bytes(256))])


def test_a_value_that_is_not_utf8_is_no_text() -> None:
    assert tlv.text("é".encode()) == "é"
    with pytest.raises(CodecError, match="text"):
        tlv.text(b"\xff\xfe")
