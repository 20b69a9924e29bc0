"""What is announced about connections, and that the newest of it wins at every relay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kitestring.app.announce import Announcer
from kitestring.app.keyring import Keyring
from kitestring.base.grants import Grant
from kitestring.nostr import kinds
from kitestring.nostr.event import Event
from kitestring.transport.publications import PublishResult
from tests.app.kit import NOW, Counted, StillClock

GRANT = Grant(grant_id="g1", name="an app", wire="nwc", methods=frozenset({"pay_invoice"}))


class FakePool:
    def __init__(self) -> None:
        self.published: list[Event] = []

    async def publish(self, event: Event, *, deadline_s: float) -> PublishResult:
        self.published.append(event)
        return PublishResult(True, {})


def announcer(pool: Any) -> Announcer:
    return Announcer(pool, Keyring(bytes(range(32))), StillClock(), Counted())


async def test_a_change_within_one_second_is_newer_than_what_it_replaces() -> None:
    pool = FakePool()
    announce = announcer(pool)
    await announce.publish_changed([GRANT])
    await announce.publish_changed([replace(GRANT, nip44_seen=True, version=2)])
    await announce.publish_changed([replace(GRANT, nip44_seen=True, version=3, revoked_at=NOW)])
    assert [(event.kind, event.created_at) for event in pool.published] == [
        (kinds.NWC_INFO, NOW), (kinds.NWC_INFO, NOW + 1), (kinds.DELETE, NOW + 2),
    ]  # fmt: skip


async def test_what_was_read_before_a_change_does_not_announce_the_old_state_again() -> None:
    pool = FakePool()
    announce = announcer(pool)
    await announce.publish_changed([replace(GRANT, nip44_seen=True, version=2)])
    assert await announce.publish_changed([GRANT]) == []
    assert len(pool.published) == 1
