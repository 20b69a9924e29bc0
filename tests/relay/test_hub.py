from __future__ import annotations

import asyncio

import pytest

from kitestring.nostr.event import Event
from kitestring.nostr.filter import Filter
from kitestring.relay import hub
from kitestring.relay.hub import Hub
from kitestring.relay.index import matches
from kitestring.relay.limits import Limits
from kitestring.relay.store import EventStore
from tests.kit.clock import NOW
from tests.kit.transport.relays import ALICE, BOB, CAROL, note

KEYS = [f"{number:064x}" for number in range(300)]


class Reader:
    authenticated: frozenset[str] = frozenset()
    behind = False

    def __init__(self) -> None:
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
    relay, reader = Hub(EventStore(Limits()), None, Limits(), auth=False), Reader()
    never = Filter(tags={"p": frozenset(KEYS), "a": frozenset({"zz"})})
    relay.open(reader, "never", (never,))
    relay.open(reader, "always", (Filter(tags={"p": frozenset(KEYS)}),))
    await relay.publish(note(tags=[["p", key] for key in KEYS]), 1, NOW)
    assert len(tried) == 2
    assert reader.delivered == 1


async def test_what_is_for_a_reader_that_is_behind_is_refused_after_a_while_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "PUBLISH_WAIT_S", 0.01)
    relay = Hub(EventStore(Limits()), None, Limits(), auth=False, own={CAROL.public_hex})
    service, curious = Reader(), Reader()
    relay.open(service, "in", (Filter(tags={"p": {BOB.public_hex}}),))
    relay.open(curious, "all", (Filter(),))
    service.behind = curious.behind = True
    accepted = [(await relay.publish(note(content="1"), 1, NOW))[0]]  # the first one is how the hub learns of it
    accepted.append((await relay.publish(note(content="2"), 1, NOW))[0])
    assert (accepted, service.delivered, curious.delivered) == ([True, False], 1, 1)
    assert (await relay.publish(note(to=ALICE), 1, NOW))[0] is True
    assert (await relay.publish(note(CAROL, BOB), 1, NOW))[0] is True  # the owner never waits
    service.behind = False
    assert (await relay.publish(note(content="2"), 1, NOW))[0] is True
    assert (service.delivered, curious.delivered) == (3, 4)


async def test_whoever_listens_for_the_owner_gets_all_that_came_in_meanwhile() -> None:
    limits = Limits(max_results=3)
    relay = Hub(EventStore(limits), None, limits, auth=False, own={BOB.public_hex})
    for number in range(10):
        await relay.publish(note(content=str(number)), 1, NOW)
        await relay.publish(note(to=CAROL, content=str(number)), 1, NOW)
    bob, carol = frozenset({BOB.public_hex}), frozenset({CAROL.public_hex})
    for wanted, count in (
        (Filter(tags={"p": bob}), 10), (Filter(tags={"p": bob}, limit=5), 5), (Filter(tags={"p": carol}), 3),
        (Filter(tags={"p": bob | carol}), 3), (Filter(), 3),
    ):  # fmt: skip
        watch = relay.open(Reader(), "in", (wanted,))
        assert len(await relay.stored(watch, NOW)) == count
