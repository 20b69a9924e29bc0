"""Hosts by their text: which of them everybody can reach."""

from __future__ import annotations

import pytest

from kitestring.codec.hosts import is_private_by_text, is_public

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


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_on_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)
    assert not is_private_by_text(address)


@pytest.mark.parametrize(
    "host", ["localhost", "a.localhost", "printer.local", "db.internal", "10.0.0.1", "127.1", "::1"]
)
def test_a_host_that_leads_into_a_private_network_is_seen_by_its_text(host: str) -> None:
    assert is_private_by_text(host)


@pytest.mark.parametrize("host", ["relay.example", "localhost.example", "1.example", "internal.example"])
def test_what_a_name_leads_to_is_not_guessed(host: str) -> None:
    assert not is_private_by_text(host)
