"""Kinds of parameters: bounded, typed, and on one line."""

from __future__ import annotations

import msgspec
import pytest

from kitestring.app.owner.params import (
    AmountMsat,
    Name,
    NameParams,
    NoParams,
    UnixTime,
    npub,
    only,
    plain_line,
    public_key,
)
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import MAX_WHOLE


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (AmountMsat, (1, MAX_WHOLE), (0, -1, MAX_WHOLE + 1, True, "1", 1.0, None)),
        (UnixTime, (0, 2**35), (-1, 2**35 + 1, "0")),
        (Name, ("a", "x" * 64), ("", "x" * 65, 1)),
    ],
)
def test_a_kind_takes_what_is_in_its_bounds_and_nothing_else(
    kind: object, good: tuple[object, ...], bad: tuple[object, ...]
) -> None:
    assert [msgspec.convert(value, kind) for value in good] == list(good)
    for value in bad:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(value, kind)


@pytest.mark.parametrize("kind", [NoParams, NameParams])
def test_a_parameter_that_nobody_knows_is_not_passed_over(kind: type[msgspec.Struct]) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"name": "a", "nmae": "b"}, kind)


#: Persian needs a mark between letters that must not join.
PERSIAN = "\u0645\u06cc\u200c\u062e\u0648\u0631\u062f"


@pytest.mark.parametrize("text", ["tea", "Grüße ☕", "a  b", PERSIAN, "श्री क्\u200dष", "👩\u200d👧"])
def test_a_plain_line_is_taken_as_it_is(text: str) -> None:
    assert plain_line(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" tea", "is one line without white space around it"),
        ("tea ", "is one line without white space around it"),
        ("te\na", "is one line without white space around it"),
        ("te\ta", r"nobody sees \(U\+0009\)"),
        ("\x1b[31mtea", r"nobody sees \(U\+001B\)"),
        ("tea\u202e", r"nobody sees \(U\+202E\)"),
        ("te\u200ba", r"nobody sees \(U\+200B\)"),
    ],
)
def test_what_would_not_look_like_itself_in_a_list_is_refused_for_the_right_reason(text: str, why: str) -> None:
    with pytest.raises(KitestringError, match=why) as caught:
        plain_line(text)
    assert caught.value.reason is Reason.MALFORMED


#: A point of the curve.
KEY = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


@pytest.mark.parametrize("typed", [KEY, f" {KEY.upper()} ", npub(KEY), f"nostr:{npub(KEY)}"])
def test_a_public_key_is_taken_in_either_form(typed: str) -> None:
    assert public_key(typed) == KEY


@pytest.mark.parametrize("typed", ["", "npub1xx", KEY[:-1], f"{KEY[:-1]}g", "ff" * 32, "note1abc", f"{KEY}\n00"])
def test_what_is_no_public_key_is_refused(typed: str) -> None:
    with pytest.raises(KitestringError, match="no public key") as caught:
        public_key(typed)
    assert caught.value.reason is Reason.MALFORMED


def test_several_of_an_id_are_named_and_not_all_of_very_many() -> None:
    only(["a1"], "a", "questions")
    with pytest.raises(
        KitestringError, match="a stands for 6 questions: a0, a1, a2, a3, a4; type more of it"
    ) as caught:
        only([f"a{number}" for number in range(6)], "a", "questions")
    assert caught.value.details["ids"] == [f"a{number}" for number in range(6)]
