from __future__ import annotations

import pytest

from kitestring.base.errors import CodecError
from kitestring.codec.relay_url import MAX_RELAY_URL_LENGTH, is_relay_url, require_relay_url, usable_relays


@pytest.mark.parametrize(
    "url",
    [
        "wss://a.example",
        "ws://127.0.0.1:7777",
        "WSS://A.example/x?y=z",
        "wss://[::1]:80/",
        "wss://a/p@q",
        "ws://x.onion",
    ],
)
def test_an_address_of_a_relay_is_accepted(url: str) -> None:
    assert require_relay_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "wss://",
        "http://a.example",
        "wss:a.example",
        "wss://u@a.example",
        "wss://u:p@a.example",
        "wss://a.example\\@b.example",
        "wss://a b",
        "wss://a.example/\x00",
        "wss://a.example\n",
        " wss://a.example",
        "wss://a.example:port",
        "wss://:80",
        "wss://a.example:0",
        "wss://a.example:65536",
        "wss://a.example/x#y",
        "wss://a.example/\x9b2K",
        "wss://a.example/\u202egro",
        "wss://a\u200b.example",
        "wss://a.example/\udce9",
        "wss://[:::::]",
        "wss://" + "a" * MAX_RELAY_URL_LENGTH,
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    assert not is_relay_url(url)
    with pytest.raises(CodecError, match="relay"):
        require_relay_url(url)


def test_one_bad_address_among_good_ones_is_left_out_and_the_others_stay_as_they_are_written() -> None:
    urls = ["wss://A.example/", "http://b", "wss://c", "", "wss://d", "wss://e"]
    assert usable_relays(urls, 3) == (("wss://A.example/", "wss://c", "wss://d"), ("http://b", "", "wss://e"))
    assert usable_relays([], 3) == ((), ())
