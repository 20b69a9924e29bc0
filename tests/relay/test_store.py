from __future__ import annotations

import asyncio

import pytest

from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, sign_event
from kitestring.nostr.filter import Filter
from kitestring.relay.limits import RelayLimits
from kitestring.relay.query import query
from kitestring.relay.store import EventStore, Fate, address, expiration
from kitestring.relay.vouched import VouchedKeys
from tests.kit.clock import NOW
from tests.kit.transport.relays import ALICE, BOB, CAROL, note


def durable(
    kind: int = 13194, content: str = "", at: int = NOW, key: SecretKey = ALICE, tags: list[list[str]] | None = None
) -> Event:
    return sign_event(key, kind=kind, tags=tags or [], content=content, created_at=at)


def found(store: EventStore, *filters: Filter, now: int = NOW) -> list[Event]:
    entries = asyncio.run(query(store, filters or (Filter(),), now, lambda _: store._limits.max_results))
    return [entry.event for entry in entries]


def test_an_ephemeral_event_is_found_for_five_minutes() -> None:
    store, event = EventStore(RelayLimits()), note()
    assert store.add(event, NOW).fate is Fate.PASSED_ON
    assert found(store, Filter(tags={"p": {BOB.public_hex}}), now=NOW + 299) == [event]
    assert found(store, now=NOW + 300) == []
    assert store.expire(NOW + 300) == ()
    assert len(store) == 0


def test_the_oldest_ephemeral_events_make_room_by_number_and_by_size() -> None:
    events = [note(content=f"{number}" + "x" * 3_000) for number in range(5)]
    for limits in (RelayLimits(max_ephemeral_events=3), RelayLimits(max_ephemeral_bytes=20_000)):
        store = EventStore(limits)
        for event in events:
            store.add(event, NOW)
        assert {event.id for event in found(store)} == {event.id for event in events[2:]}
        assert events[0].id not in store


def test_the_same_event_again_is_a_duplicate() -> None:
    store = EventStore(RelayLimits())
    for event in (note(), durable()):
        store.add(event, NOW)
        assert store.add(event, NOW).fate is Fate.DUPLICATE


def test_the_newest_replaceable_event_stays_and_at_the_same_second_the_lowest_id() -> None:
    store = EventStore(RelayLimits())
    old, new = durable(content="old", at=NOW - 1), durable(content="new")
    twin = durable(content="twin")
    low, high = sorted((new, twin), key=lambda event: event.id)
    assert store.add(old, NOW).fate is Fate.KEPT
    change = store.add(high, NOW)
    assert (change.fate, change.removed) == (Fate.KEPT, (old.id,))
    assert store.add(low, NOW).removed == (high.id,)
    assert store.add(high, NOW).fate is store.add(old, NOW).fate is Fate.OUTDATED
    assert found(store) == [low]


def test_addressable_events_are_told_apart_by_their_d_tag() -> None:
    store = EventStore(RelayLimits())
    for event in (durable(30078, tags=[["d", "a"]]), durable(30078, tags=[["d", "b"]]), durable(30078, key=BOB)):
        assert store.add(event, NOW).removed == ()
    assert len(found(store, Filter(authors={ALICE.public_hex}))) == 2
    assert address(durable(30078, tags=[["d", "a"]])) == f"30078:{ALICE.public_hex}:a"
    assert address(note()) is None


def test_an_expired_event_is_neither_taken_nor_shown() -> None:
    store, event = EventStore(RelayLimits()), durable(tags=[["expiration", str(NOW + 10)]])
    assert store.add(durable(tags=[["expiration", str(NOW)]]), NOW).fate is Fate.EXPIRED
    store.add(event, NOW)
    store.add(note(tags=[["expiration", str(NOW + 10)]]), NOW)
    assert len(found(store, now=NOW + 9)) == 2
    assert found(store, now=NOW + 10) == []
    assert store.expire(NOW + 10) == (event.id,)
    assert expiration(durable(tags=[["expiration", "soon"]])) == float("inf")


def test_an_author_deletes_only_his_own_events_and_they_do_not_come_back() -> None:
    store = EventStore(RelayLimits())
    mine, theirs = durable(content="mine"), durable(key=BOB)
    for event in (mine, theirs):
        store.add(event, NOW)
    deletion = durable(5, tags=[["e", mine.id], ["e", theirs.id]], at=NOW + 1)
    assert store.add(deletion, NOW).removed == (mine.id,)
    assert store.add(mine, NOW).fate is Fate.DELETED
    assert found(store, Filter(kinds={13194})) == [theirs]


def test_a_deletion_by_address_spares_newer_versions() -> None:
    store = EventStore(RelayLimits())
    old, new = durable(30078, "old", NOW - 5), durable(30078, "new", NOW + 5)
    store.add(old, NOW)
    deletion = durable(5, tags=[["a", address(old) or ""]])
    assert store.add(deletion, NOW).removed == (old.id,)
    assert store.add(old, NOW).fate is Fate.DELETED
    assert store.add(new, NOW).fate is Fate.KEPT
    late = durable(5, "late", tags=[["a", address(old) or ""]], at=NOW + 4)
    assert store.add(late, NOW).removed == ()


