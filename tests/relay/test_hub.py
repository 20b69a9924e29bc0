from __future__ import annotations

import asyncio

import pytest

from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, sign_event
from kitestring.nostr.filter import Filter
from kitestring.relay import hub
from kitestring.relay.entry import Bringer
from kitestring.relay.hub import Hub
from kitestring.relay.index import matches
from kitestring.relay.limits import RelayLimits
from kitestring.relay.vouched import VouchedKeys
from tests.kit.clock import NOW
from tests.kit.transport.relays import ALICE, BOB, CAROL, note

KEYS = [f"{number:064x}" for number in range(300)]


class Reader:
    behind = False

    def __init__(self, *authenticated: str, is_own: bool = False) -> None:
        self.authenticated = frozenset(authenticated)
        self.is_own = is_own
        self.bringer = Bringer()
        self.delivered = 0

    def deliver(self, prefix: bytes, event_json: bytes) -> None:
        self.delivered += 1

    def cut(self) -> None:
        raise AssertionError

    async def headroom(self) -> None:
        await asyncio.Event().wait()


async def test_a_filter_is_tried_once_per_event_however_many_of_its_values_the_event_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[Filter] = []

    def counted(wanted: Filter, event: Event, tags: dict[str, set[str]]) -> bool:
        tried.append(wanted)
        return matches(wanted, event, tags)

    monkeypatch.setattr(hub, "matches", counted)
    relay, reader = Hub(None, RelayLimits(), auth=False), Reader()
    never = Filter(tags={"p": frozenset(KEYS), "a": frozenset({"zz"})})
    relay.open(reader, "never", (never,))
    relay.open(reader, "always", (Filter(tags={"p": frozenset(KEYS)}),))
    await relay.publish(note(tags=[["p", key] for key in KEYS]), 1, NOW, Reader())
    assert len(tried) == 2
    assert reader.delivered == 1


@pytest.mark.parametrize("auth", [False, True])
async def test_what_is_for_the_owner_or_an_addressee_who_has_proved_it_waits_for_him_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, auth: bool
) -> None:
    monkeypatch.setattr(hub, "PUBLISH_WAIT_S", 0.01)
    for service in (Reader(is_own=True), Reader(BOB.public_hex)):
        relay = Hub(None, RelayLimits(), auth=auth, vouched=VouchedKeys(own={BOB.public_hex, CAROL.public_hex}))
        sender, curious = Reader(), Reader()
        relay.open(service, "in", (Filter(tags={"p": {BOB.public_hex}}),))
        relay.open(curious, "all", (Filter(),))
        service.behind = curious.behind = True

        async def accepted(event: Event, sender: Reader = sender, relay: Hub = relay) -> bool:
            return (await relay.publish(event, 1, NOW, sender))[0]

        assert await accepted(note(content="1")) is True  # the first one is how the hub learns of it
        assert await accepted(note(content="2")) is False
        assert service.delivered == 1
        assert await accepted(note(to=ALICE)) is True
        assert await accepted(note(CAROL, BOB)) is True  # the owner never waits
        service.behind = False
        assert await accepted(note(content="2")) is True
        assert (service.delivered, curious.delivered) == (3, 0 if auth else 4)


@pytest.mark.parametrize("auth", [False, True])
async def test_nobody_waits_for_strangers_who_listen_for_what_is_another_s(
    monkeypatch: pytest.MonkeyPatch, auth: bool
) -> None:
    monkeypatch.setattr(hub, "PUBLISH_WAIT_S", 0.01)
    relay = Hub(None, RelayLimits(), auth=auth, vouched=VouchedKeys(own={BOB.public_hex}))
    wallet = Reader(is_own=True)
    relay.open(wallet, "in", (Filter(tags={"p": {BOB.public_hex}}),))
    strangers = [Reader(), Reader(CAROL.public_hex)]
    for each in strangers:
        relay.open(each, "in", (Filter(tags={"p": {BOB.public_hex, CAROL.public_hex}}),))
        each.behind = True
    await relay.publish(note(to=CAROL), 1, NOW, Reader())  # of which they have too much
    for number in range(3):
        assert (await relay.publish(note(content=str(number)), 1, NOW, Reader()))[0] is True
    assert wallet.delivered == 3


async def test_the_owner_gets_all_that_came_in_meanwhile_and_others_what_anybody_gets() -> None:
    limits = RelayLimits(max_results=3)
    relay = Hub(None, limits, auth=False, vouched=VouchedKeys(own={BOB.public_hex}))
    for number in range(10):
        await relay.publish(note(content=str(number)), 1, NOW, Reader())
        await relay.publish(note(to=CAROL, content=str(number)), 1, NOW, Reader())
    bob, carol = frozenset({BOB.public_hex}), frozenset({CAROL.public_hex})
    for wanted, own_count, count in (
        (Filter(tags={"p": bob}), 10, 3), (Filter(tags={"p": bob}, limit=5), 5, 3), (Filter(tags={"p": carol}), 3, 3),
        (Filter(tags={"p": bob | carol}), 3, 3), (Filter(), 3, 3),
    ):  # fmt: skip
        for reader, expected in ((Reader(is_own=True), own_count), (Reader(BOB.public_hex), count)):
            watch = relay.open(reader, "in", (wanted,))
            assert len(await relay.stored(watch, NOW)) == expected


async def test_with_authentication_the_owner_reads_what_is_his_without_a_proof_for_each_key() -> None:
    relay = Hub(None, RelayLimits(), auth=True, vouched=VouchedKeys(own={BOB.public_hex}))
    wanted = (Filter(kinds={21001}),)
    for reader, why_not in ((Reader(is_own=True), ""), (Reader(), "auth-required")):
        assert relay.refusal(reader, wanted, 0).startswith(why_not)
    service = Reader(is_own=True)
    relay.open(service, "in", wanted)
    for event in (note(), note(BOB, ALICE), note(to=CAROL)):
        await relay.publish(event, 1, NOW, Reader())
    assert service.delivered == 2


async def test_an_event_stays_as_long_as_somebody_with_few_wishes_asks_for_its_author() -> None:
    relay, crowd, gone = Hub(None, RelayLimits(max_durable_events=3), auth=False), Reader(), Reader()
    gone.bringer.is_here = False
    keys = [SecretKey(number.to_bytes(32)) for number in range(1, 20)]
    relay.open(Reader(), "in", (Filter(tags={"p": {BOB.public_hex}}),))
    relay.open(crowd, "in", (Filter(tags={"p": {key.public_hex for key in keys}}),))
    info, *others = (sign_event(key, kind=13194, tags=[], content="", created_at=NOW) for key in (BOB, *keys))
    assert await relay.publish(info, 1, NOW, gone) == (True, "")
    for event in others:
        assert await relay.publish(event, 1, NOW, crowd) == (True, "")
    assert relay.json_of(info.id) is not None
