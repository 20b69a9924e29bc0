"""What a service says about itself: written so that nobody drops anything, read as far as it can be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.base.money import MAX_SATS
from kitestring.codec.beacon import (
    MAX_BPS,
    MAX_CONTENT_BYTES,
    MAX_DESCRIPTION_CHARS,
    MAX_DIFFICULTY,
    MAX_KINDS,
    MAX_NAME_CHARS,
    MAX_RELAYS,
    MAX_URL_CHARS,
    BeaconContent,
    BeaconFees,
    decode_content,
    encode_content,
)

FULL = BeaconContent(
    name="Corner shop",
    avatar_url="https://shop.example/a.png",
    website="http://shop.example",
    description="Tea and coffee ☕",
    relays=("wss://relay.example", "ws://127.0.0.1:7777"),
    fees=BeaconFees(floor_sats=2, bps=100),
    enroll_difficulty=18,
    supported_kinds=(21001, 21002),
)
MEMBERS: dict[str, Any] = {
    "name": "Corner shop",
    "avatarUrl": "https://shop.example/a.png",
    "website": "http://shop.example",
    "description": "Tea and coffee ☕",
    "relays": ["wss://relay.example", "ws://127.0.0.1:7777"],
    "fees": {"serviceFeeFloor": 2, "serviceFeeBps": 100},
    "enroll_difficulty": 18,
    "supported_kinds": [21001, 21002],
}
LONG_URL = f"https://shop.example/{'a' * MAX_URL_CHARS}"


def read(**members: object) -> BeaconContent:
    return decode_content(json.dumps(members))[0]


# ------------------------------------------------------------ write


def test_every_member_has_the_name_of_the_text() -> None:
    assert json.loads(encode_content(FULL)) == MEMBERS


def test_what_is_absent_is_not_written() -> None:
    assert encode_content(BeaconContent()) == "{}"
    assert encode_content(BeaconContent(supported_kinds=())) == '{"supported_kinds":[]}'
    assert encode_content(BeaconContent(enroll_difficulty=0)) == '{"enroll_difficulty":0}'


def test_both_members_of_the_fees_are_written_though_they_are_zero() -> None:
    written = json.loads(encode_content(BeaconContent(fees=BeaconFees())))
    assert written == {"fees": {"serviceFeeFloor": 0, "serviceFeeBps": 0}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (BeaconContent(name="a" * (MAX_NAME_CHARS + 1)), "name has at most 100"),
        (BeaconContent(name="two\nlines"), "name stands on one line"),
        (BeaconContent(description="b" * (MAX_DESCRIPTION_CHARS + 1)), "description has at most 1000"),
        (BeaconContent(description="\u202eevil"), "description stands on one line"),
        (BeaconContent(avatar_url="http://shop.example/a.png"), "an avatar is an https"),
        (BeaconContent(avatar_url=LONG_URL), "an avatar is an https"),
        (BeaconContent(website="javascript:alert(1)"), "a website is an https"),
        (BeaconContent(website="https://me@shop.example"), "a website is an https"),
        (BeaconContent(relays=("http://relay.example",)), "a relay must be"),
        (BeaconContent(relays=("wss://relay.example",) * (MAX_RELAYS + 1)), "at most 10 relays"),
        (BeaconContent(fees=BeaconFees(-1, 0)), "fee floor"),
        (BeaconContent(fees=BeaconFees(0, MAX_BPS + 1)), "basis points"),
        (BeaconContent(enroll_difficulty=MAX_DIFFICULTY + 1), "enroll difficulty"),
        (BeaconContent(supported_kinds=(65_536,)), "kind"),
        (BeaconContent(supported_kinds=tuple(range(MAX_KINDS + 1))), "32 kinds"),
    ],
)
def test_what_a_reader_would_drop_or_cut_is_not_written(content: BeaconContent, words: str) -> None:
    with pytest.raises(CodecError, match=words):
        encode_content(content)


# ------------------------------------------------------------ read


def test_what_was_written_is_read_back_and_unknown_members_are_passed_over() -> None:
    assert read(**MEMBERS, nextRelay="wss://x", type="service") == FULL


@pytest.mark.parametrize(
    ("member", "value", "field"),
    [
        ("name", 7, "name"),
        ("name", None, "name"),
        ("name", ["a"], "name"),
        ("avatarUrl", "http://shop.example/a.png", "avatar_url"),
        ("avatarUrl", {"url": "https://x"}, "avatar_url"),
        ("avatarUrl", LONG_URL, "avatar_url"),
        ("avatarUrl", "https://", "avatar_url"),
        ("website", "https://shop.example:99999", "website"),
        ("website", "https://[shop", "website"),
        ("website", "https://shop.example/a b", "website"),
        ("website", "https://shop.example\\@evil.example", "website"),
        ("website", "data:text/html,x", "website"),
        ("description", True, "description"),
        ("relays", "wss://relay.example", "relays"),
        ("fees", 3, "fees"),
        ("fees", {}, "fees"),
        ("fees", {"serviceFeeFloor": "2", "serviceFeeBps": 100}, "fees"),
        ("fees", {"serviceFeeFloor": 2, "serviceFeeBps": 0.5}, "fees"),
        ("fees", {"serviceFeeFloor": -1}, "fees"),
        ("fees", {"serviceFeeFloor": MAX_SATS + 1}, "fees"),
        ("fees", {"serviceFeeBps": True}, "fees"),
        ("fees", {"serviceFeeBps": MAX_BPS + 1}, "fees"),
        ("enroll_difficulty", "18", "enroll_difficulty"),
        ("enroll_difficulty", -1, "enroll_difficulty"),
        ("enroll_difficulty", 18.0, "enroll_difficulty"),
        ("enroll_difficulty", MAX_DIFFICULTY + 1, "enroll_difficulty"),
        ("supported_kinds", {"21001": True}, "supported_kinds"),
        ("supported_kinds", [21001, "21002"], "supported_kinds"),
        ("supported_kinds", [True], "supported_kinds"),
        ("supported_kinds", list(range(MAX_KINDS + 1)), "supported_kinds"),
    ],
)
def test_a_field_of_a_wrong_type_is_absent_and_the_rest_is_kept(member: str, value: object, field: str) -> None:
    found = read(**{**MEMBERS, member: value})
    for name in BeaconContent.__slots__:
        assert getattr(found, name) == getattr(BeaconContent() if name == field else FULL, name), name


def test_a_fee_member_that_is_absent_is_zero() -> None:
    assert read(fees={"serviceFeeBps": 50}).fees == BeaconFees(0, 50)
    assert read(fees={"serviceFeeFloor": 5, "more": 1}).fees == BeaconFees(5, 0)


def test_of_the_relays_those_are_read_that_are_addresses_up_to_a_limit() -> None:
    good = [f"wss://r{number}.example" for number in range(MAX_RELAYS)]
    assert read(relays=["ftp://x", 7, good[0]]).relays == (good[0],)
    assert read(relays=[*good, "wss://one.too.many"]).relays == tuple(good)


def test_a_kind_that_comes_twice_counts_once_and_none_is_not_unknown() -> None:
    assert read(supported_kinds=[21001, 21001]).supported_kinds == (21001,)
    assert read(supported_kinds=[]).supported_kinds == ()


def test_texts_are_cut_and_can_play_no_tricks_on_a_screen() -> None:
    found = read(name="a" * 500, description="\x1b[2J\u202eTea\nCoffee  ")
    assert found.name == "a" * MAX_NAME_CHARS
    assert found.description == "[2JTea Coffee"


@pytest.mark.parametrize("text", ["", "null", "[]", '"x"', "{", "{}x", "[" * 99_999, '{"name":NaN,"x":}'])
def test_a_text_that_is_no_json_object_has_no_content(text: str) -> None:
    with pytest.raises(CodecError):
        decode_content(text)


def test_a_huge_content_is_refused_before_it_is_read() -> None:
    with pytest.raises(CodecError, match="larger than 32768 bytes"):
        decode_content(json.dumps({"name": "a" * MAX_CONTENT_BYTES}))


@given(
    st.builds(
        BeaconContent,
        name=st.text(max_size=20),
        description=st.text(max_size=20),
        fees=st.none() | st.builds(BeaconFees, st.integers(0, MAX_SATS), st.integers(0, MAX_BPS)),
        enroll_difficulty=st.none() | st.integers(0, MAX_DIFFICULTY),
        supported_kinds=st.none() | st.lists(st.integers(0, 65_535), unique=True, max_size=MAX_KINDS).map(tuple),
    )
)
def test_whatever_can_be_written_is_read_back(content: BeaconContent) -> None:
    try:
        text = encode_content(content)
    except CodecError:
        return
    assert decode_content(text)[0] == content


def test_the_longest_content_that_can_be_written_can_be_read() -> None:
    url = "https://shop.example/" + "é" * (MAX_URL_CHARS - 21)
    relays = tuple("wss://" + "é" * 500 + str(number) for number in range(MAX_RELAYS))
    kinds = tuple(range(65_000, 65_000 + MAX_KINDS))
    longest = BeaconContent(
        "𝄞" * MAX_NAME_CHARS, url, url, "𝄞" * MAX_DESCRIPTION_CHARS, relays, BeaconFees(MAX_SATS, MAX_BPS), 256, kinds
    )
    assert decode_content(encode_content(longest))[0] == longest


# ------------------------------------------------------------ fees


@pytest.mark.parametrize(
    ("fees", "amount_sats", "fee_sats"),
    [
        (BeaconFees(), 1_000, 0),
        (BeaconFees(5, 0), 1_000_000, 5),
        (BeaconFees(5, 100), 499, 5),
        (BeaconFees(5, 100), 500, 5),
        (BeaconFees(5, 100), 501, 6),
        (BeaconFees(0, 1), 1, 1),
        (BeaconFees(0, 1), 0, 0),
        (BeaconFees(0, 33), 10_000, 33),
        (BeaconFees(0, MAX_BPS), MAX_SATS, MAX_SATS * 100),
    ],
)
def test_the_fee_is_the_floor_or_the_part_of_the_amount_rounded_up(
    fees: BeaconFees, amount_sats: int, fee_sats: int
) -> None:
    assert fees.fee_sats(amount_sats) == fee_sats
