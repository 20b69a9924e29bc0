"""What a keysend is made of: keys that are on the curve, and records that can travel."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitestring.base.destinations import MESSAGE_RECORD, MIN_RECORD_TYPE, PREIMAGE_RECORD, Keysend
from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.codec.keysend import (
    checked_records,
    keysend,
    message_of,
    message_record,
    read_node_key,
    read_records,
    write_records,
)

#: One times the base point.
KEY = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


def test_the_key_of_a_node_is_read_in_any_case() -> None:
    assert read_node_key(f" {KEY.upper()}\n") == KEY
    assert read_node_key("03" + KEY[2:]) == "03" + KEY[2:]


@pytest.mark.parametrize(
    "wrong",
    ["", "02", KEY[2:], f"{KEY}00", "05" + KEY[2:], "02" + "ff" * 32, "02" + "00" * 32, "zz" + KEY[2:], KEY[:-1]],
)
def test_what_is_no_key_of_a_node_is_refused(wrong: str) -> None:
    with pytest.raises(CodecError, match="66 hexadecimal digits"):
        read_node_key(wrong)


def test_records_are_put_in_order_and_written_as_they_are_read() -> None:
    records = checked_records([(70_000, "FF"), (MIN_RECORD_TYPE, "")])
    assert records == ((MIN_RECORD_TYPE, ""), (70_000, "ff"))
    assert read_records(write_records(records)) == records
    assert read_records(None) == read_records("") == read_records([]) == ()


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([(MIN_RECORD_TYPE - 1, "")], "begin with 65536"),
        ([(2**53, "")], "begin with 65536"),
        ([(70_000, ""), (70_000, "00")], "twice"),
        ([(PREIMAGE_RECORD, "00" * 32)], "the preimage"),
        ([(70_000, "0")], "hexadecimal"),
        ([(70_000, "xx")], "hexadecimal"),
        ([(70_000 + number, "") for number in range(21)], "at most 20"),
        ([(70_000, "00" * 1_001)], "more than 1000 bytes"),
        ([(70_000, "00" * 501), (70_001, "00" * 500)], "more than 1000 bytes"),
    ],
)
def test_records_that_cannot_travel_are_refused(records: list[tuple[int, str]], words: str) -> None:
    with pytest.raises(CodecError, match=words):
        checked_records(records)


def test_as_many_records_as_can_travel_are_taken() -> None:
    assert len(checked_records([(70_000 + number, "00" * 50) for number in range(20)])) == 20


@pytest.mark.parametrize(
    "wrong", [{}, "x", 5, ["x"], [{"type": 70_000}], [{"value": ""}], [{"type": -1, "value": ""}], [{}] * 21]
)
def test_a_list_of_records_of_another_form_is_refused(wrong: object) -> None:
    with pytest.raises(CodecError):
        read_records(wrong)


def test_words_to_the_payee_travel_as_a_record_and_are_shown_on_one_line() -> None:
    assert message_record("hi") == (MESSAGE_RECORD, b"hi".hex())
    assert message_of((message_record("two\nlines \ud800"),)) == "two lines ?"
    assert message_of(((MESSAGE_RECORD, "ff"),)) == "\ufffd"
    assert message_of(()) == message_of(((70_000, "00"),)) == ""


def test_the_hash_of_a_payment_is_that_of_its_preimage_or_open() -> None:
    drawn = keysend(KEY, Msat(1), preimage="00" * 32)
    assert drawn.destination == Keysend(KEY, "00" * 32)
    assert drawn.payment_hash == "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"
    assert keysend(KEY, Msat(1), records=(message_record("hi"),)).description == "hi"
    assert keysend(KEY, Msat(1)).payment_hash == ""


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_whatever_a_peer_sends_as_records_is_read_or_refused(value: object) -> None:
    with contextlib.suppress(CodecError):
        assert read_records(value) == ()
