"""Filters: what they match, what they refuse, and that they survive the wire."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import sign_event
from kitestring.nostr.filter import MAX_MEMBERS, MAX_VALUES, Filter, decode_filter, encode_filter

KEY = SecretKey(b"\x03" * 32)
EVENT = sign_event(KEY, kind=21001, tags=[["p", "a" * 64], ["e"], [], ["P", "b"]], content="", created_at=1000)
HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (Filter(), True),
        (Filter(kinds={21001, 5}), True),
        (Filter(kinds={5}), False),
        (Filter(kinds=frozenset()), False),
        (Filter(authors={KEY.public_hex}), True),
        (Filter(authors={"a" * 64}), False),
        (Filter(ids={EVENT.id}), True),
        (Filter(ids={EVENT.id[:63] + "x"}), False),
        (Filter(since=1000, until=1000), True),
        (Filter(since=1001), False),
        (Filter(until=999), False),
        (Filter(limit=0), True),
        (Filter(tags={"p": {"a" * 64, "x"}}), True),
        (Filter(tags={"p": {"b"}}), False),
        (Filter(tags={"P": {"b"}}), True),
        (Filter(tags={"e": {""}}), False),
        (Filter(tags={"p": frozenset()}), False),
        (Filter(tags={"p": {"a" * 64}, "P": {"c"}}), False),
        (Filter(kinds={21001}, authors={KEY.public_hex}, tags={"p": {"a" * 64}}, since=1), True),
    ],
)
def test_every_member_must_match_with_one_of_its_values(wanted: Filter, matches: bool) -> None:
    assert wanted.matches(EVENT) is matches


def test_a_filter_object_is_read_member_by_member() -> None:
    value = {"kinds": [1, 1], "#p": ["x"], "#E": [], "since": 5, "until": 6, "limit": 7, "search": "ignored"}
    tags = {"p": frozenset({"x"}), "E": frozenset[str]()}
    assert decode_filter(value) == Filter(kinds=frozenset({1}), tags=tags, since=5, until=6, limit=7)


def test_a_member_that_is_null_is_not_asked_for() -> None:
    value = {"ids": None, "authors": None, "kinds": [1], "since": None, "until": None, "limit": None, "#p": None}
    assert decode_filter(value) == Filter(kinds=frozenset({1}))


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        Filter,
        ids=maybe(st.frozensets(HEX, max_size=3)),
        authors=maybe(st.frozensets(HEX, max_size=3)),
        kinds=maybe(st.frozensets(st.integers(0, 65_535), max_size=3)),
        since=maybe(st.integers(0, 2**53 - 1)),
        until=maybe(st.integers(0, 2**53 - 1)),
        limit=maybe(st.integers(0, 5000)),
        tags=st.dictionaries(st.sampled_from("pedPZ"), st.frozensets(st.text("ab/é", max_size=9), max_size=3)),
    )
)
def test_a_filter_survives_the_wire(wanted: Filter) -> None:
    assert decode_filter(msgspec.json.decode(encode_filter(wanted))) == wanted


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "{}",
        {"ids": "a" * 64},
        {"ids": ["a" * 63]},
        {"ids": ["A" * 64]},
        {"authors": ["a" * 64, "g" * 64]},
        {"kinds": [1.0]},
        {"kinds": [True]},
        {"kinds": [65_536]},
        {"kinds": 1},
        {"since": "1"},
        {"until": -1},
        {"limit": 1.5},
        {"#p": "a"},
        {"#p": [1]},
        {"#p": ["x" * 1025]},
        {"#pp": ["a"]},
        {"#": ["a"]},
        {"#1": ["a"]},
        {"#p\n": ["a"]},
        {"kinds": [1] * (MAX_VALUES + 1)},
        {"#e": ["a"] * (MAX_VALUES + 1)},
        {f"x{number}": 1 for number in range(MAX_MEMBERS + 1)},
    ],
)
def test_a_malformed_or_oversized_filter_is_refused(value: object) -> None:
    with pytest.raises(CodecError):
        decode_filter(value)


def test_the_limits_themselves_are_allowed() -> None:
    letters = "abcdefghijklmnopqrst"[:MAX_MEMBERS]
    assert len(decode_filter({f"#{letter}": ["x"] for letter in letters}).tags) == MAX_MEMBERS
    assert decode_filter({"kinds": list(range(MAX_VALUES))}).kinds == set(range(MAX_VALUES))


@pytest.mark.parametrize("wanted", [Filter(tags={"long": {"x"}}), Filter(ids={"X"}), Filter(kinds=set(range(1001)))])
def test_a_filter_no_relay_would_take_is_not_sent(wanted: Filter) -> None:
    with pytest.raises(CodecError):
        encode_filter(wanted)
