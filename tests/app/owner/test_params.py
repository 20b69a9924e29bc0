"""Kinds of parameters: bounded, typed, and on one line."""

from __future__ import annotations

import msgspec
import pytest

from kitestring.app.owner.params import AmountMsat, Name, NameParams, NoParams, UnixTime, plain_line
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import MAX_MSAT


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (AmountMsat, (1, MAX_MSAT), (0, -1, MAX_MSAT + 1, True, "1", 1.0, None)),
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


@pytest.mark.parametrize("text", ["tea", "Grüße ☕", "a  b"])
def test_a_plain_line_is_taken_as_it_is(text: str) -> None:
    assert plain_line(text) == text


@pytest.mark.parametrize("text", [" tea", "tea ", "te\na", "te\ta", "\x1b[31mtea", "tea\u202e"])
def test_what_would_not_look_like_itself_in_a_list_is_refused(text: str) -> None:
    with pytest.raises(KitestringError, match="one line") as caught:
        plain_line(text)
    assert caught.value.reason is Reason.MALFORMED
