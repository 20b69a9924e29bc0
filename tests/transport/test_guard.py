from __future__ import annotations

import socket

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.transport.guard import (
    MAX_FOREIGN_RELAYS,
    check_foreign,
    foreign_relays,
    normalise,
    public_socket,
)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1"])
def test_no_socket_leads_to_an_address_that_not_everybody_can_reach(address: str) -> None:
    with pytest.raises(OSError, match="not on a public address"):
        public_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)))


@pytest.mark.parametrize(
    "url",
    ["", "relay.example.com", "https://relay.example.com", "wss://", "wss://a b", "wss://user:pw@host", "wss://host:0",
     "wss://host:99999", "wss://host/#x", "wss://host\n", "wss://[::1", "wss://" + "x" * 600],
)  # fmt: skip
def test_what_is_no_relay_address_is_malformed(url: str) -> None:
    for check in (normalise, check_foreign):
        with pytest.raises(KitestringError) as caught:
            check(url)
        assert caught.value.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("WSS://Relay.Example.com:443/", "wss://relay.example.com"),
        ("ws://host:80", "ws://host"),
        ("wss://host:444/path/?a=B", "wss://host:444/path?a=B"),
        ("wss://[2606:4700::1111]:443", "wss://[2606:4700::1111]"),
    ],
)
def test_spellings_of_one_relay_are_equal(url: str, normal: str) -> None:
    assert normalise(url) == normal
    assert normalise(normal) == normal


@pytest.mark.parametrize(
    "url",
    ["ws://relay.example.com", "wss://127.0.0.1", "wss://[::1]:7777", "wss://[::ffff:10.0.0.1]", "wss://localhost",
     "wss://LOCALHOST:7777", "wss://x.localhost", "wss://printer.local", "wss://127.1", "wss://2130706433"],
)  # fmt: skip
def test_a_relay_of_a_foreign_code_must_be_encrypted_and_public(url: str) -> None:
    with pytest.raises(KitestringError) as caught:
        check_foreign(url)
    assert caught.value.reason is Reason.NOT_PERMITTED
    assert check_foreign(url, allow_private=True) == url
    assert check_foreign(url, {normalise(url)}) == url


def test_a_pointer_gives_at_most_four_relays_and_bad_ones_do_not_count() -> None:
    urls = [
        "ws://a.example",
        "wss://localhost",
        *(f"wss://r{number}.example" for number in range(9)),
        "wss://r0.example",
    ]
    assert foreign_relays(urls) == [f"wss://r{number}.example" for number in range(MAX_FOREIGN_RELAYS)]
    assert foreign_relays(["WSS://A.example/", "wss://a.example"]) == ["WSS://A.example/"]
    assert foreign_relays(["wss://a.example/inbox/"]) == ["wss://a.example/inbox/"]
    assert foreign_relays([]) == []


def test_a_pointer_without_one_usable_relay_says_why() -> None:
    with pytest.raises(KitestringError, match="not encrypted"):
        foreign_relays(["ws://a.example", "wss://localhost"])
