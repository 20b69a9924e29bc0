"""Two services with one key notice each other over the relay; one that has ended is no second one."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.service.twins import AT_ONCE, D_TAG, LOOK_S, Twins
from kitestring.base.errors import NotStoredError, Reason
from kitestring.base.records import StopCause
from kitestring.base.transactions.service import SetSpending
from kitestring.crypto.keys import SecretKey
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from tests.kit.app.relay import KeepingRelay, RelayDouble
from tests.kit.clock import NOW, VirtualClock, virtual
from tests.kit.engine.crossings import CrossedStore
from tests.kit.ledger.place import ledger_path
from tests.kit.ledger.values import SERVICE

KEY = SecretKey(b"\x05" * 32)
NUMBERS = itertools.count()


def entropy(size: int) -> bytes:
    return hashlib.sha256(b"twins %d" % next(NUMBERS)).digest()[:size]


class One:
    """One instance on a ledger of its own, looked after by hand: nothing happens between its looks."""

    def __init__(self, relay: KeepingRelay, store: Any, skew_s: int = 0) -> None:
        self.store, self.pool, self.was_second = store, RelayDouble(relay), 0
        pool: Any = self.pool
        self.clock = VirtualClock(skew_s)
        self.twins = Twins(pool, store, KEY, self.clock, entropy, self._second)
        self.twins.listen()

    def _second(self) -> None:
        self.was_second += 1

    async def stopped(self) -> list[str]:
        return [stop.why for stop in await self.store.stops() if stop.cause is StopCause.TWIN]


@contextmanager
def ledgers(count: int) -> Iterator[list[Path]]:
    with ExitStack() as stack:
        yield [stack.enter_context(ledger_path()) for _ in range(count)]


async def look(*instances: One, rounds: int = 4) -> None:
    for _round in range(rounds):
        for one in instances:
            await one.twins.look()


async def opened(path: Path) -> Any:
    return CrossedStore(await SqliteStore.open(path, SERVICE))


async def closed(*stores: Any) -> None:
    for store in stores:
        await store.close()


@pytest.mark.parametrize("skew_s", [0, -3_600, 3_600])
def test_a_copy_and_its_original_both_stop_and_the_copy_also_listens_no_more(skew_s: int) -> None:
    @virtual
    async def story() -> None:
        with ledgers(2) as paths:
            relay, stores = KeepingRelay(), [await opened(path) for path in paths]
            original = One(relay, stores[0])
            await look(original)
            copy = One(relay, stores[1], skew_s)
            await look(copy, original)
            (why,) = await original.stopped()
            assert why == (
                f"another service with this key is running (instance {copy.twins.instance[:8]}; this one is"
                f" {original.twins.instance[:8]})"
            )
            assert len(await copy.stopped()) == 1
            assert (original.was_second, copy.was_second >= 1) == (0, True)
            await closed(*stores)

    story()


@virtual
async def test_a_service_that_has_ended_is_no_second_one_however_often_its_event_is_shown() -> None:
    with ledgers(1) as (path,):
        relay, store = KeepingRelay(), await opened(path)
        for _start in range(3):
            one = One(relay, store)
            await look(one)
            relay.show_again()
            await look(one)
            one.twins.stop()
        assert await one.stopped() == []
        assert one.was_second == 0
        assert len(relay.events) == 3
        await closed(store)


@virtual
async def test_two_that_are_alive_do_not_talk_to_each_other_without_end() -> None:
    with ledgers(2) as paths:
        relay, stores = KeepingRelay(), [await opened(path) for path in paths]
        one, two = (One(relay, store) for store in stores)
        await look(one, two, rounds=50)
        assert len(relay.events) <= 2 * AT_ONCE
        await closed(*stores)


@virtual
async def test_after_the_owners_word_a_second_one_that_is_still_there_is_noticed_again() -> None:
    with ledgers(2) as paths:
        relay, stores = KeepingRelay(), [await opened(path) for path in paths]
        one, two = (One(relay, store) for store in stores)
        await look(one, two)
        await stores[0].apply(SetSpending(False, "sure", NOW, StopCause.TWIN))
        assert await one.stopped() == []
        for _minute in range(3):
            for instance in (one, two):
                instance.twins._answers = 0
            await look(one, two)
        assert len(await one.stopped()) == 1
        await closed(*stores)


def said(content: str, at: int, key: SecretKey = KEY, **changes: Any) -> Event:
    event = sign_event(key, kind=kinds.BEACON, tags=[["d", D_TAG]], content=content, created_at=at)
    return Event(**{**{name: getattr(event, name) for name in event.__struct_fields__}, **changes})


@virtual
async def test_what_others_say_or_nobody_has_signed_is_not_heard() -> None:
    with ledgers(1) as (path,):
        relay, store = KeepingRelay(), await opened(path)
        one = One(relay, store)
        await look(one)
        late = VirtualClock().now() + 100
        for number in range(4):
            one.twins._hear(said(f"{number}", late + number, SecretKey(b"\x06" * 32)), "")
            one.twins._hear(said("forged", late + number, sig="00" * 64), "")
            one.twins._hear(said(one.twins.instance, late + number), "")
            await look(one)
        assert await one.stopped() == []
        assert len(relay.events) == 1
        await closed(store)


@virtual
async def test_it_is_said_again_until_a_relay_takes_it() -> None:
    with ledgers(1) as (path,):
        relay, store = KeepingRelay(), await opened(path)
        relay.takes = lambda _: False
        one = One(relay, store)
        await look(one)
        assert relay.events == []
        relay.takes = lambda _: True
        one.twins._answers = 0
        await look(one)
        assert [event.content for event in relay.events] == [one.twins.instance]
        await closed(store)


@virtual
async def test_the_watch_notices_a_second_one_within_a_minute_of_its_start() -> None:
    with ledgers(2) as paths:
        relay, stores = KeepingRelay(), [await opened(path) for path in paths]
        clock = VirtualClock()
        one = One(relay, stores[0])
        watching = [asyncio.ensure_future(one.twins.watch())]
        await clock.sleep(10 * LOOK_S)
        two = One(relay, stores[1])
        watching.append(asyncio.ensure_future(two.twins.watch()))
        await clock.sleep(LOOK_S)
        assert [len(await each.stopped()) for each in (one, two)] == [1, 1]
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await closed(*stores)


@virtual
async def test_one_event_of_a_clock_that_was_ahead_is_outdone_and_stops_nothing() -> None:
    with ledgers(1) as (path,):
        relay, store = KeepingRelay(), await opened(path)
        one = One(relay, store)
        await look(one)
        ahead = said("ended since", VirtualClock().now() + 400 * 86_400)
        for _shown in range(3):
            relay.publish(ahead)
            await look(one)
        assert await one.stopped() == []
        newest = max(relay.events, key=lambda event: event.created_at)
        assert newest.content == one.twins.instance
        await closed(store)


@virtual
async def test_a_stop_that_the_disk_refuses_is_stored_at_the_next_look() -> None:
    with ledgers(2) as paths:
        relay, stores = KeepingRelay(), [await opened(path) for path in paths]
        original, copy = One(relay, stores[0]), One(relay, stores[1])
        stores[0].broken["SetSpending"] = [NotStoredError(Reason.INTERNAL, "the disk is full")]
        refused = 0
        for _round in range(4):
            for one in (original, copy):
                try:
                    await one.twins.look()
                except NotStoredError:
                    refused += 1
                    await one.twins.look()
                    assert len(await original.stopped()) == 1
        assert refused == 1
        await closed(*stores)


@virtual
async def test_a_clock_that_was_ahead_for_a_moment_does_not_keep_an_instance_from_being_known() -> None:
    with ledgers(1) as (path,):
        relay, store = KeepingRelay(), await opened(path)
        relay.takes = lambda event: event.created_at <= VirtualClock().now() + 900
        one = One(relay, store, 400 * 86_400)
        await look(one, rounds=1)
        assert relay.events == []
        one.clock.skew_s = 0
        await look(one)
        assert [event.content for event in relay.events] == [one.twins.instance]
        await closed(store)
