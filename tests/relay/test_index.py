"""Finding what an event may concern, and what a filter may match, without looking at everything."""

from __future__ import annotations

import pytest

from kitestring.nostr.filter import Filter
from kitestring.relay.index import EVERYTHING, Index, IndexKey, event_places, filter_places, matches, tag_sets
from tests.kit.clock import NOW
from tests.kit.transport.relays import ALICE, BOB, note


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(), Filter(kinds={21001}), Filter(kinds={1}), Filter(authors={ALICE.public_hex}), Filter(authors=set()),
        Filter(ids={note().id}), Filter(since=NOW + 1), Filter(until=NOW - 1), Filter(tags={"p": {BOB.public_hex}}),
        Filter(tags={"p": {BOB.public_hex}, "e": {"1"}}), Filter(tags={"e": {"1", "2"}}), Filter(tags={"p": set()}),
    ],
)  # fmt: skip
def test_the_quick_match_says_what_the_plain_one_says(wanted: Filter) -> None:
    for event in (note(), note(tags=[["e", "2"], ["e"], []]), note(BOB, ALICE, kind=21002, at=NOW + 5)):
        assert matches(wanted, event, tag_sets(event)) is wanted.matches(event)


BOTH = {ALICE.public_hex, BOB.public_hex}


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        (Filter(), [EVERYTHING]),
        (Filter(kinds={1}), [("kind", 1)]),
        (Filter(authors=BOTH, kinds={1}), [("author", key) for key in BOTH]),
        (Filter(tags={"t": {"x"}}, authors=BOTH), [("#t", "x")]),
        (Filter(tags={"p": BOTH, "e": {"1"}}), [("#e", "1")]),
        (Filter(tags={"t": {"x"}, "d": {"y"}}), [("#d", "y")]),
        (Filter(ids={"aa"}, tags={"e": {"1"}}), [("id", "aa")]),
        (Filter(ids=set(), kinds={1}), []),
        (Filter(since=NOW, until=NOW), [EVERYTHING]),
    ],
)
def test_a_filter_is_found_by_its_most_selective_condition(wanted: Filter, places: list[IndexKey]) -> None:
    assert sorted(filter_places(wanted)) == sorted(places)


def test_an_event_is_found_at_every_place_that_a_filter_may_have_been_put() -> None:
    event = note(tags=[["e", "1", "wss://a"], ["client", "x"], ["e"], [], ["P", "2"]])
    assert event_places(event) == [
        ("id", event.id), ("author", event.pubkey), ("kind", 21001), EVERYTHING, ("#p", BOB.public_hex), ("#e", "1"),
        ("#P", "2"),
    ]  # fmt: skip
    for wanted in (Filter(ids={event.id}), Filter(authors=BOTH), Filter(tags={"P": {"2"}}), Filter(since=1), Filter()):
        assert set(filter_places(wanted)) & set(event_places(event))


def test_items_are_found_once_whatever_the_number_of_their_places_and_in_the_order_they_came() -> None:
    index = Index[str]()
    index.add("b", [("kind", 1), ("kind", 2)])
    index.add("a", [("kind", 2)])
    assert list(index.find([("kind", 2), ("kind", 1), ("kind", 3)])) == ["b", "a"]
    assert index.weight([("kind", 1), ("kind", 2), ("kind", 3)]) == 3


def test_what_is_removed_is_found_no_more_and_leaves_no_empty_place() -> None:
    index = Index[str]()
    index.add("a", [("kind", 1), ("kind", 2)])
    index.add("b", [("kind", 2)])
    index.remove("a", [("kind", 1), ("kind", 2), ("kind", 3)])
    index.remove("a", [("kind", 2)])
    assert list(index.find([("kind", 1), ("kind", 2)])) == ["b"]
    index.remove("b", [("kind", 2)])
    assert index._at == {}
