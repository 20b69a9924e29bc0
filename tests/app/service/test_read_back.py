"""Read-back: what counts is what a relay shows, and only where it has shown all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from kitestring.app.service.read_back import ANSWER_S, KEYS, ReadBack
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.transport.subscriptions import MAX_KEYS_PER_REQ
from tests.kit.clock import EPOCH as NOW

ALICE, BOB = SecretKey(b"\x01" * 32), SecretKey(b"\x02" * 32)
GOOD, MUTE = "wss://good.example", "wss://mute.example"


def info(key: SecretKey, at: int = NOW, kind: int = kinds.NWC_INFO) -> Event:
    return sign_event(key, kind=kind, tags=[], content="get_info", created_at=at, aux=bytes(32))


@dataclass
class Relays:
    """In the place of pool and subscription: ``live`` are the relays that show all they have."""

    shows: list[tuple[Event, str]] = field(default_factory=list)
    live: tuple[str, ...] = (GOOD,)
    open: int = 0
    breaks: bool = False

    def subscribe(self, _name: str, source: Any, handler: Any, *, keys: tuple[str, ...]) -> Relays:
        (asked,) = source(keys)
        assert (asked.kinds, asked.authors) == ({kinds.NWC_INFO}, set(keys))
        self.open += 1
        for event, url in self.shows:
            handler(event, url)
        return self

    async def wait_eose(self, timeout_s: float) -> bool:
        assert timeout_s == ANSWER_S
        if self.breaks:
            raise TimeoutError
        return True

    def live_on(self) -> list[str]:
        return list(self.live)

    def close(self) -> None:
        self.open -= 1


async def shown(relays: Any, *keys: SecretKey) -> dict[str, dict[str, Event]]:
    found = await ReadBack(relays).shown(kinds.NWC_INFO, [key.public_hex for key in keys])
    assert relays.open == 0
    return found


async def test_the_newest_event_of_each_key_counts_and_what_nobody_asked_for_does_not() -> None:
    old, new, other = info(ALICE), info(ALICE, NOW + 1), info(BOB)
    lower = msgspec.structs.replace(new, id="0" * 64)
    relays = Relays([(old, GOOD), (new, GOOD), (lower, GOOD), (old, GOOD), (other, GOOD), (info(ALICE, kind=1), GOOD)])
    assert await shown(relays, ALICE) == {GOOD: {ALICE.public_hex: lower}}


async def test_a_relay_that_has_not_shown_all_tells_nothing_and_one_that_has_nothing_tells_that() -> None:
    relays = Relays([(info(ALICE), MUTE)])
    assert await shown(relays, ALICE, BOB) == {GOOD: {}}


async def test_the_question_is_closed_whatever_happens() -> None:
    relays: Any = Relays(breaks=True)
    with pytest.raises(TimeoutError):
        await shown(relays, ALICE)
    assert relays.open == 0


def test_one_question_is_one_req() -> None:
    assert KEYS <= MAX_KEYS_PER_REQ
