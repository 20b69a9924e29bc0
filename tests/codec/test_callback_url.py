"""Addresses that apps are called back at: what is taken, and what leads where nobody may be led."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitestring.base.errors import CodecError
from kitestring.codec.callback_url import MAX_CHARS, require_callback_url


@pytest.mark.parametrize(
    "text",
    [
        "https://shop.example/paid",
        "https://shop.example:8443/paid?order=7",
        "https://shop.example/paid{?amount,invoice,email}",
        "https://shop.example/{invoice}/{path}{&name}",
        "https://203.0.114.9/paid",
        "https://[2606:4700::1111]/paid",
        "https://xn--mnchen-3ya.example/paid",
        f"https://shop.example/{'x' * (MAX_CHARS - 21)}",
    ],
)
def test_an_address_of_a_public_host_is_taken_as_it_is(text: str) -> None:
    assert require_callback_url(text) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "character"),
        ("http://shop.example/paid", "https://"),
        ("ftp://shop.example/paid", "https://"),
        ("//shop.example/paid", "https://"),
        ("https:///paid", "https://"),
        ("https://shop.example:0/paid", "https://"),
        ("https://shop.example:http/paid", "no address"),
        ("https://[::1/paid", "no address"),
        ("https://me:secret@shop.example/paid", "no name and password"),
        ("https://me@shop.example/paid", "no name and password"),
        ("https://localhost/paid", "full name"),
        ("https://printer/paid", "full name"),
        ("https://printer.local/paid", "public"),
        ("https://db.internal/paid", "public"),
        ("https://10.0.0.1/paid", "public"),
        ("https://127.0.0.1/paid", "public"),
        ("https://169.254.169.254/latest", "public"),
        ("https://[::1]/paid", "public"),
        ("https://[::ffff:10.0.0.1]/paid", "public"),
        ("https://{host}/paid", "no template"),
        ("https://shop.{tld}/paid", "no template"),
        ("https://shop.example/{", "stray braces"),
        ("https://shop.example/}", "stray braces"),
        ("https://shop.example/{}", "{name}"),
        ("https://shop.example/{+name}", "as it is"),
        ("https://shop.example/{#name}", "leave '#' out"),
        ("https://shop.example/{a{b}}", "stray braces"),
        ("https://shop.example/{a b}", "character"),
        ("https://shop.example/{name:0}", "{name}"),
        ("https://shop.example/pa id", "character"),
        ("https://shop.example/pa\nid", "character"),
        ("https://shop.example/münchen", "character"),
        ("https://shop.example/<script>", "character"),
        (f"https://shop.example/{'x' * MAX_CHARS}", "longer"),
    ],
)
def test_anything_else_is_refused_with_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(CodecError, match=words.replace("{", r"\{").replace("}", r"\}")):
        require_callback_url(text)


@given(st.text(max_size=60) | st.from_regex(r"https://[a-z.:0-9\[\]{}]{0,12}/[{}?&a-z,]{0,20}", fullmatch=True))
def test_whatever_comes_it_is_an_address_or_an_error_of_ours(text: str) -> None:
    with suppress(CodecError):
        assert require_callback_url(text).startswith("https://")
