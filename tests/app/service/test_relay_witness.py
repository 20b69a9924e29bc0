"""The relays know how far the ledger has come before anybody is told no, and a ledger behind that spends nothing."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from kitestring.app.service.news import MAX_NEWS
from kitestring.app.service.relay_witness import (
    AHEAD_S,
    CONSUMER,
    D_TAG,
    HEAR_S,
    MAX_WAITING,
    RHYTHM_S,
    TAKE_S,
    RelayWitness,
    Told,
)
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.records import Generation, Message, StopCause
from kitestring.base.transactions.answers import Claimed, Denied
from kitestring.base.transactions.feed import Tell
from kitestring.base.transactions.service import SetSpending
from kitestring.crypto import nip44
from kitestring.crypto.keys import SecretKey
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.transport.publications import PublishResult
from tests.kit.app.relay import URL, KeepingRelay, RelayDouble
from tests.kit.clock import VirtualClock, virtual
from tests.kit.engine.crossings import CrossedStore
from tests.kit.ledger.place import ledger_path
from tests.kit.ledger.values import SERVICE, answered, claim, setting, settle

KEY = SecretKey(b"\x05" * 32)
SECRET = nip44.conversation_key(KEY, KEY.public_hex)
NUMBERS = itertools.count()


def entropy(size: int) -> bytes:
    return hashlib.sha256(b"relay witness %d" % next(NUMBERS)).digest()[:size]


class Nowhere(RelayDouble):
    """A pool whose relays are away."""

    def connected_urls(self) -> list[str]:
        return []

    async def connected(self, count: int = 1, timeout_s: float = 0.0) -> bool:
        await asyncio.sleep(timeout_s)
        return False

    async def until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        return await self.connected(timeout_s=timeout_s)


class One:
    """A ledger that is served, and its witness."""

    def __init__(self, store: Any, pool: Any, *, outside: tuple[str, ...] = (URL,)) -> None:
        self.store = store
        self.clock = VirtualClock()
        self.witness = RelayWitness(pool, store, KEY, self.clock, entropy, outside)

    async def why(self) -> str:
        return "".join(stop.why for stop in await self.store.stops() if stop.cause is StopCause.LEDGER)

    async def may_spend(self) -> bool:
        answer = await self.store.apply(claim(f"may {next(NUMBERS)}"))
        assert isinstance(answer, Claimed) or answer == Denied(Reason.SPENDING_STOPPED)
        return isinstance(answer, Claimed)

    async def pay(self, name: str) -> None:
        assert await self.store.apply(claim(name)) == Claimed()
        await self.store.apply(settle(name, 10, answered(name)))


@asynccontextmanager
async def served(
    ledger: Path, relay: KeepingRelay, *, pool: type[RelayDouble] = RelayDouble, **more: Any
) -> AsyncIterator[One]:
    """One life."""
    store, double = CrossedStore(await SqliteStore.open(ledger, SERVICE)), pool(relay)
    one = One(store, double, **more)
    await one.witness.begin()
    try:
        yield one
        await one.witness.stop()
    finally:
        double.end()
        await one.witness._background.cancel()
        await store.close()


async def first_life(ledger: Path, relay: KeepingRelay) -> None:
    async with served(ledger, relay) as one:
        await one.store.apply(setting())
        await one.pay("a")


def take_away(ledger: Path) -> None:
    ledger.unlink()


def _hear_of(known: list[Told], relay: KeepingRelay) -> None:
    known.append(read(relay.events[-1]))


def _note_time(gone: list[float], one: One) -> None:
    gone.append(one.clock.monotonic())


def read(event: Event) -> Told:
    assert (event.kind, event.tags) == (kinds.BEACON, [["d", D_TAG]])
    return msgspec.json.decode(nip44.decrypt(event.content, SECRET), type=Told)


def said(told: object, at: int, key: SecretKey = KEY) -> Event:
    content = nip44.encrypt(msgspec.json.encode(told).decode(), SECRET, entropy(32))
    return sign_event(key, kind=kinds.BEACON, tags=[["d", D_TAG]], content=content, created_at=at)


def story(test: Any) -> Any:
    """On a virtual loop, with a ledger and a relay."""

    def run() -> None:
        with ledger_path() as path:
            virtual(test)(path, KeepingRelay())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


# ------------------------------------------------------------ it follows the ledger


@story
async def test_it_follows_the_ledger_and_the_next_life_is_confirmed(ledger: Path, relay: KeepingRelay) -> None:
    async with served(ledger, relay) as one:
        assert one.witness.confirms(), "a ledger that has moved no money has sent nothing"
        await one.store.apply(setting())
        await one.clock.sleep(2 * RHYTHM_S)
        assert read(relay.events[-1]).ledger == await one.store.generation()
        await one.pay("a")
        there = await one.store.generation()
    assert read(relay.events[-1]).ledger == there, "a stop says the last word"
    async with served(ledger, relay) as one:
        assert one.witness.confirms()
        assert await one.may_spend()


@story
async def test_what_does_not_change_is_not_said_again(ledger: Path, relay: KeepingRelay) -> None:
    await first_life(ledger, relay)
    async with served(ledger, relay) as one:
        await one.clock.sleep(60)
        number = len(relay.events)
        await one.clock.sleep(600)
        assert len(relay.events) == number


@story
async def test_a_relay_reads_nothing_of_it(ledger: Path, relay: KeepingRelay) -> None:
    await first_life(ledger, relay)
    async with served(ledger, relay) as one:
        assert (await one.store.generation()).ledger_id not in "".join(event.content for event in relay.events)
    assert all(event.pubkey == KEY.public_hex for event in relay.events)


# ------------------------------------------------------------ a ledger behind it


@story
async def test_a_ledger_that_was_put_back_with_everything_beside_it_spends_nothing(
    ledger: Path, relay: KeepingRelay
) -> None:
    await first_life(ledger, relay)
    old = ledger.with_suffix(".old")
    shutil.copy(ledger, old)
    async with served(ledger, relay) as one:
        await one.pay("b")
    shutil.copy(old, ledger)
    for _start in range(2):
        async with served(ledger, relay) as one:
            assert (await one.why()).startswith("the ledger is older than the relays know it: at least 3 rows")
            assert not one.witness.confirms()
            assert not await one.may_spend()
            await one.clock.sleep(60)
    assert read(relay.events[-1]).ledger.payments == 2, "what the relays know is worth more"


@story
async def test_another_ledger_with_the_same_key_spends_nothing(ledger: Path, relay: KeepingRelay) -> None:
    await first_life(ledger, relay)
    take_away(ledger)
    async with served(ledger, relay) as one:
        await one.clock.sleep(1)
        assert "the relays know of another one" in await one.why()


@story
async def test_a_ledger_that_is_let_go_on_is_a_new_one_and_old_events_of_the_other_stop_it_no_more(
    ledger: Path, relay: KeepingRelay
) -> None:
    await first_life(ledger, relay)
    old = ledger.with_suffix(".old")
    shutil.copy(ledger, old)
    async with served(ledger, relay) as one:
        await one.pay("b")
    before = relay.state()
    shutil.copy(old, ledger)
    async with served(ledger, relay) as one:
        await one.clock.sleep(2 * AHEAD_S)
        await one.store.apply(SetSpending(False, "sure", one.clock.now(), StopCause.LEDGER))
        await one.clock.sleep(60)
        assert read(relay.events[-1]).ledger == await one.store.generation()
    relay.restore(before)  # a relay that was away since
    async with served(ledger, relay) as one:
        assert await one.why() == ""
        assert not one.witness.confirms(), "it does not know of this ledger"
        await one.clock.sleep(60)
        assert await one.why() == ""


@story
async def test_an_older_event_than_the_relays_had_proves_nothing_and_stops_nothing(
    ledger: Path, relay: KeepingRelay
) -> None:
    await first_life(ledger, relay)
    older = relay.state()
    async with served(ledger, relay) as one:
        await one.pay("b")
        await one.clock.sleep(2 * RHYTHM_S)
        assert await one.store.position(CONSUMER)
    relay.restore(older)
    async with served(ledger, relay) as one:
        assert not one.witness.confirms()
        assert await one.why() == ""
        assert await one.may_spend(), "new work goes on"
        await one.clock.sleep(60)
        relay.show_again()
        await one.clock.sleep(60)
        assert not one.witness.confirms(), "what it has said itself since proves nothing"


@story
async def test_of_several_relays_the_one_that_knows_more_counts_however_late(ledger: Path, relay: KeepingRelay) -> None:
    await first_life(ledger, relay)
    async with served(ledger, relay) as one:
        assert one.witness.confirms()
        ahead = msgspec.structs.replace(await one.store.generation(), messages=1_000)
        relay.publish(said(Told(ahead, "another"), one.clock.now() - 50))
        await one.clock.sleep(1)
        assert "older than the relays know it" in await one.why()
        assert not one.witness.confirms()


@story
async def test_what_one_relay_repeats_does_not_hide_what_another_knows(ledger: Path, relay: KeepingRelay) -> None:
    await first_life(ledger, relay)
    async with served(ledger, relay, outside=(URL, ELSEWHERE)) as one:
        old = relay.events[-1]
        ahead = msgspec.structs.replace(await one.store.generation(), messages=1_000)
        for _again in range(2 * MAX_NEWS):
            one.witness._hear(old, URL)
        one.witness._hear(said(Told(ahead, "another"), one.clock.now() - 50), ELSEWHERE)
        await one.clock.sleep(1)
        assert "older than the relays know it" in await one.why()


@story
async def test_what_a_relay_has_shown_counts_when_it_is_away_since(ledger: Path, relay: KeepingRelay) -> None:
    await first_life(ledger, relay)
    async with served(ledger, relay, pool=Nowhere) as one:
        ahead = msgspec.structs.replace(await one.store.generation(), messages=1_000)
        one.witness._hear(said(Told(ahead, "another"), one.clock.now() - 50), URL)
        await one.clock.sleep(2 * RHYTHM_S)
        assert "older than the relays know it" in await one.why()


@story
async def test_a_relay_that_repeats_itself_for_ever_holds_no_answer_back(ledger: Path, relay: KeepingRelay) -> None:
    await first_life(ledger, relay)
    async with served(ledger, relay) as one:
        old, gone = relay.events[-1], list[float]()
        generation: Callable[[], Awaitable[Generation]] = one.store.generation

        async def once_more() -> Generation:
            if one.clock.monotonic() - begun < 5:
                one.witness._hear(old, URL)
            return await generation()

        await one.pay("b")
        begun = one.clock.monotonic()
        one.store.generation = once_more
        one.witness.when_witnessed(partial(_note_time, gone, one))
        await one.clock.sleep(5)
        del one.store.generation
        assert gone, "it is let go"
        assert gone[0] - begun < 1


@story
async def test_a_start_waits_for_the_other_relays_before_it_believes_the_first(
    ledger: Path, relay: KeepingRelay
) -> None:
    await first_life(ledger, relay)
    old, known = ledger.with_suffix(".old"), relay.state()
    shutil.copy(ledger, old)
    async with served(ledger, relay) as one:
        await one.pay("b")
    ahead = relay.events[-1]
    shutil.copy(old, ledger)
    relay.restore(known)  # it was away since, and another one has heard more

    class Second(RelayDouble):
        """One relay is there at once, the other one after a second."""

        async def until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
            if not holds():
                await asyncio.sleep(1)
                relay.publish(ahead)
            return timeout_s > 1

    async with served(ledger, relay, pool=Second, outside=(URL, ELSEWHERE)) as one:
        assert not one.witness.confirms()
        assert "older than the relays know it" in await one.why()


@story
async def test_what_others_say_or_nobody_has_signed_or_can_read_stops_nothing(
    ledger: Path, relay: KeepingRelay
) -> None:
    await first_life(ledger, relay)
    async with served(ledger, relay) as one:
        told = Told(Generation("other", 9, 9, 9, 9), "another")
        late = one.clock.now() + 100
        good = said(told, late)
        forged = Event(**{**{name: getattr(good, name) for name in good.__struct_fields__}, "sig": "00" * 64})
        for event in (said(told, late, SecretKey(b"\x06" * 32)), forged, said({"ledger": 5}, late)):
            one.witness._hear(event, URL)
        await one.clock.sleep(1)
        assert await one.why() == ""
        for _again in range(2 * MAX_NEWS):
            one.witness._hear(said({"ledger": 5}, late), URL)
        assert len(one.witness._news) <= MAX_NEWS


@story
async def test_a_doubt_that_cannot_be_stored_is_stored_later(ledger: Path, relay: KeepingRelay) -> None:
    await first_life(ledger, relay)
    async with served(ledger, relay) as one:
        one.store.broken["SetSpending"] = [KitestringError(Reason.INTERNAL, "the disk is full")]
        ahead = msgspec.structs.replace(await one.store.generation(), messages=1_000)
        relay.publish(said(Told(ahead, "another"), one.clock.now() - 50))
        await one.clock.sleep(60)
        assert not await one.may_spend()


# ------------------------------------------------------------ who is told no


@story
async def test_a_no_leaves_when_a_relay_knows_of_it(ledger: Path, relay: KeepingRelay) -> None:
    await first_life(ledger, relay)
    async with served(ledger, relay) as one:
        await one.clock.sleep(60)
        for number in range(3):
            known: list[Told] = []
            await one.pay(f"b{number}")
            there = await one.store.generation()
            begun = one.clock.monotonic()
            assert one.witness.when_witnessed(partial(_hear_of, known, relay))
            assert known == []
            while not known:
                await one.clock.sleep(0.01)
            assert [told.ledger for told in known] == [there]
            assert one.clock.monotonic() - begun < 0.2


@story
async def test_many_that_say_no_at_once_share_one_event_and_the_dates_do_not_run_away(
    ledger: Path, relay: KeepingRelay
) -> None:
    await first_life(ledger, relay)
    async with served(ledger, relay) as one:
        await one.clock.sleep(60)
        before, gone = len(relay.events), list[int]()
        for number in range(300):
            await one.store.apply(Tell("till", number + 1, one.clock.now(), (Message("", "note", b"", b"", 0),)))
            one.witness.when_witnessed(partial(gone.append, number))
            await one.clock.sleep(0.2)
        await one.clock.sleep(5)
        assert gone == list(range(300))
        assert len(relay.events) - before <= 60 + 2 * AHEAD_S
        assert max(event.created_at for event in relay.events) <= one.clock.now() + AHEAD_S + 1


@story
async def test_a_no_leaves_late_where_no_relay_takes_the_event_and_then_at_once(
    ledger: Path,
    relay: KeepingRelay,
) -> None:
    await first_life(ledger, relay)
    async with served(ledger, relay) as one:
        await one.clock.sleep(60)
        assert one.witness.findings() == ()
        relay.takes = lambda _: False
        for number in range(3):
            gone: list[float] = []
            await one.pay(f"b{number}")
            begun = one.clock.monotonic()
            one.witness.when_witnessed(partial(_note_time, gone, one))
            await one.clock.sleep(TAKE_S + 1)
            assert gone[0] - begun <= TAKE_S
        (found,) = one.witness.findings()
        assert "no relay takes kind 30078" in found.sentence
        relay.takes = lambda _: True
        await one.clock.sleep(60)
        assert one.witness.findings() == ()
        assert read(relay.events[-1]).ledger == await one.store.generation()


@story
async def test_a_clock_that_was_ahead_for_a_moment_leaves_the_witness_as_it_was(
    ledger: Path, relay: KeepingRelay
) -> None:
    relay.takes = lambda event: event.created_at <= VirtualClock().now() + 900
    await first_life(ledger, relay)
    async with served(ledger, relay) as one:
        one.clock.skew_s = 400 * 86_400
        await one.pay("b")
        await one.clock.sleep(2 * RHYTHM_S)
        assert len(one.witness.findings()) == 1
        one.clock.skew_s = 0
        await one.clock.sleep(2 * RHYTHM_S)
        assert one.witness.findings() == ()
        assert read(relay.events[-1]).ledger == await one.store.generation()


@story
async def test_what_a_doubted_ledger_refuses_the_right_one_does_not_know_when_it_is_put_back(
    ledger: Path, relay: KeepingRelay
) -> None:
    await first_life(ledger, relay)
    right, old = ledger.with_suffix(".right"), ledger.with_suffix(".old")
    shutil.copy(ledger, old)
    async with served(ledger, relay) as one:
        await one.pay("b")
    shutil.copy(ledger, right)
    shutil.copy(old, ledger)
    gone: list[bool] = []
    async with served(ledger, relay) as one:
        await one.store.apply(claim("refused"))
        one.witness.when_witnessed(lambda: gone.append(True))
        await one.clock.sleep(60)
    assert gone == [True]
    shutil.copy(right, ledger)
    async with served(ledger, relay) as one:
        assert "another ledger was served in its place" in await one.why()


@story
async def test_too_many_that_wait_are_left_to_the_outbox(ledger: Path, relay: KeepingRelay) -> None:
    await first_life(ledger, relay)
    async with served(ledger, relay) as one:
        assert all(one.witness.when_witnessed(lambda: None) for _ in range(MAX_WAITING))
        assert not one.witness.when_witnessed(lambda: None)


# ------------------------------------------------------------ nobody to hear


@story
async def test_with_no_relay_there_the_start_waits_a_little_and_nothing_is_confirmed(
    ledger: Path, relay: KeepingRelay
) -> None:
    await first_life(ledger, relay)
    begun = VirtualClock().monotonic()
    async with served(ledger, relay, pool=Nowhere) as one:
        assert HEAR_S <= one.clock.monotonic() - begun <= HEAR_S + 1
        await one.clock.sleep(1)
        assert await one.why() == ""
        assert await one.may_spend()


@story
async def test_a_no_waits_while_every_relay_is_away_and_leaves_when_one_has_heard(
    ledger: Path, relay: KeepingRelay
) -> None:
    await first_life(ledger, relay)
    async with served(ledger, relay) as one:
        await one.clock.sleep(60)
        pool = one.witness._pool
        one.witness._pool = Nowhere(relay)  # type: ignore[assignment]  # for a while
        known: list[Told] = []
        await one.pay("b")
        one.witness.when_witnessed(partial(_hear_of, known, relay))
        await one.clock.sleep(600)
        assert known == []
        one.witness._pool = pool
        await one.clock.sleep(2 * RHYTHM_S)
        assert [told.ledger for told in known] == [await one.store.generation()]
        assert one.witness.findings() == ()


@story
async def test_our_own_relay_is_no_witness_and_nobody_waits_for_it(ledger: Path, relay: KeepingRelay) -> None:
    await first_life(ledger, relay)
    number = len(relay.events)
    async with served(ledger, relay, outside=()) as one:
        assert not one.witness.confirms()
        assert len(one.witness.findings()) == 1
        gone: list[bool] = []
        assert one.witness.when_witnessed(lambda: gone.append(True))
        assert gone == [True]
        await one.pay("b")
        await one.clock.sleep(60)
    assert len(relay.events) == number


@story
async def test_a_disk_that_is_full_is_said_and_holds_no_answer_back(ledger: Path, relay: KeepingRelay) -> None:
    await first_life(ledger, relay)
    async with served(ledger, relay) as one:
        await one.clock.sleep(60)
        await one.pay("b")
        one.store.broken["Tell"] = [KitestringError(Reason.INTERNAL, "the disk is full")]
        gone: list[bool] = []
        one.witness.when_witnessed(lambda: gone.append(True))
        await one.clock.sleep(5)
        assert gone == [True]


@story
async def test_a_ledger_in_which_nothing_happens_is_told_once(ledger: Path, relay: KeepingRelay) -> None:
    await first_life(ledger, relay)
    async with served(ledger, relay) as one:
        await one.pay("b")
        await one.clock.sleep(3 * RHYTHM_S)
        before = len(relay.events)
        await one.clock.sleep(3_600)
        assert len(relay.events) == before


class OwnBeside(RelayDouble):
    """Shows what comes from :data:`URL` although only another relay testifies, which is away; events go there alone."""

    async def publish(self, event: Event, relays: Any = None, **more: Any) -> PublishResult:
        assert list(relays) == [ELSEWHERE]
        return PublishResult(False, {})


ELSEWHERE = "wss://elsewhere.example"


@story
async def test_our_own_relay_is_no_witness_beside_those_of_others(ledger: Path, relay: KeepingRelay) -> None:
    await first_life(ledger, relay)
    async with served(ledger, relay, pool=OwnBeside, outside=(ELSEWHERE,)) as one:
        relay.show_again()
        gone: list[bool] = []
        assert one.witness.when_witnessed(lambda: gone.append(True))
        await one.clock.sleep(RHYTHM_S * 2)
        assert gone == [True], "who listens at our own relay is told no although the others are away"
        assert not one.witness.confirms()
        assert one.witness.findings() == ()
    async with served(ledger, relay) as one:
        assert one.witness.confirms()
