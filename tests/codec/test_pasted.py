"""What pasting leaves in a code or link, and that it does no harm."""

from __future__ import annotations

import pytest

from kitestring.codec.pasted import is_wrapped, tidy


@pytest.mark.parametrize(
    "pasted",
    [
        "lnbc1code",
        "  lnbc1code \n",
        "\ufefflnbc1code",
        "lnbc1\u200bco\u2060de\u200d",
        "\u202alnbc1code\u202c",
        "lnbc\u00ad1code\ufe0f",
        "lnbc1\ncode",
        "lnbc1\r\n   co\r\n\tde\r\n",
        "\xa0lnbc1\u2028code\u3000",
    ],
)
def test_what_nobody_sees_and_the_ends_of_wrapped_lines_are_taken_out(pasted: str) -> None:
    assert tidy(pasted) == "lnbc1code"


def test_what_can_be_seen_stays() -> None:
    assert tidy("a b\x1b") == "a b\x1b"
    assert tidy("₿é@x") == "₿é@x"
    assert tidy("") == tidy(" \n\u200b\n ") == ""


def test_more_than_one_line_is_noticed() -> None:
    assert is_wrapped("a\nb")
    assert is_wrapped("\ufeff\na\r\n\u200bb")
    assert not is_wrapped("\na\n")
    assert not is_wrapped("a\n\u200b\n")
