"""The beacon of a service is said every minute while it works, says what is true, and costs one event."""

from __future__ import annotations

import asyncio
import itertools
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.home.beacon import BeaconSettings
from kitestring.app.service.beacon import AGAIN_S, BeaconFacts, BeaconPublisher, clink_kinds, told_fees
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import sat
from kitestring.codec.beacon import BeaconFees
from kitestring.crypto.keys import SecretKey
from kitestring.engine.limits import Limits
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag, verify_event
from kitestring.wire.beacon import SERVICE_D, read_beacon
from kitestring.wire.registry import WIRES
from tests.kit.app.house import House
from tests.kit.app.relay import URL, KeepingRelay, RelayDouble
from tests.kit.clock import EPOCH, VirtualClock, virtual

KEY, OPERATOR = SecretKey(b"\x05" * 32), SecretKey(b"\x06" * 32).public_hex
RELAYS = ("wss://relay.example", "ws://127.0.0.1:7777")
ON = BeaconSettings(
    publish=True, name="Corner shop", avatar_url="https://shop.example/a.png", website="https://shop.example",
    description="Tea and coffee", operator=OPERATOR,
)  # fmt: skip
NUMBERS = itertools.count()


def entropy(size: int) -> bytes:
    return sha256(b"beacon %d" % next(NUMBERS)).digest()[:size]


class Station:
    """A publisher at a relay, and why its service does not work."""

    def __init__(self, settings: BeaconSettings = ON, **facts: Any) -> None:
        self.relay, self.clock, self.why = KeepingRelay(), VirtualClock(), ""
        self.asked = 0
        pool: Any = RelayDouble(self.relay)
        told = BeaconFacts(**({"relays": RELAYS, "supported_kinds": (21001, 21002)} | facts))
        self.publisher = BeaconPublisher(pool, KEY, settings, told, self._trouble, self.clock, entropy)

    async def _trouble(self) -> str:
        self.asked += 1
        return self.why

    @property
    def events(self) -> list[Event]:
        return self.relay.events

    @property
    def ages(self) -> list[int]:
        return [event.created_at - EPOCH for event in self.events]

    async def lives(self, *steps: tuple[float, Any]) -> None:
        """Watch while each step is taken at its second; the last one is the end."""
        watching = asyncio.create_task(self.publisher.watch())
        for at_s, step in steps:
            await self.clock.sleep(at_s - self.clock.monotonic())
            step()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def nothing() -> None:
    pass


# ------------------------------------------------------------ what it says


@virtual
async def test_it_says_everything_that_is_set_and_what_the_service_does() -> None:
    station = Station(fees=BeaconFees(2, 50), enroll_difficulty=18)
    said = await station.publisher.publish()
    (event,) = station.events
    assert said.event is event
    assert said.is_taken
    assert (event.pubkey, event.kind, verify_event(event)) == (KEY.public_hex, 30_078, True)
    assert event.tags == [["d", "clink-node"], ["clink_version", "1"], ["operator", OPERATOR]]
    assert json.loads(event.content) == {
        "name": "Corner shop",
        "avatarUrl": "https://shop.example/a.png",
        "website": "https://shop.example",
        "description": "Tea and coffee",
        "relays": list(RELAYS),
        "fees": {"serviceFeeFloor": 2, "serviceFeeBps": 50},
        "enroll_difficulty": 18,
        "supported_kinds": [21001, 21002],
    }


@virtual
async def test_what_the_service_does_not_enforce_is_not_said() -> None:
    station = Station(BeaconSettings(publish=True))
    await station.publisher.publish()
    (event,) = station.events
    assert event.tags == [["d", "clink-node"], ["clink_version", "1"]]
    assert json.loads(event.content).keys() == {"relays", "supported_kinds"}


def test_the_kinds_are_those_of_the_wires_of_clink_that_are_switched_on() -> None:
    served = {kind for wire in WIRES for kind in wire.windows} & kinds.CLINK
    assert set(clink_kinds()) == served >= {kinds.OFFER, kinds.DEBIT}
    assert kinds.NWC_REQUEST not in clink_kinds()
    assert set(clink_kinds(["debits"])) == served - {kinds.DEBIT}
    assert clink_kinds([wire.name for wire in WIRES]) == ()


# ------------------------------------------------------------ when it says it


@virtual
async def test_it_is_said_at_once_and_then_once_a_minute() -> None:
    station = Station()
    await station.lives((200, nothing))
    assert station.ages == [0, 60, 120, 180]
    assert [read_beacon(event).content.name for event in station.events] == ["Corner shop"] * 4


@virtual
async def test_switched_off_nothing_is_ever_said_or_asked() -> None:
    station = Station(BeaconSettings(name="Corner shop"))
    await station.lives((10_000, nothing))
    assert (station.events, station.asked) == ([], 0)
    with pytest.raises(KitestringError, match=r"switched off: set `publish = true`") as caught:
        await station.publisher.publish()
    assert caught.value.reason is Reason.UNSUPPORTED


