"""Relays at which an app waits: dialled for its answer alone, and never where a stranger must not lead us."""

from __future__ import annotations

import os

import pytest

from kitestring.app.service.rendezvous import Rendezvous
from kitestring.client.net import Net
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import sign_event
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock
from tests.kit.clock import WalkingClock
from tests.kit.relay.client import client

KEY = SecretKey(b"\x01" * 32)


def rendezvous(*, allow_private: bool) -> Rendezvous:
    return Rendezvous(Net(SystemClock(), os.urandom, allow_private=allow_private))


def test_our_own_relays_are_told_anyway_in_whatever_spelling_and_each_other_one_once() -> None:
    named = ["wss://OURS.example/", "wss://a.example", "wss://a.example/", "wss://b.example"]
    found = rendezvous(allow_private=False).elsewhere(named, ["wss://ours.example"])
    assert found == ["wss://a.example", "wss://b.example"]


def test_one_host_is_dialled_once_however_many_paths_and_ports_of_it_are_named() -> None:
    victim = [f"wss://victim.example{door}" for door in ("", ":444", "/1", "/2?x=3", ":8443/4")]
    found = rendezvous(allow_private=False).elsewhere([*victim, "wss://b.example/"], [])
    assert found == ["wss://victim.example", "wss://b.example/"]
    here = ["ws://127.0.0.1:1/", "ws://127.0.0.1:2", "ws://127.0.0.1:2/path"]
    assert rendezvous(allow_private=True).elsewhere(here, []) == here[:2]


async def test_ten_relays_that_may_not_be_dialled_are_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    said = sign_event(KEY, kind=kinds.NWC_INFO, tags=[], content="", created_at=1, aux=bytes(32))
    urls = [f"wss://10.0.0.{number}" for number in range(10)]
    assert await rendezvous(allow_private=False).tell_each(said, KEY, urls)
    assert len(caplog.records) == 1


async def test_the_app_finds_its_answer_at_the_relay_where_it_waits() -> None:
    said = sign_event(
        KEY, kind=kinds.NWC_INFO, tags=[], content="get_info", created_at=SystemClock().now(), aux=bytes(32)
    )
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as relay:
        assert await rendezvous(allow_private=True).tell(said, KEY, [relay.url])
        async with client(relay) as reader:
            assert await reader.ask("info", {"kinds": [kinds.NWC_INFO]}) == [said]


async def test_a_relay_on_a_private_address_is_never_dialled_and_not_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = sign_event(KEY, kind=kinds.NWC_INFO, tags=[], content="", created_at=1, aux=bytes(32))
    assert await rendezvous(allow_private=False).tell(said, KEY, ["ws://127.0.0.1:1"])
    assert "somebody is not told at a relay where they wait" in caplog.text


async def test_a_relay_that_is_away_is_to_be_tried_again() -> None:
    said = sign_event(KEY, kind=kinds.NWC_INFO, tags=[], content="", created_at=1, aux=bytes(32))
    net = Net(WalkingClock(), os.urandom, allow_private=True)
    assert not await Rendezvous(net).tell(said, KEY, ["ws://127.0.0.1:1"])
