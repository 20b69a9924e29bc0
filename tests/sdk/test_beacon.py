"""The beacon of a service as a program finds it."""

from __future__ import annotations

import os

import pytest

from kitestring import BeaconContent, BeaconFees, KitestringError, ServiceBeacon, find_beacon
from kitestring.codec import nip19
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import sign_event
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock
from kitestring.wire.beacon import beacon_draft
from tests.kit.relay.client import client

SERVICE = SecretKey(b"\x07" * 32)
NPUB = nip19.encode(nip19.PublicKey(SERVICE.public_hex))


async def test_a_program_learns_whether_a_service_works_and_what_it_takes() -> None:
    clock = SystemClock()
    async with Relay(None, clock=clock, entropy=os.urandom) as relay, client(relay) as writer:
        assert (await find_beacon(NPUB, relays=[relay.url])).state == "none"
        draft = beacon_draft(BeaconContent(name="Corner shop", fees=BeaconFees(2, 50)))
        event = sign_event(SERVICE, kind=draft.kind, tags=draft.tags, content=draft.content, created_at=clock.now())
        assert (await writer.publish(event))[0] is True
        found = await find_beacon(NPUB, relays=[relay.url])
        code = nip19.encode(nip19.Profile(SERVICE.public_hex, (relay.url,)))
        assert (await find_beacon(code, allow_private=True)).content == found.content
    assert isinstance(found, ServiceBeacon)
    assert (found.is_fresh, found.content.name) == (True, "Corner shop")
    assert found.content.fees is not None
    assert found.content.fees.fee_sats(1_000) == 5


async def test_a_text_that_names_no_service_is_refused_before_anybody_is_asked() -> None:
    with pytest.raises(KitestringError, match="names no service"):
        await find_beacon("lnurl1x", relays=["ws://127.0.0.1:9"])
