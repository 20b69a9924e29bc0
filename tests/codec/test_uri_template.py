"""Templates of addresses: the examples of RFC 6570 up to level 3, and what is refused here."""

from __future__ import annotations

import pytest

from kitestring.base.errors import CodecError
from kitestring.codec.uri_template import MAX_SHOWN_CHARS, Expression, Template, parse

#: The values of section 3.2 of the RFC that these need.
VALUES = {
    "var": "value", "hello": "Hello World!", "half": "50%", "empty": "", "path": "/foo/bar", "x": "1024", "y": "768",
    "who": "fred", "v": "6",
}  # fmt: skip


@pytest.mark.parametrize(
    ("template", "address"),
    [
        ("{var}", "value"),
        ("{hello}", "Hello%20World%21"),
        ("{half}", "50%25"),
        ("O{empty}X", "OX"),
        ("O{undef}X", "OX"),
        ("{x,y}", "1024,768"),
        ("{x,hello,y}", "1024,Hello%20World%21,768"),
        ("?{x,empty}", "?1024,"),
        ("?{x,undef}", "?1024"),
        ("?{undef,y}", "?768"),
        ("{.who}", ".fred"),
        ("{.who,who}", ".fred.fred"),
        ("{.half,who}", ".50%25.fred"),
        ("X{.empty}", "X."),
        ("X{.undef}", "X"),
        ("{/who}", "/fred"),
        ("{/half,who}", "/50%25/fred"),
        ("{/var,empty}", "/value/"),
        ("{/var,undef}", "/value"),
        ("{/var,x}/here", "/value/1024/here"),
        ("{;who}", ";who=fred"),
        ("{;half}", ";half=50%25"),
        ("{;empty}", ";empty"),
        ("{;v,empty,who}", ";v=6;empty;who=fred"),
        ("{;x,y,undef}", ";x=1024;y=768"),
        ("{?who}", "?who=fred"),
        ("{?half}", "?half=50%25"),
        ("{?x,y}", "?x=1024&y=768"),
        ("{?x,y,empty}", "?x=1024&y=768&empty="),
        ("{?x,y,undef}", "?x=1024&y=768"),
        ("{&who}", "&who=fred"),
        ("?fixed=yes{&x}", "?fixed=yes&x=1024"),
        ("{&var,empty}", "&var=value&empty="),
        ("{?undef}", ""),
        ("https://a.example/b?c=%20d", "https://a.example/b?c=%20d"),
        ("", ""),
    ],
)
def test_a_template_becomes_the_address_that_the_specification_names(template: str, address: str) -> None:
    assert parse(template).expand(VALUES) == address


def test_no_value_brings_a_sign_of_its_own_into_an_address() -> None:
    said = "a&amount=1#/../?x=y é\n"
    assert parse("https://a.example/{?note}").expand({"note": said}) == (
        "https://a.example/?note=a%26amount%3D1%23%2F..%2F%3Fx%3Dy%20%C3%A9%0A"
    )


def test_a_template_tells_its_parts_and_its_names() -> None:
    assert parse("a{b}c{?d,e.f}") == Template(("a", Expression("", ("b",)), "c", Expression("?", ("d", "e.f"))))
    assert parse("a{b}c{?d,e.f}").names == ("b", "d", "e.f")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{+var}", "leave '+' out"),
        ("{#var}", "leave '#' out"),
        ("{var*}", "no expression"),
        ("{var:3}", "no expression"),
        ("{}", "no expression"),
        ("{?}", "no expression"),
        ("{a,}", "no expression"),
        ("{ a}", "no expression"),
        ("{=a}", "no expression"),
        ("{a b}", "no expression"),
        ("{" + "é" * 100 + "}", "é" * MAX_SHOWN_CHARS + "} is no"),
        ("a{b", "stray braces"),
        ("a}b", "stray braces"),
        ("a b", "blanks"),
        ("a\nb", "blanks"),
        ("é", "no address may have"),
        ('"', "no address may have"),
    ],
)
def test_what_is_no_template_or_would_copy_signs_is_refused_in_words(template: str, words: str) -> None:
    with pytest.raises(CodecError, match="template") as caught:
        parse(template)
    assert words in str(caught.value)
