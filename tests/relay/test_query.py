"""Looking through stored events: the newest of each filter, each once, and without keeping others waiting."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.nostr.event import Event
from kitestring.nostr.filter import Filter
from kitestring.relay import query
from kitestring.relay.limits import RelayLimits
from kitestring.relay.store import EventStore
from tests.kit.clock import NOW
from tests.kit.transport.relays import note


def test_what_comes_during_a_search_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "LOOKED_AT_PER_TURN", 1)
    store, first = EventStore(RelayLimits()), [note(content=str(number)) for number in range(3)]
    for event in first:
        store.add(event, NOW)
    search = query.query(store, (Filter(),), NOW, lambda _: 500)
    for number in range(3):
        search.send(None)
        store.add(note(content=f"late {number}"), NOW)
    with pytest.raises(StopIteration) as done:
        search.send(None)
    assert {entry.event.id for entry in done.value.value} == {event.id for event in first}


def at(*ages_s: int, **more: Any) -> list[Event]:
    return [note(content=str(age), at=NOW - age, **more) for age in ages_s]


async def found(events: list[Event], *filters: Filter, cap: int = 500, now: int = NOW) -> list[str]:
    store = EventStore(RelayLimits())
    for event in events:
        store.add(event, NOW)
    return [entry.event.content for entry in await query.query(store, filters, now, lambda _: cap)]


async def test_the_newest_come_first_and_each_once_however_many_filters_it_matches() -> None:
    events = at(3, 1, 2)
    assert await found(events, Filter(), Filter(kinds={21001})) == ["1", "2", "3"]
    assert await found(events) == []


async def test_a_filter_gives_its_newest_up_to_its_own_limit_and_to_the_relays() -> None:
    events = at(*range(10))
    assert await found(events, Filter(limit=3)) == ["0", "1", "2"]
    assert await found(events, Filter(limit=8), cap=2) == ["0", "1"]
    assert await found(events, Filter(limit=0)) == []
    assert await found(events, Filter(limit=1), Filter(until=NOW - 8)) == ["0", "8", "9"]


async def test_what_has_ended_is_not_found_though_it_is_still_there() -> None:
    events = at(1, tags=[["expiration", str(NOW + 60)]])
    assert await found(events, Filter()) == ["1"]
    assert await found(events, Filter(), now=NOW + 60) == []


async def test_a_long_search_gives_others_their_turn_and_a_short_one_is_done_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(query, "LOOKED_AT_PER_TURN", 4)
    for count, turns in ((3, 0), (9, 2)):
        store = EventStore(RelayLimits())
        for event in at(*range(count)):
            store.add(event, NOW)
        search = query.query(store, (Filter(),), NOW, lambda _: 500)
        for _ in range(turns):
            search.send(None)
        with pytest.raises(StopIteration) as done:
            search.send(None)
        assert len(done.value.value) == count