def test_strangers_cannot_fill_the_disk() -> None:
    store = EventStore(RelayLimits(max_durable_events=3, max_durable_events_per_author=2))
    events = [durable(30078, tags=[["d", str(number)]]) for number in range(3)]
    assert [store.add(event, NOW).fate for event in events] == [Fate.KEPT, Fate.KEPT, Fate.QUOTA]
    assert store.add(durable(30078, "newer", NOW + 1, tags=[["d", "0"]]), NOW).fate is Fate.KEPT  # replaces its own
    assert store.add(durable(key=BOB), NOW).fate is Fate.KEPT
    change = store.add(durable(key=CAROL), NOW)
    assert (change.fate, change.removed) == (Fate.KEPT, (events[1].id,))  # the oldest: its place is newer than its name
    small = EventStore(RelayLimits(max_durable_bytes=1))
    assert small.add(durable(), NOW).fate is Fate.FULL


def test_a_newer_version_that_is_larger_takes_its_room_too() -> None:
    store = EventStore(RelayLimits(max_durable_bytes=20_000))
    for number, key in enumerate((ALICE, BOB, CAROL)):
        store.add(durable(key=key, at=NOW + number), NOW)
    change = store.add(durable(content="x" * 14_000, at=NOW + 9), NOW)
    assert (change.fate, len(change.removed)) == (Fate.KEPT, 2)
    assert store.plan(durable(content="x" * 20_000, at=NOW + 10), NOW).fate is Fate.FULL
    assert len(found(store)) == 2


def test_the_owner_of_the_relay_always_finds_room() -> None:
    vouched = VouchedKeys()
    store = EventStore(RelayLimits(max_durable_events=1, max_durable_events_per_author=1), vouched)
    theirs = durable(key=BOB)
    store.add(theirs, NOW)
    vouched.own.add(ALICE.public_hex)  # a connection made while the relay runs
    vouched.known.add(CAROL.public_hex)
    events = [durable(), *(durable(30078, tags=[["d", str(number)]]) for number in range(3)), durable(key=CAROL)]
    changes = [store.add(event, NOW) for event in events]
    assert {(change.fate, change.removed) for change in changes} == {(Fate.KEPT, ())}
    assert store.add(durable(30078, key=CAROL), NOW).fate is Fate.QUOTA
    assert store.add(durable(30078, key=SecretKey(bytes([9]) * 32)), NOW).removed == (theirs.id,)


def test_what_strangers_pass_on_does_not_push_out_what_known_keys_said() -> None:
    store = EventStore(RelayLimits(max_ephemeral_events=2), VouchedKeys(own={ALICE.public_hex}, known={BOB.public_hex}))
    known = [note(), note(BOB, ALICE)]
    for event in (*known, *(note(CAROL, ALICE, str(number)) for number in range(5))):
        store.add(event, NOW)
    assert [event.id in store for event in known] == [True, True]
    assert len(store) == 4


def test_a_plan_changes_nothing_until_it_is_applied() -> None:
    store, old, new = EventStore(RelayLimits()), durable(content="old", at=NOW - 1), durable(content="new")
    store.add(old, NOW)
    change = store.plan(new, NOW)
    assert (change.removed, found(store)) == ((old.id,), [old])
    store.apply(change, NOW)
    assert found(store) == [new]


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(), Filter(kinds={21001}), Filter(authors={ALICE.public_hex}), Filter(tags={"p": {BOB.public_hex}}),
        Filter(tags={"e": {"f" * 64}, "p": {BOB.public_hex}}), Filter(ids={note(tags=[["e", "f" * 64]]).id}),
        Filter(tags={"x": {"1"}}), Filter(since=NOW, until=NOW),
    ],
)  # fmt: skip
def test_whatever_matches_is_found_through_the_index_and_nothing_else(wanted: Filter) -> None:
    store = EventStore(RelayLimits())
    events = [note(tags=[["e", "f" * 64]]), note(BOB, ALICE), note(kind=21002, tags=[["x", "1"]]), durable()]
    for event in events:
        store.add(event, NOW)
    assert {event.id for event in found(store, wanted)} == {event.id for event in events if wanted.matches(event)}


def test_the_newest_come_first_and_limits_hold() -> None:
    store = EventStore(RelayLimits(max_results=3))
    events = [note(content=str(number), at=NOW - number) for number in range(5)]
    for event in reversed(events):
        store.add(event, NOW)
    assert found(store) == events[:3]
    assert found(store, Filter(limit=2)) == events[:2]
    assert found(store, Filter(limit=0)) == []
    assert found(store, Filter(ids=set())) == []
    assert found(store, Filter(limit=1), Filter(ids={events[0].id, events[4].id})) == [events[0], events[4]]


def test_an_event_with_a_thousand_tags_is_found_by_its_first_ones() -> None:
    store = EventStore(RelayLimits())
    keys = [f"{number:064x}" for number in range(1000)]
    event = note(tags=[["p", key] for key in keys])
    store.add(event, NOW)
    assert found(store, Filter(tags={"p": {keys[0]}})) == [event]
    assert found(store, Filter(tags={"p": {keys[-1]}})) == []
    store.expire(NOW + 300)
    assert len(store) == 0
    assert store._index._at == {}
