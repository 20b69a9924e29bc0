"""Deep links: an app asks for a connection, and gets it under its own callback, never anywhere else."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import pytest

from kitestring.base.errors import CodecError
from kitestring.codec.deep_link import (
    MAX_CALLBACK_CHARS,
    MAX_LENGTH,
    REFUSED_SCHEMES,
    DeepLink,
    answer_link,
    decode_deep_link,
)

URI = "nostr+walletconnect://" + "ab" * 32 + "?relay=wss%3A%2F%2Fa.example&secret=" + "01" * 32


def asked(callback: str, base: str = "nostrnwc://connect") -> str:
    return f"{base}?appicon=https%3A%2F%2Fapp.example%2Ficon.png&appname=My%20App&callback={quote(callback, safe='')}"


@pytest.mark.parametrize(
    "base", ["nostrnwc://connect", "nostrnwc://connect/", "NOSTRNWC://CONNECT", "nostrnwc+kitestring://connect"]
)
def test_a_request_is_read_in_every_form_of_its_scheme(base: str) -> None:
    assert decode_deep_link(asked("my-app://wallet?x=1", base)) == DeepLink("my-app://wallet?x=1", "My App")
    assert decode_deep_link(f" {base}?callback=my-app%3A \n") == DeepLink("my-app:")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("nostrnwc://connect", "exactly one callback"),
        ("nostrnwc://connect?callback=a%3A&callback=b%3A", "exactly one callback"),
        ("nostrnwc://other?callback=a%3A", "no request"),
        ("nostrnwc+a/b://connect?callback=a%3A", "no request"),
        (URI, "no request"),
        ("nostrnwc://connect?callback=app", "a link of an app"),
        ("nostrnwc://connect?callback=app%3A%2F%2Fa%0Ab", "a link of an app"),
        ("nostrnwc://connect?callback=app%3A%2F%2F%22onload", "a link of an app"),
        ("nostrnwc://connect?callback=app%3A%2F%2F%E9", "a link of an app"),
        ("nostrnwc://connect?callback=app%3A" + "a" * MAX_CALLBACK_CHARS, "a link of an app"),
        ("nostrnwc://connect?callback=app%3A&x=" + "a" * MAX_LENGTH, "longer"),
    ],
)
def test_what_is_no_request_is_refused(text: str, word: str) -> None:
    with pytest.raises(CodecError, match=word):
        decode_deep_link(text)


@pytest.mark.parametrize("scheme", [*sorted(REFUSED_SCHEMES), "HTTPS", "JavaScript"])
def test_a_callback_that_leads_elsewhere_than_to_an_app_is_refused(scheme: str) -> None:
    with pytest.raises(CodecError, match="leads elsewhere"):
        decode_deep_link(asked(f"{scheme}://evil.example"))


@pytest.mark.parametrize(
    ("callback", "begins", "ends"),
    [
        ("my-app://wallet", "my-app://wallet?value=", ""),
        ("my-app://wallet?x=1", "my-app://wallet?x=1&value=", ""),
        ("my-app://wallet#here", "my-app://wallet?value=", "#here"),
    ],
)
def test_the_answer_has_the_whole_connection_as_one_value(callback: str, begins: str, ends: str) -> None:
    opened = answer_link(callback, URI)
    assert opened.startswith(begins)
    assert opened.endswith(ends)
    assert parse_qs(urlsplit(opened).query)["value"] == [URI]


def test_what_an_app_calls_itself_is_cut_and_has_no_control_characters() -> None:
    found = decode_deep_link("nostrnwc://connect?callback=a%3A&appname=" + "%1b%5b2J" + "x" * 100)
    assert found.name.isprintable()
    assert len(found.name) <= 64
