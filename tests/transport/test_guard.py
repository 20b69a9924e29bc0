from __future__ import annotations

import socket

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.transport.guard import (
    MAX_FOREIGN_RELAYS,
    check_foreign,
    foreign_relays,
    is_public,
    normalise,
    public_socket,
)

PRIVATE = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.1.1", "192.0.2.1",
    "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:7f00:1", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::10.1.2.3", "64:ff9b:1::1", "2002:7f00:1::1", "2002:c0a8:101::", "2001:0:1::1",
    "100::1", "not an address", "127.1", "2130706433",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_not_everybody_can_reach_is_not_public(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(OSError, match="not on a public address"):
        public_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)))


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_on_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


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