@virtual
async def test_while_the_service_does_not_work_nothing_is_said_and_soon_afterwards_it_is() -> None:
    station = Station()

    def say(why: str) -> Any:
        return lambda: setattr(station, "why", why)

    await station.lives((61, say("the node is away")), (1_000, say("")), (1_100, nothing))
    assert station.ages[:2] == [0, 60]
    assert 1_000 <= station.ages[2] <= 1_000 + AGAIN_S
    assert all(age not in range(62, 1_000) for age in station.ages)
    station.why = "the node is away"
    with pytest.raises(KitestringError, match="the node is away") as caught:
        await station.publisher.publish()
    assert caught.value.reason is Reason.UNAVAILABLE


@virtual
async def test_a_beacon_that_no_relay_takes_is_not_kept_and_the_next_one_comes_sooner() -> None:
    station = Station()
    station.relay.takes = lambda _: False

    def take() -> None:
        station.relay.takes = lambda _: True

    await station.lives((40, take), (50, nothing))
    assert station.ages == [3 * AGAIN_S]


@virtual
async def test_each_is_newer_than_the_one_before_whoever_asks_for_it() -> None:
    station = Station()
    await asyncio.gather(*(station.publisher.publish() for _ in range(3)))
    assert station.ages == [0, 1, 2]


@pytest.mark.parametrize("step_s", [-3_600, -20, 3_600])
@virtual
async def test_a_step_of_the_clock_does_not_make_it_lie_about_the_time(step_s: int) -> None:
    station = Station()
    await station.publisher.publish()
    station.clock.skew_s = step_s
    await station.publisher.publish()
    last = station.events[-1]
    assert abs(last.created_at - station.clock.now()) <= 30
    assert read_beacon(last).freshness(station.clock.now()) == "fresh"


# ------------------------------------------------------------ a whole service


def beacons(house: House) -> list[Event]:
    return [event for event in house.relay.events if first_tag(event, "d") == SERVICE_D]


@virtual
async def test_a_service_says_it_beside_its_other_events_and_stores_nothing_of_it(tmp_path: Path) -> None:
    house = House(tmp_path, beacon=ON)
    async with house.service() as service:
        await asyncio.sleep(5)
        before = await service.store.generation()
        await asyncio.sleep(3_600)
        (first, *_), said = beacons(house), beacons(house)
        assert len(said) in {60, 61}
        assert first.pubkey == house.service_id
        assert read_beacon(first).content.relays == (URL,)
        assert read_beacon(first).content.supported_kinds == clink_kinds(("enroll",)), "it is closed"
        assert await service.store.generation() == before


@virtual
async def test_a_service_whose_node_is_away_says_nothing_until_it_is_back(tmp_path: Path) -> None:
    house = House(tmp_path, beacon=ON)
    async with house.service() as service:
        await asyncio.sleep(5)
        assert len(beacons(house)) == 1
        node = house.node

        async def away() -> Any:
            raise ConnectionError("away")

        balance, node.balance = node.balance, away
        try:
            await asyncio.sleep(600)
            assert len(beacons(house)) == 1
            with pytest.raises(KitestringError, match="cannot be reached") as caught:
                await service.command("beacon_publish")
            assert caught.value.reason is Reason.UNAVAILABLE
        finally:
            node.balance = balance
        await asyncio.sleep(AGAIN_S + 3)
        assert len(beacons(house)) == 2


@virtual
async def test_a_service_that_no_relay_hears_says_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, beacon=ON)
    async with house.service() as service:
        await asyncio.sleep(5)
        service.core.connections.leave_to_another()
        await asyncio.sleep(600)
        assert len(beacons(house)) == 1
        with pytest.raises(KitestringError, match="no relay brings requests"):
            await service.command("beacon_publish")


@virtual
async def test_a_service_without_the_setting_publishes_no_beacon(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.service():
        await asyncio.sleep(600)
    assert beacons(house) == []


@virtual
async def test_a_service_says_the_fees_that_it_takes(tmp_path: Path) -> None:
    house = House(tmp_path, beacon=ON, limits=Limits(service_floor_msat=sat(2), service_bps=50))
    async with house.service():
        await asyncio.sleep(5)
    assert read_beacon(beacons(house)[0]).content.fees == BeaconFees(2, 50)


@pytest.mark.parametrize(
    ("limits", "fees"),
    [
        (Limits(), None),
        (Limits(service_floor_msat=sat(2)), BeaconFees(2, 0)),
        (Limits(service_bps=50), BeaconFees(0, 50)),
        (Limits(service_floor_msat=sat(2), service_bps=50), BeaconFees(2, 50)),
    ],
)
def test_the_fees_are_told_as_they_are_taken_and_only_where_any_are(limits: Limits, fees: BeaconFees | None) -> None:
    assert told_fees(limits.service_fee) == fees
