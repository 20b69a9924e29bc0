"""Requests in hand are shared: a flood of one caller leaves room for others."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kitestring.app.service.callers import Caller
from kitestring.app.service.in_hand import CROWD, InHand

NOTHING: Any = None


def app(name: str) -> Caller:
    return Caller(NOTHING, name, "", NOTHING, known=name)


def enrolled(name: str) -> Caller:
    return Caller(NOTHING, name, "", NOTHING, known=name, is_enrolled=True)


def stranger(name: str) -> Caller:
    return Caller(NOTHING, name, "", NOTHING)


def flood(hand: InHand, *callers: Caller) -> list[int]:
    """How many places each of them gets if all take what they can, in turn."""
    got = [0] * len(callers)
    while any(took := [hand.take(caller) for caller in callers]):
        got = [number + more for number, more in zip(got, took, strict=True)]
    return got


def test_a_flood_of_some_connections_leaves_as_much_for_whoever_comes_new() -> None:
    hand = InHand(100)
    assert flood(hand, app("a"), app("b"), app("c")) == [25, 25, 25]
    assert flood(hand, app("new")) == [13]


def test_strangers_together_have_no_more_than_one_connection_and_leave_some_to_each_other() -> None:
    hand = InHand(100)
    assert flood(hand, stranger("ann")) == [34]
    assert sum(flood(hand, *(stranger(f"s{number}") for number in range(60)))) == 16
    assert flood(hand, app("a")) == [25]


def test_keys_that_have_enrolled_have_no_more_together_than_one_connection() -> None:
    hand = InHand(100)
    assert sum(flood(hand, *(enrolled(f"e{number}") for number in range(60)))) == 50
    assert flood(hand, app("a"), stranger("s")) == [19, 13]


def test_a_place_is_free_again_when_its_request_is_done_and_nobody_is_remembered() -> None:
    hand = InHand(4)
    callers = [app("a"), stranger("s")]
    assert all(map(hand.take, callers))
    assert len(hand) == 2
    for caller in callers:
        hand.give_back(caller)
    assert (len(hand), hand._of) == (0, {})


def test_there_is_no_room_for_anybody_when_all_places_are_taken() -> None:
    hand = InHand(2)
    assert hand.has_any_room()
    assert hand.take(app("a"))
    assert hand.take(app("b"))
    assert not hand.has_any_room()
    assert not hand.take(app("c"))
    assert not InHand(0).has_any_room()


@given(st.integers(0, 200), st.lists(st.sampled_from([app("a"), app("b"), stranger("s"), stranger("t")]), max_size=80))
def test_below_a_part_of_all_places_there_is_room_whoever_has_them(most: int, callers: list[Caller]) -> None:
    careful = InHand(most)
    careful._crowd = 0  # type: ignore[misc]  # it looks each time
    for caller in callers[: most // CROWD]:
        assert careful.take(caller)
