"""What is announced about connections: on every relay, the newest of it wins, and nothing unproven counts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kitestring.app.home.keyring import Keyring
from kitestring.app.service.announcer import (
    ANNOUNCEMENT,
    DELETE_S,
    LOOK_ANEW_S,
    LOOK_S,
    OTHERS_S,
    REFRESH_S,
    Announcer,
)
from kitestring.app.service.execute import execute
from kitestring.app.service.receptions import Reception
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.ports import Clock
from kitestring.base.records import Message
from kitestring.base.transactions.owner import SaveGrant
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag
from kitestring.transport.changes import Changes
from kitestring.transport.publications import PublishResult, RelayAnswer, Verdict
from kitestring.wire.serve.nwc.table import not_served
from tests.kit.chance import Counted
from tests.kit.changed import replace
from tests.kit.clock import EPOCH as NOW
from tests.kit.clock import ManualClock, WalkingClock
from tests.kit.waiting import until

KEYRING = Keyring(bytes(range(32)))
GRANT = Grant(
    grant_id="g1", name="an app", wire="nwc", methods=frozenset({"pay_invoice"}),
    service_pubkey=KEYRING.connection_key("g1").public_hex,
)  # fmt: skip
OTHER = replace(GRANT, grant_id="g2", name="another app", service_pubkey=KEYRING.connection_key("g2").public_hex)
REVOKED = replace(GRANT, version=2, revoked_at=NOW)
FIRST, SECOND = "ws://first", "ws://second"


@dataclass
class Row:
    url: str
    connected: bool
    last_error: str
    connects: int


class Asked:
    """A subscription that has been answered."""

    def __init__(self, live: list[str]) -> None:
        self.live = live

    async def wait_eose(self, _timeout_s: float) -> bool:
        return bool(self.live)

    def live_on(self) -> list[str]:
        return self.live

    def close(self) -> None:
        pass


class FakePool:
    """Two relays; those in ``down`` take nothing, those in ``refusing`` say no for good, and those in ``forgetful``
    show nothing of what they have taken. Who waits for one that is not connected waits on ``clock``, by default in no
    time. ``connects`` counts how often each was connected."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.changes = Changes(clock or WalkingClock())
        self.published: list[Event] = []
        self.on: dict[str, list[Event]] = {FIRST: [], SECOND: []}
        self.down: set[str] = set()
        self.errors: dict[str, str] = {}
        self.refusing: set[str] = set()
        self.forgetful: set[str] = set()
        self.connects = 1
        self.under_way: dict[str, Verdict] = {}

    def status(self) -> list[Row]:
        up = [url not in self.down for url in self.on]
        return [
            Row(url, is_up, self.errors.get(url, ""), self.connects * is_up)
            for url, is_up in zip(self.on, up, strict=True)
        ]

    def subscribe(self, _name: str, source: Any, note: Any, *, keys: Sequence[str]) -> Asked:
        live = self.connected_urls()
        for url in live:
            for event in self.on[url]:
                (wanted,) = source(keys)
                if event.kind in wanted.kinds and event.pubkey in wanted.authors and url not in self.forgetful:
                    note(event, url)
        return Asked(live)

    def connected_urls(self) -> list[str]:
        return [url for url in self.on if url not in self.down]

    async def connected(self, count: int = 1, timeout_s: float = 20.0) -> bool:
        return await self.until(lambda: len(self.connected_urls()) >= count, timeout_s)

    async def until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        return await self.changes.until(holds, timeout_s)

    def connect(self, *urls: str) -> None:
        self.down -= set(urls)
        self.changes.notify()

    async def publish(
        self, event: Event, relays: Iterable[str] | None = None, *, deadline_s: float, every: bool
    ) -> PublishResult:
        assert every
        self.published.append(event)
        verdicts = {url: self._verdict(url, event) for url in (self.on if relays is None else relays)}
        return PublishResult(all(one.answer is RelayAnswer.ACCEPTED for one in verdicts.values()), verdicts)

    def _verdict(self, url: str, event: Event) -> Verdict:
        if url in self.down:
            return Verdict(RelayAnswer.NONE)
        if url in self.refusing:
            return Verdict(RelayAnswer.REFUSED, "blocked: members only")
        self.on[url].append(event)
        return Verdict(RelayAnswer.ACCEPTED)

    def verdicts(self, _event_id: str) -> dict[str, Verdict]:
        return self.under_way


