"""The owner's look at the beacon, and the word to publish it now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kitestring.app.home.beacon import BeaconSettings
from kitestring.app.owner.commands import command
from kitestring.app.owner.params import npub
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.rights import Right
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import first_tag
from kitestring.wire.beacon import SERVICE_D
from tests.kit.app.house import House
from tests.kit.app.relay import URL
from tests.kit.clock import EPOCH, virtual

OPERATOR = SecretKey(b"\x06" * 32).public_hex
ON = BeaconSettings(publish=True, name="Corner shop", operator=OPERATOR)


def test_it_needs_the_right_to_manage_and_no_key_and_a_running_service() -> None:
    spec = command("beacon_publish")
    assert (spec.right, spec.mutating, spec.offline) == (Right.MANAGE, False, False)


def said(house: House) -> list[Any]:
    return [event for event in house.relay.events if first_tag(event, "d") == SERVICE_D]


@virtual
async def test_it_is_published_now_and_told_with_the_word_of_each_relay(tmp_path: Path) -> None:
    house = House(tmp_path, beacon=ON)
    async with house.service() as service:
        told = await service.command("beacon_publish")
        last = said(house)[-1]
    assert told == {
        "is_on": True,
        "published": True,
        "service_pubkey": house.service_id,
        "operator": npub(OPERATOR),
        "content": {"name": "Corner shop", "relays": [URL], "supported_kinds": told["content"]["supported_kinds"]},
        "event_id": last.id,
        "created_at": last.created_at,
        "relays": [{"relay": URL, "has_it": True, "words": None}],
    }
    assert told["created_at"] - EPOCH in range(10)


@virtual
async def test_a_relay_that_does_not_take_it_is_told_in_words(tmp_path: Path) -> None:
    house = House(tmp_path, beacon=ON)
    async with house.service() as service:
        house.relay.takes = lambda event: first_tag(event, "d") != SERVICE_D
        told = await service.command("beacon_publish")
    assert told["published"] is False
    assert told["relays"] == [{"relay": URL, "has_it": False, "words": "asked to try later"}]


@virtual
async def test_a_look_publishes_nothing_and_works_while_it_is_switched_off(tmp_path: Path) -> None:
    house = House(tmp_path, beacon=BeaconSettings(name="Corner shop"))
    async with house.service() as service:
        told = await service.command("beacon_publish", preview=True)
        with pytest.raises(KitestringError, match="switched off") as caught:
            await service.command("beacon_publish")
    assert caught.value.reason is Reason.UNSUPPORTED
    assert (told["is_on"], told["published"], told["operator"]) == (False, False, None)
    assert (told["event_id"], told["created_at"], told["relays"]) == (None, None, [])
    assert told["content"]["name"] == "Corner shop"
    assert said(house) == []
