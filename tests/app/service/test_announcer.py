"""What is announced about connections: on every relay, the newest of it wins, and nothing unproven counts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kitestring.app.home.keyring import Keyring
from kitestring.app.service.announcer import ANNOUNCEMENT, Announcer
from kitestring.app.service.execute import execute
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.records import Message
from kitestring.base.transactions import SaveGrant
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag
from kitestring.transport.clock import SystemClock
from kitestring.transport.publications import Answer, PublishResult, Verdict
from tests.kit.chance import Counted
from tests.kit.changed import replace
from tests.kit.clock import EPOCH as NOW
from tests.kit.clock import WalkingClock

KEYRING = Keyring(bytes(range(32)))
GRANT = Grant(
    grant_id="g1", name="an app", wire="nwc", methods=frozenset({"pay_invoice"}),
    service_pubkey=KEYRING.connection_key("g1").public_hex,
)  # fmt: skip
REVOKED = replace(GRANT, version=2, revoked_at=NOW)
FIRST, SECOND = "ws://first", "ws://second"


@dataclass
class Row:
    url: str


class FakePool:
    """Two relays; those in ``down`` take nothing, those in ``refusing`` say no for good."""

    def __init__(self) -> None:
        self.published: list[Event] = []
        self.on: dict[str, list[Event]] = {FIRST: [], SECOND: []}
        self.down: set[str] = set()
        self.refusing: set[str] = set()
        self.shown: list[Event] = []

    def status(self) -> list[Row]:
        return [Row(url) for url in self.on]

    def connected_urls(self) -> list[str]:
        return [url for url in self.on if url not in self.down]

    async def publish(
        self, event: Event, relays: Iterable[str] | None = None, *, deadline_s: float, every: bool
    ) -> PublishResult:
        assert every
        self.published.append(event)
        verdicts = {url: self._verdict(url, event) for url in (self.on if relays is None else relays)}
        return PublishResult(all(one.answer is Answer.ACCEPTED for one in verdicts.values()), verdicts)

    def _verdict(self, url: str, event: Event) -> Verdict:
        if url in self.down:
            return Verdict(Answer.NONE)
        if url in self.refusing:
            return Verdict(Answer.REFUSED)
        self.on[url].append(event)
        return Verdict(Answer.ACCEPTED)

    def subscribe(self, _name: str, _filters: object, handler: Any, *, keys: list[str]) -> Any:
        assert keys == [GRANT.service_pubkey]
        for event in self.shown:
            handler(event, FIRST)
        return self

    def close(self) -> None:
        pass


@pytest.fixture
async def store(ledger: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(ledger, KEYRING.service_id)
    yield opened
    await opened.close()


async def save(store: SqliteStore, grant: Grant) -> None:
    await execute(store, f"save {grant.version}", "owner", (SaveGrant(grant),), {}, NOW)


def announcer(pool: Any, store: SqliteStore) -> Announcer:
    return Announcer(pool, store, KEYRING, WalkingClock(), Counted())


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
    caplog: pytest.LogCaptureFixture,
) -> None:
    pool, caplog.handler.level = FakePool(), logging.WARNING
    announce = announcer(pool, store)
    pool.down = {FIRST}
    with caplog.at_level(logging.WARNING, "kitestring.announce"):
        assert await announce.announce(GRANT)
    assert [FIRST in record.getMessage() for record in caplog.records] == [True]
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
    await announce.announce(REVOKED)
    await announce.announce(REVOKED)
    pool.down = {SECOND}
    await announce.publish_missing()
    pool.down = set()
    await announce.publish_missing()
    deleted = [[event.kind for event in events] for events in pool.on.values()]
    assert deleted == [[kinds.NWC_INFO, kinds.DELETE]] * 2
    assert first_tag(pool.on[FIRST][1], "e") == pool.on[FIRST][0].id
    await announce.publish_missing()
    await announce.keep_announcing([REVOKED])
    assert len(pool.published) == 4


async def test_an_info_event_that_no_relay_took_is_not_taken_for_announced(store: SqliteStore) -> None:
    pool = FakePool()
    announce = announcer(pool, store)
    pool.down = {FIRST, SECOND}
    assert not await announce.announce(GRANT)
    pool.down = set()
    assert await announce.announce(GRANT)
    assert len(pool.published) == 2
    assert await announce.announce(GRANT)
    assert len(pool.published) == 2


async def test_a_relay_that_refuses_for_good_is_not_asked_again_before_the_next_refresh(store: SqliteStore) -> None:
    pool = FakePool()
    announce = announcer(pool, store)
    pool.refusing = {FIRST}
    await announce.announce(GRANT)
    await announce.publish_missing()
    assert len(pool.published) == 1
    await announce.keep_announcing([GRANT])
    assert len(pool.published) == 2


async def test_only_a_genuine_info_event_counts_as_read_back(store: SqliteStore) -> None:
    pool = FakePool()
    announce = announcer(pool, store)
    await announce.announce(GRANT)
    pool.shown = [msgspec.structs.replace(pool.published[0], sig="00" * 64)]
    with pytest.raises(KitestringError, match="no relay shows"):
        await announce.read_back(GRANT)
    pool.shown += pool.published
    await announce.read_back(GRANT)


# ------------------------------------------------------------ as messages of the outbox


async def carried(announce: Announcer, grant_id: str) -> bool:
    """Whether an announcement of that grant is taken."""
    taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    announce.carry(Message("", ANNOUNCEMENT, b"", b"", NOW, grant_id.encode()), taken.set_result)
    return await taken


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


async def test_whoever_waits_for_an_announcement_waits_until_a_relay_has_it(store: SqliteStore) -> None:
    pool = FakePool()
    await save(store, GRANT)
    announce = Announcer(pool, store, KEYRING, SystemClock(), Counted())  # type: ignore[arg-type]  # a pool of paper
    waiting = asyncio.ensure_future(announce.announced(GRANT))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await carried(announce, "g1")
    assert await waiting


async def test_a_ledger_that_cannot_be_read_leaves_the_announcement_to_the_outbox(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: str) -> Grant | None:
        raise KitestringError(Reason.INTERNAL, "the database cannot be read")

    await save(store, GRANT)
    pool, announce = (pool := FakePool()), announcer(pool, store)
    with monkeypatch.context() as patched:
        patched.setattr(store, "grant", broken)
        assert not await carried(announce, "g1")
    assert "a connection is not announced yet: the database cannot be read" in caplog.text
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
