from __future__ import annotations

import pytest

from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import encode_event
from kitestring.relay import shelf as module
from kitestring.relay.entry import NEVER, Bringer, Entry
from kitestring.relay.limits import RelayLimits
from kitestring.relay.shelf import Shelf
from tests.kit.transport.relays import note

THREE = RelayLimits(max_durable_events=3)
KEYS = [SecretKey(number.to_bytes(32)) for number in range(1, 40)]


class Stall:
    """A shelf, and how many listen for whom."""

    def __init__(self, limits: RelayLimits = THREE) -> None:
        self.vouched: set[str] = set()
        self.listeners: dict[str, int] = {}
        self.shelf = Shelf(limits, self.vouched, lambda key: self.listeners.get(key, 0))

    def put(self, key: SecretKey, bringer: Bringer | None = None) -> Entry:
        """Make room and put an event there, as the store does."""
        event = note(key)
        entry = Entry(event, encode_event(event), NEVER, bringer)
        for gone in self.shelf.room_for(entry.size_bytes) or ():
            self.shelf.remove(gone)
        self.shelf.add(entry)
        return entry

    def left(self, entries: list[Entry]) -> list[int]:
        return [number for number, entry in enumerate(entries) if entry in self.shelf]


def test_the_oldest_for_whom_nobody_asks_goes_first() -> None:
    stall = Stall()
    stall.listeners[KEYS[0].public_hex] = 1
    entries = [stall.put(key) for key in KEYS[:5]]
    assert stall.left(entries) == [0, 3, 4]


def test_what_came_over_a_connection_that_is_still_here_stays_and_goes_when_it_has_left() -> None:
    stall, bringer = Stall(), Bringer()
    entries = [stall.put(KEYS[0], bringer), *(stall.put(key) for key in KEYS[1:6])]
    assert stall.left(entries) == [0, 4, 5]
    bringer.is_here = False
    entries += [stall.put(key) for key in KEYS[6:9]]
    assert stall.left(entries) == [6, 7, 8]
    assert bringer.kept == 0


def test_where_all_are_here_whoever_has_brought_most_gives_way() -> None:
    stall, wallet, crowd = Stall(RelayLimits(max_durable_events=10)), Bringer(), Bringer()
    entries = [stall.put(KEYS[0], wallet), *(stall.put(key, crowd) for key in KEYS[1:])]
    assert 0 in stall.left(entries)
    assert (wallet.kept, crowd.kept) == (1, 9)


def test_where_all_are_asked_for_whoever_asks_for_most_gives_way() -> None:
    stall = Stall(RelayLimits(max_durable_events=10))
    stall.listeners = {key.public_hex: 30 for key in KEYS} | {KEYS[0].public_hex: 2}
    assert 0 in stall.left([stall.put(key) for key in KEYS])


def test_only_some_are_looked_at_and_those_that_were_spared_not_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVICTION_LOOKS", 2)
    stall = Stall(RelayLimits(max_durable_events=6))
    stall.listeners = {key.public_hex: 1 for key in KEYS[:4]}
    entries = [stall.put(key) for key in KEYS[:8]]
    assert stall.left(entries)[-2:] == [6, 7]
    assert len(stall.left(entries)) == 6


def test_whoever_is_vouched_for_meanwhile_takes_no_place_any_more() -> None:
    stall = Stall()
    entries = [stall.put(key) for key in KEYS[:3]]
    stall.vouched.update(key.public_hex for key in KEYS[:3])
    entries += [stall.put(key) for key in KEYS[3:7]]
    assert stall.left(entries) == [4, 5, 6]
    stall.vouched.add(KEYS[7].public_hex)
    assert stall.left([stall.put(KEYS[7])]) == []


def test_bytes_are_bounded_and_what_is_going_already_counts() -> None:
    stall = Stall()
    size_bytes = stall.put(KEYS[0]).size_bytes
    stall = Stall(RelayLimits(max_durable_bytes=3 * size_bytes))
    entries = [stall.put(key) for key in KEYS[:3]]
    assert stall.shelf.room_for(size_bytes, entries[:1]) == []
    assert stall.shelf.room_for(2 * size_bytes, entries[1:2]) == entries[:1]
    assert stall.shelf.room_for(3 * size_bytes) == entries
    assert stall.shelf.room_for(4 * size_bytes) is None
