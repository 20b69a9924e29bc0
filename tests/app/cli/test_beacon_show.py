"""The beacon of a service on the command line: of one's own, of others, for people and for programs."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from kitestring.app.cli.beacon_show import as_json, as_text
from kitestring.client.beacon import ServiceBeacon
from kitestring.codec import nip19
from kitestring.codec.beacon import BeaconContent, BeaconFees
from kitestring.nostr.event import Event, encode_event
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock
from kitestring.wire.beacon import Beacon
from tests.kit.app.beacons import OPERATOR_NPUB, station
from tests.kit.app.console import Service, kitestring
from tests.kit.client.beacons import OPERATOR, attestation, beacon, revocation
from tests.kit.client.hostile import SERVICE
from tests.kit.clock import NOW
from tests.kit.relay.client import client

S = SERVICE.public_hex
NPUB = nip19.encode(nip19.PublicKey(S))
FULL = BeaconContent(
    name="Corner shop", website="https://shop.example", description="Tea", relays=("wss://relay.example",),
    fees=BeaconFees(2, 50), enroll_difficulty=18, supported_kinds=(21001, 21002, 9),
)  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with station(tmp_path_factory.mktemp("station")) as running:
        yield running


async def shown(folder: Path, *stored: Event, args: tuple[str, ...] = (NPUB,)) -> Result:
    """The command about a relay that keeps these events."""
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as relay, client(relay) as writer:
        for event in stored:
            assert (await writer.publish(event))[0] is True, encode_event(event)
        words = ("beacon", "show", *args, "--relay", relay.url, "--data-dir", str(folder))
        return await asyncio.to_thread(kitestring, *words)


def now(age_s: int = 0) -> int:
    return int(time.time()) - age_s


def test_the_beacon_of_ones_own_running_service_is_shown_without_naming_it(shop: Service) -> None:
    shop.ok("beacon", "publish")
    told = shop.ok("beacon", "show")
    assert told["service_pubkey"] == shop.card["service_pubkey"]
    assert (told["state"], told["name"]) == ("fresh", "Corner shop")
    assert told["relays"] == told["told_by"] == [shop.card["relay"]]
    assert told["supported_kinds"][:2] == [21001, 21002]
    assert (told["operated"], told["operator"]) == ("claimed", OPERATOR_NPUB)
    text = shop.run("beacon", "show", shop.card["noffer"]).stdout
    assert text.startswith("the service works: its beacon is ")
    assert "nobody who says so; the service alone names npub1" in text


async def test_a_fresh_beacon_ends_with_0_and_an_old_one_or_none_with_4(tmp_path: Path) -> None:
    fresh = await shown(tmp_path, beacon(at=now()), args=(NPUB, "--json"))
    assert (fresh.exit_code, json.loads(fresh.stdout)["state"]) == (0, "fresh")
    stale = await shown(tmp_path, beacon(at=now(600)), args=(S, "--json"))
    assert (stale.exit_code, json.loads(stale.stdout)["state"]) == (4, "stale")
    none = await shown(tmp_path)
    assert none.exit_code == 4
    assert none.stdout.startswith("the service has no beacon on these relays")


async def test_who_operates_it_is_said_by_both_sides_or_denied(tmp_path: Path) -> None:
    named = beacon(at=now(), operator=OPERATOR.public_hex)
    both = await shown(tmp_path, named, attestation(at=now(9_999)))
    assert f"operated by   {OPERATOR_NPUB} (that key says so too)" in both.stdout
    taken_back = await shown(tmp_path, named, attestation(at=now()), revocation(at=now(9_999)))
    assert f"operated by   not {OPERATOR_NPUB}: that key has taken it back" in taken_back.stdout


def test_a_text_that_names_nobody_and_a_key_without_a_relay_are_wrong_commands(tmp_path: Path) -> None:
    wrong = kitestring("beacon", "show", "lnurl1x", "--data-dir", str(tmp_path))
    assert (wrong.exit_code, "this names no service" in wrong.stderr) == (2, True)
    unset = kitestring("beacon", "show", NPUB, "--data-dir", str(tmp_path))
    assert (unset.exit_code, "names no relay" in unset.stderr) == (2, True)


# ------------------------------------------------------------ words


def told(state: Any = "fresh", age_s: int = 12, **more: Any) -> ServiceBeacon:
    found = Beacon(S, NOW - age_s, more.pop("content", FULL), more.pop("operator", ""), more.pop("legacy", False))
    return ServiceBeacon(S, NOW, state, found, **more)


def test_everything_that_it_says_is_shown_in_words() -> None:
    assert as_text(told()).splitlines() == [
        "the service works: its beacon is 12 s old",
        "",
        "name          Corner shop",
        "about         Tea",
        "website       https://shop.example",
        f"service key   {NPUB}",
        "fee           0.50 % of the amount, at least 2 sat",
        "answers       21001 (offers), 21002 (debits), 9",
        "new accounts  proof of work of 18 bits",
        "relays        wss://relay.example",
    ]


def test_programs_get_every_member_and_amounts_in_msat() -> None:
    assert as_json(told(told_by=("wss://relay.example",))) == {
        "service_pubkey": S,
        "npub": NPUB,
        "state": "fresh",
        "age_s": 12,
        "created_at": NOW - 12,
        "legacy": False,
        "name": "Corner shop",
        "description": "Tea",
        "website": "https://shop.example",
        "avatar_url": None,
        "relays": ["wss://relay.example"],
        "fees": {"floor_msat": 2_000, "bps": 50},
        "enroll_difficulty": 18,
        "supported_kinds": [21001, 21002, 9],
        "operator": None,
        "operated": "none",
        "told_by": ["wss://relay.example"],
    }
    empty = as_json(ServiceBeacon(S, NOW, "none"))
    assert (empty["age_s"], empty["created_at"], empty["fees"], empty["supported_kinds"]) == (None, None, None, None)


@pytest.mark.parametrize(
    ("state", "age_s", "words"),
    [
        ("fresh", -20, "works: its beacon is 20 s ahead of this clock"),
        ("stale", 600, "has not been heard of lately: its beacon is 10 min old"),
        ("stale", 86_400, "its beacon is 24 h old"),
        ("stale", 400 * 86_400, "its beacon is 400 days old"),
        ("ahead", -3_600, "says nothing that counts: its beacon is dated 60 min ahead of this clock"),
    ],
)
def test_its_age_is_told_in_a_unit_that_people_read(state: str, age_s: int, words: str) -> None:
    assert words in as_text(told(state, age_s)).splitlines()[0]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (BeaconContent(fees=BeaconFees(0, 0)), "fee          none"),
        (BeaconContent(fees=BeaconFees(2_000, 0)), "fee          2,000 sat"),
        (BeaconContent(fees=BeaconFees(0, 105)), "fee          1.05 % of the amount"),
        (BeaconContent(supported_kinds=()), "answers      nothing"),
        (BeaconContent(enroll_difficulty=0), "new accounts  without proof of work"),
    ],
)
def test_nothing_and_not_known_are_told_apart(content: BeaconContent, line: str) -> None:
    lines = as_text(told(content=content)).splitlines()
    assert line in lines
    assert len(lines) == 4


def test_an_older_form_is_said_to_be_one() -> None:
    last = as_text(told(legacy=True)).splitlines()[-1]
    assert last == "form          from before the text of CLINK: for display only"
