"""Members in the forms in which peers write them."""

from __future__ import annotations

import base64

import pytest

from kitestring.base.errors import CodecError
from kitestring.codec.members import count_member, flag_member, hash_member, object_member, said, words_member

BYTES = bytes(range(224, 256))
HEX = BYTES.hex()


def test_null_and_empty_text_say_nothing_and_zero_does() -> None:
    assert said({"a": None, "b": "", "c": 0, "d": False, "e": []}) == {"c": 0, "d": False, "e": []}


@pytest.mark.parametrize("empty", [None, "", [], {}, {"a": None}])
def test_an_object_without_members_may_be_written_in_many_ways(empty: object) -> None:
    assert object_member({"params": empty}, "params") == {}
    assert object_member({}, "params") == {}
    assert object_member({"params": {"a": 1, "b": ""}}, "params") == {"a": 1}


@pytest.mark.parametrize("value", [[1], [[]], [{}], "x", "{}", 0, 1, False, True, 1.5])
def test_what_is_no_object_is_none(value: object) -> None:
    with pytest.raises(CodecError, match="params must be an object"):
        object_member({"params": value}, "params")


@pytest.mark.parametrize(
    "text",
    [
        HEX,
        HEX.upper(),
        f" {HEX}\n",
        base64.b64encode(BYTES).decode(),
        base64.b64encode(BYTES).decode().rstrip("="),
        base64.urlsafe_b64encode(BYTES).decode(),
        base64.urlsafe_b64encode(BYTES).decode().rstrip("="),
    ],
)
def test_a_hash_is_hex_or_base64_and_never_both(text: str) -> None:
    assert hash_member({"payment_hash": text}, "payment_hash") == HEX


@pytest.mark.parametrize("text", ["12", "zz" * 32, "é" * 64, HEX + "00", HEX[:-1], "A" * 42, "A" * 44, "A" * 45, 7, []])
def test_anything_else_is_no_hash(text: object) -> None:
    with pytest.raises(CodecError, match="payment_hash"):
        hash_member({"payment_hash": text}, "payment_hash")
    assert hash_member({"payment_hash": None}, "payment_hash") == hash_member({}, "payment_hash") == ""


@pytest.mark.parametrize(
    ("value", "number"), [(5, 5), ("5", 5), (5.0, 5), (1_760_000_000.9, 1_760_000_000), (None, None)]
)
def test_a_time_or_count_may_be_a_text_or_have_a_fraction(value: object, number: int | None) -> None:
    assert count_member({"from": value}, "from") == number


@pytest.mark.parametrize("value", [-1, -0.5, "1.5", 1e300, True, "x", [1]])
def test_a_time_or_count_is_not_guessed(value: object) -> None:
    with pytest.raises(CodecError, match="from"):
        count_member({"from": value}, "from")


@pytest.mark.parametrize(
    ("value", "flag"),
    [(True, True), (False, False), (1, True), (0, False), ("true", True), ("False", False), ("1", True), (None, False)],
)
def test_a_flag_may_be_a_number_or_a_text(value: object, flag: bool) -> None:
    assert flag_member({"unpaid": value}, "unpaid") is flag
    assert flag_member({}, "unpaid") is False


@pytest.mark.parametrize("value", ["yes", 2, 1.0, [], "incoming"])
def test_anything_else_is_no_flag(value: object) -> None:
    with pytest.raises(CodecError, match="unpaid must be true or false"):
        flag_member({"unpaid": value}, "unpaid")


def test_words_for_people_may_be_a_number() -> None:
    assert words_member({"description": "tea"}, "description") == "tea"
    assert words_member({"description": 17}, "description") == "17"
    assert words_member({"description": None}, "description") == words_member({}, "description") == ""


@pytest.mark.parametrize("value", [True, 1.5, [], {}])
def test_anything_else_is_no_text_for_people(value: object) -> None:
    with pytest.raises(CodecError, match="description"):
        words_member({"description": value}, "description")