@pytest.fixture
async def store(ledger: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(ledger, KEYRING.service_id)
    yield opened
    await opened.close()


async def save(store: SqliteStore, grant: Grant) -> None:
    await execute(store, f"save {grant.version}", "owner", (SaveGrant(grant),), {}, NOW)


def announcer(pool: Any, store: SqliteStore, clock: Clock | None = None) -> Announcer:
    return Announcer(pool, store, KEYRING, clock or WalkingClock(), Counted(), not_served(()))


def pass_a_day(clock: WalkingClock) -> None:
    clock.ms += 1_000 * (REFRESH_S + 1)


async def test_a_change_within_one_second_is_newer_than_what_it_replaces(store: SqliteStore) -> None:
    pool = FakePool()
    announce = announcer(pool, store)
    await announce.announce(GRANT)
    await announce.announce(replace(GRANT, nip44_seen=True, version=2))
    await announce.announce(replace(GRANT, nip44_seen=True, version=3, revoked_at=NOW))
    assert [(event.kind, event.created_at) for event in pool.published] == [
        (kinds.NWC_INFO, NOW), (kinds.NWC_INFO, NOW + 1), (kinds.DELETE, NOW + 2),
    ]  # fmt: skip
    assert first_tag(pool.published[2], "e") == pool.published[1].id


async def test_what_was_read_before_a_change_does_not_announce_the_old_state_again(store: SqliteStore) -> None:
    pool = FakePool()
    announce = announcer(pool, store)
    await announce.announce(replace(GRANT, nip44_seen=True, version=2))
    assert await announce.announce(GRANT)
    await announce.keep_announcing([GRANT])
    assert len(pool.published) == 1


async def test_a_relay_that_was_down_gets_the_same_event_as_soon_as_it_is_back(
    store: SqliteStore,
) -> None:
    pool = FakePool()
    announce = announcer(pool, store)
    pool.down = {FIRST}
    assert await announce.announce(GRANT)
    await announce.publish_missing()
    assert (len(pool.published), pool.on[FIRST]) == (1, [])
    pool.down = set()
    await announce.publish_missing()
    await announce.publish_missing()
    assert pool.on == {FIRST: pool.on[SECOND], SECOND: [pool.published[0]]}
    assert len(pool.published) == 2


async def test_a_deletion_that_no_relay_took_is_sent_again(store: SqliteStore) -> None:
    pool = FakePool()
    announce = announcer(pool, store)
    await announce.announce(GRANT)
    pool.down = {FIRST, SECOND}
    assert not await announce.announce(REVOKED)
    assert not await announce.announce(REVOKED)
    pool.down = {SECOND}
    await announce.publish_missing()
    pool.down = set()
    await announce.publish_missing()
    deleted = [[event.kind for event in events] for events in pool.on.values()]
    assert deleted == [[kinds.NWC_INFO, kinds.DELETE]] * 2
    assert first_tag(pool.on[FIRST][1], "e") == pool.on[FIRST][0].id
    await announce.publish_missing()
    await announce.keep_announcing([REVOKED])
    assert len(pool.published) == 3
    assert await announce.announce(REVOKED)


async def test_an_info_event_that_no_relay_took_is_not_taken_for_announced(store: SqliteStore) -> None:
    pool = FakePool()
    announce = announcer(pool, store)
    pool.down = {FIRST, SECOND}
    assert not await announce.announce(GRANT)
    pool.down = set()
    assert await announce.announce(GRANT)
    assert len(pool.published) == 1
    assert await announce.announce(GRANT)
    assert len(pool.published) == 1


async def test_a_relay_that_refuses_for_good_is_asked_once_more_at_the_next_look_and_then_once_a_day(
    store: SqliteStore,
) -> None:
    pool, clock = FakePool(), WalkingClock()
    announce = announcer(pool, store, clock)
    pool.refusing = {FIRST}
    await announce.announce(GRANT)
    await announce.publish_missing()
    assert len(pool.published) == 1
    for _ in range(3):
        await announce.keep_announcing([GRANT])
        await announce.publish_missing()
        assert len(pool.published) == 2
    pass_a_day(clock)
    await announce.keep_announcing([GRANT])
    assert len(pool.published) == 3


async def test_the_words_of_each_relay_are_known_as_long_as_it_has_not_taken_what_is_said(store: SqliteStore) -> None:
    pool, clock = FakePool(), WalkingClock()
    announce = announcer(pool, store, clock)
    assert announce.said(GRANT) == {}
    pool.refusing = {FIRST}
    await announce.announce(GRANT)
    refused = Verdict(RelayAnswer.REFUSED, "blocked: members only")
    assert announce.said(GRANT) == {FIRST: refused, SECOND: Verdict(RelayAnswer.ACCEPTED)}
    pool.refusing = set()
    await announce.keep_announcing([GRANT])
    assert {url: word.answer for url, word in announce.said(GRANT).items()} == dict.fromkeys(
        (FIRST, SECOND), RelayAnswer.ACCEPTED
    )
    pool.under_way = {FIRST: Verdict(RelayAnswer.LATER, "rate-limited: slow down")}
    pool.down = {SECOND}
    pass_a_day(clock)
    await announce.keep_announcing([GRANT])
    assert announce.said(GRANT)[FIRST].message == "rate-limited: slow down"


# ------------------------------------------------------------ kept alive without a flood


async def test_what_every_relay_shows_is_said_anew_once_a_day_and_not_before(store: SqliteStore) -> None:
    pool, clock = FakePool(), WalkingClock()
    announce = announcer(pool, store, clock)
    for day in range(1, 4):
        for _ in range(5):
            await announce.keep_announcing([GRANT, OTHER])
        assert len(pool.published) == 2 * day
        pass_a_day(clock)


async def test_a_relay_that_has_lost_what_it_had_is_told_and_no_other(store: SqliteStore) -> None:
    pool = FakePool()
    announce = announcer(pool, store)
    await announce.keep_announcing([GRANT, OTHER])
    pool.on[FIRST].clear()
    await announce.keep_announcing([GRANT, OTHER])
    assert [len(pool.on[url]) for url in (FIRST, SECOND)] == [2, 2]
    assert [event.content for event in pool.on[FIRST]] == [event.content for event in pool.on[SECOND]]
    await announce.keep_announcing([GRANT, OTHER])
    assert len(pool.published) == 4


async def test_a_relay_that_has_lost_it_is_told_also_while_another_is_away(store: SqliteStore) -> None:
    pool = FakePool()
    announce = announcer(pool, store)
    pool.down = {SECOND}
    await announce.announce(GRANT)
    pool.on[FIRST].clear()
    await announce.keep_announcing([GRANT])
    assert len(pool.on[FIRST]) == 1
    pool.down = set()
    await announce.publish_missing()
    assert pool.on[SECOND] == pool.on[FIRST]


async def test_a_relay_that_says_it_has_it_and_never_shows_it_is_told_twice_a_day(store: SqliteStore) -> None:
    pool, clock = FakePool(), WalkingClock()
    announce = announcer(pool, store, clock)
    pool.forgetful = {FIRST}
    for day in range(1, 3):
        for _ in range(5):
            await announce.keep_announcing([GRANT])
        assert (len(pool.on[FIRST]), len(pool.on[SECOND])) == (2 * day, day)
        pass_a_day(clock)


async def test_a_forged_or_outdated_or_future_event_is_no_reason_to_be_silent(store: SqliteStore) -> None:
    old, pool, clock = FakePool(), FakePool(), WalkingClock()
    await announcer(old, store).announce(replace(GRANT, methods=frozenset()))
    await announcer(old, store).announce(GRANT)
    outdated, right = old.published
    forged = msgspec.structs.replace(right, id="00" * 32, sig="00" * 64)
    ahead = SkewedClock()
    ahead.skew_s = 86_400
    await announcer(old, store, ahead).announce(GRANT)
    for event in (outdated, forged, old.published[-1]):
        pool.on = {FIRST: [event], SECOND: [event]}
        pool.published.clear()
        await announcer(pool, store, clock).keep_announcing([GRANT])
        assert len(pool.published) == 1
    pool.on, pool.published = {FIRST: [right], SECOND: [right]}, []
    await announcer(pool, store, clock).keep_announcing([GRANT])
    assert pool.published == []


async def test_a_new_process_tells_nobody_what_relays_show_already_and_the_others_the_same_event(
    store: SqliteStore,
) -> None:
    pool, clock = FakePool(), WalkingClock()
    await announcer(pool, store).announce(GRANT)
    (said,) = pool.published
    pool.on[SECOND].clear()
    announce = announcer(pool, store, clock)
    await announce.keep_announcing([GRANT])
    assert pool.on == {FIRST: [said], SECOND: [said]}
    await announce.announce(REVOKED)
    assert first_tag(pool.published[-1], "e") == said.id
    later = announcer(pool, store, clock)
    pool.on = {FIRST: [said], SECOND: [said]}
    pass_a_day(clock)
    for _ in range(2):
        await later.keep_announcing([GRANT])
    assert pool.published[-1].created_at > said.created_at + REFRESH_S


async def test_a_look_is_due_at_the_start_each_hour_and_soon_after_a_relay_was_connected_anew(
    store: SqliteStore,
) -> None:
    pool, clock = FakePool(), WalkingClock()
    announce = announcer(pool, store, clock)

    async def due_after() -> int:
        """Whole minutes after a look until the next one is due."""
        await announce.keep_announcing([])
        return await minutes()

    async def minutes() -> int:
        for passed in range(100):
            if announce.is_look_due():
                return passed
            clock.ms += 60_000
        raise AssertionError("no look is ever due")

    assert announce.is_look_due()
    assert await due_after() == LOOK_S // 60
    await announce.keep_announcing([])
    pool.connects += 1
    assert await minutes() == LOOK_ANEW_S // 60
    assert await due_after() == LOOK_S // 60


# ------------------------------------------------------------ at the same time


class SlowPool(FakePool):
    """Relays that answer once ``may_answer`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def publish(self, event: Event, *args: Any, **how: Any) -> PublishResult:
        result = await super().publish(event, *args, **how)
        await self.may_answer.wait()
        return result


async def test_two_announcements_of_one_version_at_the_same_time_are_one(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    pool = SlowPool()
    announce = announcer(pool, store)
    first, second = (asyncio.ensure_future(announce.announce(GRANT)) for _ in range(2))
    round_ = asyncio.ensure_future(announce.keep_announcing([GRANT]))
    await until(lambda: pool.published)
    await announce.publish_missing()
    assert not second.done()
    pool.may_answer.set()
    await round_
    assert await first
    assert await second
    assert len(pool.published) == 1
    assert warnings(caplog) == []


async def test_a_change_waits_for_the_announcement_of_the_one_before_and_is_said_then(store: SqliteStore) -> None:
    pool = SlowPool()
    announce = announcer(pool, store)
    first = asyncio.ensure_future(announce.announce(GRANT))
    await until(lambda: pool.published)
    second = asyncio.ensure_future(announce.announce(replace(GRANT, version=2, methods=frozenset())))
    pool.may_answer.set()
    assert await first
    assert await second
    assert [event.content for event in pool.published] == ["pay_invoice get_info", "get_info"]


# ------------------------------------------------------------ before a relay is connected


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_at_a_start_announcements_wait_for_the_relays_and_nothing_is_warned_of(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    """As a start is: a change is in the outbox, the first refresh round begins, and no relay is connected yet."""
    clock = ManualClock()
    pool = FakePool(clock)
    pool.down = {FIRST, SECOND}
    await save(store, GRANT)
    announce = announcer(pool, store)
    carrying = asyncio.ensure_future(carried(announce, "g1"))
    round_ = asyncio.ensure_future(announce.keep_announcing([GRANT, OTHER]))
    await until(lambda: clock.sleeps.count(20.0) == 2)
    await announce.publish_missing()
    assert (pool.published, warnings(caplog)) == ([], [])
    pool.connect(FIRST)
    await until(lambda: clock.sleeps.count(OTHERS_S) == 2)
    await announce.publish_missing()
    assert (pool.published, warnings(caplog)) == ([], [])
    pool.connect(SECOND)
    assert await carrying
    await round_
    assert sorted(event.pubkey for event in pool.on[FIRST]) == sorted((GRANT.service_pubkey, OTHER.service_pubkey))
    assert pool.on[FIRST] == pool.on[SECOND] == pool.published
    assert warnings(caplog) == []


async def test_a_relay_that_has_failed_before_keeps_no_change_from_a_good_one(store: SqliteStore) -> None:
    """Whoever makes a connection waits two seconds for the words of the relays: the good one must have been asked."""
    clock = ManualClock()
    pool = FakePool(clock)
    pool.down, pool.errors = {SECOND}, {SECOND: "connection refused"}
    await save(store, GRANT)
    assert await announcer(pool, store).announce(GRANT)
    assert len(pool.on[FIRST]) == 1
    assert OTHERS_S not in clock.sleeps


async def test_without_a_relay_one_line_says_which_relay_misses_how_many_connections_until_it_has_them(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    pool, clock = FakePool(), WalkingClock()
    pool.down = {FIRST, SECOND}
    announce = announcer(pool, store, clock)
    assert not await announce.announce(GRANT)
    for _ in range(3):
        await announce.keep_announcing([GRANT, OTHER])
        assert not await announce.announce(OTHER)
        await announce.publish_missing()
    missing = "announcements of connections are missing on relays, and are sent again"
    assert warnings(caplog) == [f"{missing}: {FIRST} misses 2, {SECOND} misses 2"]
    assert pool.published == []
    pool.down = {FIRST}
    await announce.publish_missing()
    pool.down = set()
    await announce.publish_missing()
    assert len(pool.on[FIRST]) == len(pool.on[SECOND]) == 2
    pool.down = {FIRST}
    pass_a_day(clock)
    await announce.keep_announcing([GRANT])
    assert warnings(caplog)[1:] == [f"{missing}: {FIRST} misses 1"]


async def test_what_every_relay_refuses_is_warned_of_until_one_takes_it(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    pool = FakePool()
    pool.refusing = {FIRST, SECOND}
    announce = announcer(pool, store)
    assert not await announce.announce(GRANT)
    await announce.publish_missing()
    assert [line.count("misses 1 (blocked: members only)") for line in warnings(caplog)] == [2]
    pool.refusing = {FIRST}
    assert await announce.announce(GRANT)
    await announce.publish_missing()
    assert announce._behind == set()


async def test_a_deletion_that_every_relay_refuses_is_given_up_after_a_day(store: SqliteStore) -> None:
    clock, pool = WalkingClock(), FakePool()
    announce = Announcer(pool, store, KEYRING, clock, Counted())  # type: ignore[arg-type]  # a pool of paper
    await announce.announce(GRANT)
    pool.refusing = {FIRST, SECOND}
    for _ in range(3):
        assert not await announce.announce(REVOKED)
        await announce.keep_announcing([REVOKED])
    clock.ms += 1_000 * (DELETE_S + 1)
    assert await announce.announce(REVOKED)
    assert announce._behind == set()
    count = len(pool.published)
    await announce.keep_announcing([REVOKED])
    assert len(pool.published) == count


async def test_a_round_looks_at_those_that_miss_something_and_at_no_others(store: SqliteStore) -> None:
    pool = FakePool()
    announce = announcer(pool, store)
    await announce.keep_announcing([OTHER])
    assert announce._behind == set()
    pool.down = {FIRST}
    await announce.announce(GRANT)
    assert announce._behind == {announce._of(GRANT)}
    pool.down = set()
    await announce.publish_missing()
    assert announce._behind == set()


async def test_a_stop_leaves_what_waits_for_a_relay_to_the_outbox_of_the_next_start(store: SqliteStore) -> None:
    clock = ManualClock()
    pool = FakePool(clock)
    pool.down = {FIRST, SECOND}
    await save(store, GRANT)
    announce = announcer(pool, store)
    carrying = asyncio.ensure_future(carried(announce, "g1"))
    await until(lambda: clock.sleeps)
    await announce.stop()
    assert (announce._background._tasks, carrying.done()) == (set(), False)
    carrying.cancel()


# ------------------------------------------------------------ as messages of the outbox


async def carried(announce: Announcer, grant_id: str) -> bool:
    """Whether an announcement of that grant is taken."""
    said: asyncio.Future[Reception] = asyncio.get_running_loop().create_future()
    announce.carry(Message("", ANNOUNCEMENT, b"", b"", NOW, grant_id.encode()), said.set_result)
    return await said is Reception.TAKEN


async def test_an_announcement_tells_the_grant_as_it_is_stored_now(store: SqliteStore) -> None:
    pool = FakePool()
    await save(store, replace(GRANT, methods=frozenset({"get_balance"}), version=7))
    announce = announcer(pool, store)
    assert await carried(announce, "g1")
    assert pool.published[0].content == "get_balance get_info"
    assert await carried(announce, "g1")
    assert len(pool.published) == 1


async def test_an_announcement_that_no_relay_takes_is_tried_again_by_the_outbox(store: SqliteStore) -> None:
    pool = FakePool()
    await save(store, GRANT)
    announce = announcer(pool, store)
    pool.down = {FIRST, SECOND}
    assert not await carried(announce, "g1")
    pool.down = {FIRST}
    assert await carried(announce, "g1")


async def test_nothing_is_announced_of_a_grant_that_is_no_connection_or_is_gone(store: SqliteStore) -> None:
    pool = FakePool()
    await save(store, replace(GRANT, wire="owner"))
    announce = announcer(pool, store)
    assert await carried(announce, "g1")
    assert await carried(announce, "nobody")
    assert pool.published == []


@pytest.mark.parametrize(
    "error", [KitestringError(Reason.INTERNAL, "the database cannot be read"), ValueError("a bug")], ids=["disk", "bug"]
)
async def test_what_cannot_be_announced_now_is_left_to_the_outbox(
    error: Exception, store: SqliteStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: str) -> Grant | None:
        raise error

    await save(store, GRANT)
    pool, announce = (pool := FakePool()), announcer(pool, store)
    with monkeypatch.context() as patched:
        patched.setattr(store, "grant", broken)
        assert not await carried(announce, "g1")
    assert "a connection is not announced yet" in caplog.text
    assert str(error) in caplog.text
    assert await carried(announce, "g1")


async def test_what_is_said_again_late_does_not_count_for_what_was_said_meanwhile(store: SqliteStore) -> None:
    """The second relay missed the first version, and takes it while the next one is being made."""
    pool = FakePool()
    announce = announcer(pool, store)
    pool.down = {SECOND}
    await announce.announce(GRANT)
    pool.down = set()
    publish = pool.publish

    async def overtaken(event: Event, *args: Any, **how: Any) -> PublishResult:
        pool.publish = publish  # type: ignore[method-assign]  # once
        result = await publish(event, *args, **how)
        pool.down = {SECOND}
        await announce.announce(replace(GRANT, version=2, methods=frozenset()))
        pool.down = set()
        return result

    pool.publish = overtaken  # type: ignore[method-assign]  # for one publication
    await announce.publish_missing()
    assert [event.content for event in pool.on[SECOND]] == ["pay_invoice get_info"]
    await announce.publish_missing()
    assert pool.on[SECOND][-1].content == "get_info"


# ------------------------------------------------------------ an app that has asked for its connection elsewhere


class Elsewhere:
    """In the place of the rendezvous: relays that take what is told, or not."""

    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.told: list[tuple[Event, list[str]]] = []

    def elsewhere(self, named: Iterable[str], own: Iterable[str]) -> list[str]:
        return [url for url in named if url not in own]

    async def tell(self, event: Event, _key: object, urls: list[str]) -> bool:
        self.told.append((event, urls))
        return self.takes


APPS = replace(GRANT, asked_relays=("wss://theirs", FIRST), asked_state="9f" * 16, created_at=NOW)


def with_elsewhere(store: SqliteStore, there: Any, clock: Clock) -> Announcer:
    pool: Any = FakePool()
    return Announcer(pool, store, KEYRING, clock, Counted(), rendezvous=there)


async def test_an_app_that_asked_is_told_where_it_waits_and_of_the_end_too(store: SqliteStore) -> None:
    there = Elsewhere()
    announce = with_elsewhere(store, there, WalkingClock())
    await save(store, APPS)
    assert await carried(announce, "g1")
    await save(store, replace(APPS, version=2, revoked_at=NOW))
    assert await carried(announce, "g1")
    assert [(event.kind, urls) for event, urls in there.told] == [
        (kinds.NWC_INFO, ["wss://theirs"]), (kinds.DELETE, ["wss://theirs"]),
    ]  # fmt: skip
    assert first_tag(there.told[0][0], "state") == "9f" * 16


async def test_where_it_waits_at_ours_or_did_not_ask_nobody_else_is_told(store: SqliteStore) -> None:
    there = Elsewhere()
    announce = with_elsewhere(store, there, WalkingClock())
    for version, relays in enumerate(((), (FIRST, SECOND)), 1):
        await save(store, replace(APPS, version=version, asked_relays=relays))
        assert await carried(announce, "g1")
    assert there.told == []


async def test_a_relay_of_theirs_that_takes_nothing_is_tried_for_a_day(store: SqliteStore) -> None:
    there, clock = Elsewhere(takes=False), WalkingClock()
    announce = with_elsewhere(store, there, clock)
    await save(store, APPS)
    for _ in range(2):
        assert not await carried(announce, "g1")
    pass_a_day(clock)
    assert await carried(announce, "g1")


# ------------------------------------------------------------ after a crash


async def test_a_revocation_is_told_also_by_a_process_that_has_announced_nothing(store: SqliteStore) -> None:
    pool = FakePool()
    await announcer(pool, store).announce(GRANT)
    await save(store, REVOKED)  # and the process died
    announce = announcer(pool, store)
    assert await carried(announce, "g1")
    for events in pool.on.values():
        assert [event.kind for event in events] == [kinds.NWC_INFO, kinds.DELETE]
        assert events[1].tags == [["a", f"{kinds.NWC_INFO}:{GRANT.service_pubkey}:"], ["k", str(kinds.NWC_INFO)]]
    await announce.keep_announcing([REVOKED])
    assert len(pool.published) == 2


# ------------------------------------------------------------ a clock that was ahead


class SkewedClock(WalkingClock):
    """Ahead of the relays' clock by ``skew_s``."""

    skew_s = 0

    def now(self) -> int:
        return super().now() + self.skew_s


class StrictPool(FakePool):
    """Relays that refuse what is from the future by more than a quarter of an hour, for good or as ``word`` says."""

    def __init__(self, clock: SkewedClock, word: RelayAnswer = RelayAnswer.REFUSED) -> None:
        super().__init__()
        self.clock, self.word = clock, word

    def _verdict(self, url: str, event: Event) -> Verdict:
        if url not in self.down and event.created_at > self.clock.now() - self.clock.skew_s + 900:
            return Verdict(self.word)
        return super()._verdict(url, event)


@pytest.mark.parametrize(
    ("word", "down"), [(RelayAnswer.REFUSED, ()), (RelayAnswer.REFUSED, (SECOND,)), (RelayAnswer.LATER, ())],
    ids=["refused", "refused, the other away", "asked to try later"],
)  # fmt: skip
@pytest.mark.parametrize("grant", [GRANT, REVOKED], ids=["alive", "revoked"])
async def test_what_a_clock_that_was_ahead_has_announced_is_announced_anew_once_the_clock_is_right(
    store: SqliteStore, grant: Grant, word: RelayAnswer, down: tuple[str, ...]
) -> None:
    clock = SkewedClock()
    pool = StrictPool(clock, word)
    pool.down = set(down)
    announce = Announcer(pool, store, KEYRING, clock, Counted())  # type: ignore[arg-type]  # a pool of paper
    clock.skew_s = 86_400
    assert not await announce.announce(grant)
    clock.skew_s = 0
    await announce.keep_announcing([grant])
    assert await announce.announce(grant)
    assert pool.on[FIRST][0].created_at <= clock.now() + 1


async def test_what_a_relay_has_taken_from_the_future_is_still_surpassed(store: SqliteStore) -> None:
    clock, pool = SkewedClock(), FakePool()
    announce = Announcer(pool, store, KEYRING, clock, Counted())  # type: ignore[arg-type]  # a pool of paper
    clock.skew_s = 86_400
    await announce.announce(GRANT)
    clock.skew_s = 0
    await announce.announce(replace(GRANT, version=2, methods=frozenset()))
    old, new = pool.published
    assert new.created_at == old.created_at + 1
