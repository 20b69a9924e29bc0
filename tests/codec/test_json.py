from __future__ import annotations

import json as plain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.base.money import MAX_WHOLE, Msat
from kitestring.codec.json import MAX_DEPTH, MAX_SIZE, dumps, int_member, loads_object, loads_reply, text_member

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LEAF = st.none() | st.booleans() | st.integers(-MAX_WHOLE, MAX_WHOLE) | TEXT
VALUE = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(TEXT, VALUE, max_size=4))
def test_an_object_survives_the_round_trip_and_other_writers_are_read(members: dict[str, Any]) -> None:
    assert loads_object(dumps(members)) == members
    assert loads_object(plain.dumps(members, indent=2)) == members
    assert loads_object(f"\n\t {plain.dumps(members, ensure_ascii=False)}\r\n") == members


def nested(opening: str, closing: str, levels: int) -> str:
    return opening * levels + closing * levels


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "[]",
        '"x"',
        "{",
        "{}x",
        "{} {}",
        '{"a":1,}',
        "{a:1}",
        "{'a':1}",
        '{"a":01}',
        '{"a":+1}',
        '{"a":1,"a":2}',
        '{"a":1,"\\u0061":2}',
        '{"x":[{"a":1,"b":2,"a":1}]}',
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":-Infinity}',
        '{"a":1e999}',
        '{"a":9007199254740992}',
        '{"a":-9007199254740992}',
        '{"a":' + "9" * 5000 + "}",
        '{"a":"\\ud800"}',
        '{"\\udc00":1}',
        '{"a":"\ud800"}',
        '{"a":"\n"}',
        '{"a":"\x00"}',
        "\ufeff{}",
        "\u00a0{}",
        '{"a":"' + "x" * MAX_SIZE + '"}',
        '{"a":"' + "é" * (MAX_SIZE // 2) + '"}',
    ],
)
def test_a_loose_text_is_refused(text: str) -> None:
    with pytest.raises(CodecError):
        loads_object(text)


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ('{"a":1,"a":2}', {"a": 2}),
        (
            '{"a":NaN,"b":[-Infinity,1e999,9007199254740992,-9007199254740992],"c":1}',
            {"a": None, "b": [None] * 4, "c": 1},
        ),
        ('{"a":' + "9" * 5000 + "}", {"a": None}),
        ('{"a":["\\ud83e \\ud83e\\ude81"],"\\udc00":{"b":"\\udfff"}}', {"a": ["\ufffd 🪁"], "\ufffd": {"b": "\ufffd"}}),
        ('{"a":"' + "x" * MAX_SIZE + '"}', {"a": "x" * MAX_SIZE}),
    ],
)
def test_one_odd_value_does_not_spoil_a_reply(text: str, members: object) -> None:
    with pytest.raises(CodecError):
        loads_object(text)
    assert loads_reply(text, 2 * MAX_SIZE) == members


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{}x",
        '{"a":01}',
        '{"a":"\n"}',
        '{"a":"\ud800"}',
        '{"a":"' + "x" * 90 + '"}',
        "[" * 90,
        '{"a":' * 90,
    ],
)
def test_what_is_no_object_or_too_long_is_no_reply(text: str) -> None:
    with pytest.raises(CodecError):
        loads_reply(text, 90)


@pytest.mark.parametrize("levels", [MAX_DEPTH, 5_000, 30_000])
@pytest.mark.parametrize("tail", ["]", ""])
def test_a_nesting_bomb_is_a_codec_error(levels: int, tail: str) -> None:
    with pytest.raises(CodecError):
        loads_object('{"a":' + nested("[", tail, levels) + "}")


def test_a_hostile_text_without_end_is_read_in_one_pass() -> None:
    with pytest.raises(CodecError):
        loads_object("[" * MAX_DEPTH + '{"' + '\\"' * (MAX_SIZE // 2 - MAX_DEPTH))


def test_brackets_in_texts_and_side_by_side_do_not_count_as_depth() -> None:
    members = {"a": "[" * 100 + '\\"', "b": [[], {}] * 20}
    assert loads_object(dumps(members)) == members
    deepest = '{"a":' + nested("[", "]", MAX_DEPTH - 1) + "}"
    assert plain.loads(deepest) == loads_object(deepest)


def test_a_surrogate_pair_written_as_escapes_is_one_character() -> None:
    assert loads_object('{"a":"\\ud83e\\ude81"}') == {"a": "🪁"}


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_no_text_raises_anything_but_a_codec_error(text: str) -> None:
    for candidate in (text, '{"a":' + text, '{"a":"' + text + '"}'):
        try:
            loads_object(candidate)
        except CodecError:
            continue


def test_a_whole_number_is_read_within_its_bounds() -> None:
    members = loads_object('{"n":21,"zero":0,"null":null,"low":-1}')
    assert int_member(members, "n") == 21
    assert int_member(members, "n", low=21, high=21) == 21
    assert int_member(members, "null") is None
    assert int_member(members, "absent") is None
    for name, low, high in (("low", 0, 99), ("zero", 1, 99), ("n", 0, 20)):
        with pytest.raises(CodecError, match=name):
            int_member(members, name, low=low, high=high)


@pytest.mark.parametrize("value", ["true", "false", "1.0", "1e3", "-0.0", '"21"', "[1]", "{}"])
def test_what_only_looks_like_a_whole_number_is_refused(value: str) -> None:
    with pytest.raises(CodecError, match="whole number"):
        int_member(loads_object(f'{{"n":{value}}}'), "n")


def test_a_decimal_text_is_read_only_where_it_is_asked_for() -> None:
    assert int_member({"n": "21"}, "n", decimal_text=True) == 21
    for wrong in ("", " 21", "21 ", "2_1", "+1", "01", "1.0", "1e3", "٣", "9" * 17, "-0"):
        with pytest.raises(CodecError):
            int_member({"n": wrong}, "n", decimal_text=True)


def test_a_text_is_read_within_its_length() -> None:
    assert text_member({"t": "abc"}, "t", max_length=3) == "abc"
    assert text_member({"t": None}, "t") is None
    with pytest.raises(CodecError, match="longer"):
        text_member({"t": "abcd"}, "t", max_length=3)
    with pytest.raises(CodecError, match="string"):
        text_member({"t": 1}, "t")


def test_writing_is_compact_and_knows_amounts() -> None:
    assert dumps({"a": Msat(21), "b": ["é", None, True]}) == '{"a":21,"b":["é",null,true]}'
    with pytest.raises(TypeError):
        dumps({"a": object()})
