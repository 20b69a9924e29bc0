from __future__ import annotations

import pytest

from kitestring.base.errors import KitestringError
from kitestring.transport.proxies import Proxies, is_socks


def test_each_scheme_has_its_proxy_and_exceptions_are_direct() -> None:
    proxies = Proxies(wss="http://one:1", ws="socks5://two:2", bypass=("localhost", ".lan", "example.com"))
    assert proxies.for_url("wss://relay.test") == "http://one:1"
    assert proxies.for_url("ws://relay.test:7") == "socks5://two:2"
    assert proxies.for_url("https://shop.test") == "http://one:1"
    assert proxies.for_url("http://shop.test") == "socks5://two:2"
    for direct in ("ws://localhost:1", "wss://box.lan", "wss://lan", "wss://example.com"):
        assert proxies.for_url(direct) is None
    assert proxies.for_url("wss://www.example.com") == "http://one:1"
    assert Proxies(wss="http://one:1", bypass=("*",)).for_url("wss://relay.test") is None


def test_loopback_is_never_proxied_unless_asked_for() -> None:
    proxies = Proxies(wss="http://one:1", ws="http://one:1")
    assert [proxies.for_url(f"ws://{host}:7") for host in ("127.0.0.1", "localhost", "[::1]")] == [None] * 3


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("ftp://secret@one:1", "must begin with"),
        ("one:1", "must begin with"),
        ("http://[::1:3128", "cannot be read"),
        ("http://me:secret@one:99999", "cannot be read"),
        ("socks5://:9050", "lacks its host"),
        ("http://", "lacks its host"),
    ],
)
def test_what_is_no_proxy_is_refused_in_one_sentence_without_its_secrets(url: str, what: str) -> None:
    with pytest.raises(KitestringError, match=what) as refused:
        Proxies(wss=url)
    assert "secret" not in refused.value.message


def test_the_repr_does_not_show_a_password() -> None:
    assert "secret" not in repr(Proxies(wss="http://me:secret@one:1"))


def test_socks_is_told_from_http() -> None:
    assert is_socks("socks5h://a:1")
    assert not is_socks("http://a:1")
