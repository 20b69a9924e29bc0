"""Who of many may follow its invoice at the node: in turn, and never more than the limit."""

from __future__ import annotations

import pytest

from kitestring.engine import hold_places
from kitestring.engine.hold_places import HoldPlaces


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(hold_places, "MAX_FOLLOWED", 2)
    return []


def test_no_more_are_followed_than_the_node_bears(woken: list[str]) -> None:
    places = HoldPlaces(woken.append)
    assert [places.take(name) for name in "abc"] == [True, True, False]


def test_whoever_gives_a_stream_back_waits_behind_all_who_wait_for_one(woken: list[str]) -> None:
    places = HoldPlaces(woken.append)
    for name in "abcd":
        places.take(name)
    places.give_back()
    assert woken == ["c"]
    assert [places.take(name) for name in "adc"] == [False, False, True]
    places.give_back()
    assert [places.take(name) for name in "cad"] == [False, False, True]
    assert woken == ["c", "d"]


def test_who_has_ended_keeps_nobody_waiting(woken: list[str]) -> None:
    places = HoldPlaces(woken.append)
    for name in "abcd":
        places.take(name)
    places.leave("c")
    places.leave("never heard of")
    places.give_back()
    assert (woken, places.take("d")) == (["d"], True)


def test_a_stream_that_nobody_waits_for_is_taken_again_at_once(woken: list[str]) -> None:
    places = HoldPlaces(woken.append)
    places.take("a")
    places.give_back()
    assert (places.take("a"), woken) == (True, [])
