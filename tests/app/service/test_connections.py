"""Connections are announced and listened to, also when relays or requests come late."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.home.config import Config
from kitestring.app.home.keyring import Keyring
from kitestring.app.service import announcer, background, connections
from kitestring.app.service.core import Core, Place
from kitestring.app.service.execute import execute
from kitestring.app.service.gateway import Gateway
from kitestring.app.service.relay_word import RelayWord
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.records import Message, Request
from kitestring.base.transactions.answers import Claimed
from kitestring.base.transactions.feed import ForgetNews
from kitestring.base.transactions.owner import Execute, SaveGrant
from kitestring.base.transactions.service import NoteUses
from kitestring.crypto.keys import SecretKey
from kitestring.engine.feed import Feed
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag, sign_event
from kitestring.relay.server import Relay
from kitestring.relay.vouched import VouchedKeys
from kitestring.transport.clock import SystemClock
from kitestring.wire.envelope import decrypt, request_event, shared_secret
from kitestring.wire.registry import KINDS_OF
from tests.kit.changed import replace
from tests.kit.clock import STEPS_S
from tests.kit.relay.client import Client, as_object, client
from tests.kit.waiting import until

KEYRING = Keyring(b"\x07" * 32)
APP, OTHER_APP = SecretKey(b"\x01" * 32), SecretKey(b"\x02" * 32)


class SteppedClock(SystemClock):
    """The clock of the machine, whose wall was set wrong."""

    def __init__(self, skew_s: int) -> None:
        self.skew_s = skew_s

    def now(self) -> int:
        return super().now() + self.skew_s


@asynccontextmanager
async def opened(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[Relay, Core]]:
    """A relay, and a service that is not started yet."""
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as relay:
        place = Place(tmp_path / "ledger.db", tmp_path, (relay.url,))
        core = await Core.open(Config(tmp_path, **settings), place, KEYRING, clock=SystemClock(), entropy=os.urandom)
        yield relay, core
        await core.stop(1)


async def add_connection(core: Core, caller: str = "ab" * 32, link_salt: bytes = b"") -> None:
    grant = Grant(
        grant_id="app", name="app", wire="nwc", caller=caller, methods=frozenset({"get_balance"}),
        service_pubkey=KEYRING.connection_key("app").public_hex, link_salt=link_salt,
    )  # fmt: skip
    request = Request("ctl:1", "control", "owner", b"", b"", 1, 1)
    answer = await core.store.apply(Execute(request, (SaveGrant(grant),), Message("ctl:1", "reply", b"{}", b"", 1)))
    assert isinstance(answer, Claimed)


async def test_connections_are_announced_also_when_the_first_relay_comes_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as (relay, core):
        await add_connection(core)
        connected, answers = core.pool.connected, [False]

        async def late(*how: Any) -> bool:
            return answers.pop() if answers else await connected(*how)

        monkeypatch.setattr(core.pool, "connected", late)
        await core.start()
        wanted = {"kinds": [kinds.NWC_INFO], "authors": [KEYRING.connection_key("app").public_hex]}
        async with client(relay) as reader, asyncio.timeout(20):
            while not (found := await reader.ask("info", wanted)):
                pass
        assert found[0].content == "get_balance get_info"


async def test_a_relay_that_comes_back_is_told_about_the_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MISSING_S", 0.05)
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as gone:
        url, port = gone.url, int(gone.url.rpartition(":")[2].strip("/"))
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as there:
        place = Place(tmp_path / "ledger.db", tmp_path, (url, there.url))
        core = await Core.open(Config(tmp_path), place, KEYRING, clock=SystemClock(), entropy=os.urandom)
        try:
            await add_connection(core)
            await core.start()
            wanted = {"kinds": [kinds.NWC_INFO], "authors": [KEYRING.connection_key("app").public_hex]}
            async with client(there) as reader, asyncio.timeout(20):
                while not await reader.ask("info", wanted):
                    pass
            await gone.start("127.0.0.1", port)
            async with client(gone) as reader, asyncio.timeout(20):
                while not await reader.ask("info", wanted):
                    pass
        finally:
            await core.stop(1)
            await gone.stop()


async def test_where_a_relay_wants_to_know_who_listens_a_connection_made_while_running_is_heard(tmp_path: Path) -> None:
    async with Relay(None, clock=SystemClock(), entropy=os.urandom, auth=True) as relay:
        place = Place(tmp_path / "ledger.db", tmp_path, (relay.url,))
        core = await Core.open(Config(tmp_path), place, KEYRING, clock=SystemClock(), entropy=os.urandom)
        try:
            await core.start()
            assert await core.listening(20)
            await add_connection(core)
            await core.connections.grant_changed("app")
            (carried,) = await core.connections.carried()
            assert (carried.asked, carried.unheard) == (sum(map(len, KINDS_OF.values())), set())
        finally:
            await core.stop(1)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("step_s", STEPS_S)
async def test_a_clock_that_was_wrong_at_the_start_leaves_the_service_hearing(
    tmp_path: Path, step_s: int, sign: int
) -> None:
    clock = SteppedClock(sign * step_s)
    async with Relay(None, clock=SystemClock(), entropy=os.urandom) as relay:
        place = Place(tmp_path / "ledger.db", tmp_path, (relay.url,))
        core = await Core.open(Config(tmp_path), place, KEYRING, clock=clock, entropy=os.urandom)
        try:
            await add_connection(core, APP.public_hex)
            await core.start()
            assert await core.listening(20)
            clock.skew_s = 0
            key = KEYRING.connection_key("app")
            async with client(relay) as app:
                await app.ask("r", {"kinds": [kinds.NWC_RESPONSE]})
                await app.send("EVENT", as_object(late(kinds.NWC_REQUEST, key, '{"method":"get_balance"}', 0)))
                frames = [await app.receive() for _ in range(2)]
            (reply,) = [frame[2] for frame in frames if frame[0] == "EVENT"]
            assert ["p", APP.public_hex] in reply["tags"]
        finally:
            await core.stop(1)


def late(kind: int, key: SecretKey, plaintext: str, age_s: int) -> Event:
    now = SystemClock().now() - age_s
    return request_event(
        APP, kind=kind, service=key.public_hex, plaintext=plaintext, cipher="nip44",
        shared=shared_secret(APP, key.public_hex, "nip44"), entropy=os.urandom, now=now,
    )  # fmt: skip


async def replies(peer: Client, count: int) -> dict[str | None, Any]:
    """What the service has told the app, by request."""
    found: list[Event] = []
    while len({reply.id for reply in found}) < count:
        wanted = {"kinds": [kinds.OFFER, kinds.NWC_RESPONSE], "#p": [APP.public_hex]}
        found = await peer.ask("replies", wanted)
    return {
        first_tag(reply, "e"): json.loads(decrypt(reply.content, "nip44", shared_secret(APP, reply.pubkey, "nip44")))
        for reply in found
    }


async def test_requests_that_were_sent_while_nobody_listened_are_told_that_they_are_too_old(tmp_path: Path) -> None:
    sent = [
        late(kinds.OFFER, KEYRING.service_key, '{"offer":"x"}', 400),
        late(kinds.NWC_REQUEST, KEYRING.connection_key("app"), '{"method":"get_balance"}', 3_600),
        late(kinds.NWC_REQUEST, KEYRING.connection_key("app"), '{"method":"get_balance"}', 90_000),
    ]
    async with opened(tmp_path) as (relay, core), client(relay) as peer, asyncio.timeout(20):
        await add_connection(core, APP.public_hex)
        for event in sent:
            assert (await peer.publish(event))[0] is True
        await core.start()
        told = await replies(peer, 2)
        assert set(told) == {sent[0].id, sent[1].id}
        assert (told[sent[0].id]["code"], told[sent[0].id]["delta"]["max_delta_ms"]) == (2, 300_000)
        assert told[sent[1].id]["error"]["code"] == "OTHER"


async def test_all_fresh_requests_that_came_in_meanwhile_are_received(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vouched = VouchedKeys()
    sent = [late(kinds.NWC_REQUEST, KEYRING.connection_key("app"), f'{{"n":{number}}}', 0) for number in range(600)]
    received: set[str] = set()
    monkeypatch.setattr(Gateway, "receive", lambda _, event, url: received.add(event.id))
    async with Relay(None, clock=SystemClock(), entropy=os.urandom, vouched=vouched) as relay, client(relay) as peer:
        for event in sent:
            assert (await peer.publish(event))[0] is True
        headers = {relay.url: relay.own_headers}
        place = Place(tmp_path / "ledger.db", tmp_path, (relay.url,), vouched, headers)
        core = await Core.open(Config(tmp_path), place, KEYRING, clock=SystemClock(), entropy=os.urandom)
        try:
            await add_connection(core, APP.public_hex)
            await core.start()
            assert await core.listening(20)
        finally:
            await core.stop(1)
    assert received == {event.id for event in sent}


@pytest.mark.parametrize(("accept", "code"), [(True, 1), (False, 6)])
async def test_callers_without_a_version_are_served_unless_the_owner_says_no(
    tmp_path: Path, accept: bool, code: int
) -> None:
    async with opened(tmp_path, accept_legacy_offers=accept) as (relay, core), client(relay) as peer:
        await core.start()
        versioned = late(kinds.OFFER, KEYRING.service_key, '{"offer":"x"}', 0)
        event = sign_event(
            APP, kind=kinds.OFFER, tags=versioned.tags[:1], content=versioned.content, created_at=versioned.created_at
        )
        async with asyncio.timeout(20):
            await peer.publish(event)
            assert (await replies(peer, 1))[event.id]["code"] == code


# ------------------------------------------------------------ changes


async def shown(relay: Relay) -> list[Event]:
    """Info events of the connection that a relay shows."""
    async with client(relay) as reader:
        return await reader.ask("i", {"kinds": [kinds.NWC_INFO], "authors": [KEYRING.connection_key("app").public_hex]})


async def save(core: Core, **changes: Any) -> None:
    """Change the stored connection, as another process would."""
    grant = await core.store.grant("app")
    assert grant is not None
    changed = replace(grant, version=grant.version + 1, **changes)
    await execute(core.store, f"v{changed.version}", "owner", (SaveGrant(changed),), {}, core.clock.now())


async def test_a_changed_connection_can_be_found_once_relays_say_so_and_an_ended_one_no_more(tmp_path: Path) -> None:
    async with opened(tmp_path) as (relay, core), asyncio.timeout(20):
        await core.start()
        await add_connection(core)
        await core.connections.grant_changed("app")
        grant = await core.store.grant("app")
        assert grant is not None
        grant = replace(grant, relays=(relay.url,))
        assert await core.connections.relay_words(grant) == (RelayWord(relay.url, True),)
        assert [event.content for event in await shown(relay)] == ["get_balance get_info"]
        await save(core, revoked_at=core.clock.now())
        await core.connections.grant_changed("app")

        async def hidden() -> bool:
            return await shown(relay) == []

        await until(hidden)


async def test_the_relay_of_a_service_is_told_its_keys_and_those_of_its_apps_as_long_as_they_have_a_connection(
    tmp_path: Path,
) -> None:
    vouched = VouchedKeys()
    place = Place(tmp_path / "ledger.db", tmp_path, ("ws://127.0.0.1:1",), vouched)
    core = await Core.open(Config(tmp_path), place, KEYRING, clock=SystemClock(), entropy=os.urandom)
    try:
        await add_connection(core, APP.public_hex)
        await core.connections.know()
        assert vouched.own == {KEYRING.service_id, KEYRING.connection_key("app").public_hex}
        assert vouched.known == {APP.public_hex}
        await save(core, caller=OTHER_APP.public_hex)
        await core.connections.know()
        assert vouched.known == {OTHER_APP.public_hex}
        await save(core, revoked_at=core.clock.now())
        await core.connections.know()
        assert vouched.known == set()
    finally:
        await core.stop(1)


def debit_grant(**more: Any) -> Grant:
    members = {"grant_id": "g1", "name": "g1", "wire": "debits", "caller": APP.public_hex, "pointer_id": "till"}
    return Grant(**(members | more))


async def store(core: Core, grant: Grant) -> None:
    writes = (SaveGrant(grant),)
    assert await execute(core.store, f"{grant.grant_id}:{grant.version}", "owner", writes, {}, core.clock.now()) is None


def known_as(core: Core) -> str:
    """As what the app is known over debits."""
    caller = core.gateway._callers.find(kinds.DEBIT, KEYRING.service_id, APP.public_hex)
    assert caller is not None
    return caller.known


async def test_a_debit_grant_that_is_made_or_revoked_by_anybody_is_heard_of_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, core), asyncio.timeout(20):
        await core.start()
        await until(lambda: core.feed._readers)
        assert known_as(core) == ""
        await store(core, debit_grant(grant_id="till", name="till", caller=""))
        await store(core, debit_grant())
        await until(lambda: known_as(core) == "g1")
        await store(core, debit_grant(version=2, revoked_at=core.clock.now()))
        await until(lambda: known_as(core) == "")
        assert core.gateway.keys() == [KEYRING.service_id]


async def test_debit_grants_are_known_from_the_start_and_announced_to_nobody(tmp_path: Path) -> None:
    async with opened(tmp_path) as (relay, core), asyncio.timeout(20):
        await store(core, debit_grant(grant_id="till", name="till", caller="", relays=(relay.url,)))
        await store(core, debit_grant())
        await core.start()
        assert known_as(core) == "g1"
        assert core.gateway.keys() == [KEYRING.service_id]
        await core.announcer.publish_missing()
        assert await shown(relay) == []
        for grant_id in ("g1", "till"):
            grant = await core.store.grant(grant_id)
            assert grant is not None
            assert await core.connections.relay_words(grant) == ()


async def test_the_relay_of_a_service_has_room_for_who_may_debit_until_the_last_grant_is_revoked(
    tmp_path: Path,
) -> None:
    vouched = VouchedKeys()
    place = Place(tmp_path / "ledger.db", tmp_path, ("ws://127.0.0.1:1",), vouched)
    core = await Core.open(Config(tmp_path), place, KEYRING, clock=SystemClock(), entropy=os.urandom)
    try:
        await store(core, debit_grant(grant_id="till", name="till", caller=""))
        await store(core, debit_grant())
        await core.connections.know()
        assert (vouched.known, vouched.own) == ({APP.public_hex}, {KEYRING.service_id})
        await store(core, debit_grant(grant_id="g2", name="g2", pointer_id="another"))
        await core.connections.grant_changed("g2")
        for grant_id, left in (("g1", {APP.public_hex}), ("g2", set())):
            pointer = {"g1": "till", "g2": "another"}[grant_id]
            await store(
                core, debit_grant(grant_id=grant_id, name=grant_id, pointer_id=pointer, version=2, revoked_at=9)
            )
            await core.connections.grant_changed(grant_id)
            assert vouched.known == left
    finally:
        await core.stop(1)


async def test_what_is_no_connection_is_served_and_announced_to_nobody(tmp_path: Path) -> None:
    async with opened(tmp_path) as (relay, core), asyncio.timeout(20):
        await core.start()
        for grant_id in ("owner", "nobody"):
            await core.connections.grant_changed(grant_id)
        assert await shown(relay) == []
        assert core.gateway.keys() == [KEYRING.service_id]


async def test_a_ledger_that_cannot_be_read_does_not_end_announcing_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "MISSING_S", 0.01)
    monkeypatch.setattr(announcer, "LOOK_S", 0.02)
    async with opened(tmp_path) as (relay, core), asyncio.timeout(20):
        await add_connection(core)
        read, faults = core.store.grants, [KitestringError(Reason.INTERNAL, "the database cannot be read")] * 3

        async def broken() -> list[Grant]:
            if faults and core.connections.live_urls():
                raise faults.pop()
            return await read()

        monkeypatch.setattr(core.store, "grants", broken)
        await core.start()
        await until(lambda: not faults)
        assert "connections are not announced yet: the database cannot be read" in caplog.text
        await until(lambda: shown(relay))


async def test_the_first_nip44_request_raises_a_connection_once_and_a_full_disk_leaves_it_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as (_, core), asyncio.timeout(20):
        await add_connection(core)
        grant = await core.store.grant("app")
        assert grant is not None
        apply, faults = core.store.apply, [KitestringError(Reason.INTERNAL, "the disk is full")]

        async def full(tx: Any) -> Any:
            if faults and isinstance(tx, Execute):
                raise faults.pop()
            return await apply(tx)

        monkeypatch.setattr(core.store, "apply", full)
        for _ in range(3):
            core.connections.used(grant, nip44=True)
            await asyncio.gather(*core.connections._background._tasks)
        raised = await core.store.grant("app")
        assert raised == replace(grant, nip44_seen=True, version=2)
        assert "the first use of connection app is not noted yet: the disk is full" in caplog.text


async def test_a_nip44_request_raises_its_connection_also_while_the_first_of_all_is_being_noted(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, core), asyncio.timeout(20):
        await add_connection(core, link_salt=b"salt")
        grant = await core.store.grant("app")
        assert grant is not None
        for nip44 in (False, True, False):
            core.connections.used(grant, nip44=nip44)
            await asyncio.sleep(0)
        await asyncio.gather(*core.connections._background._tasks)
        raised = await core.store.grant("app")
        assert raised is not None
        assert (raised.nip44_seen, raised.link_salt, core.connections._uses) == (True, b"", {})


async def test_a_late_request_of_the_app_before_does_not_forget_the_link_of_the_next(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, core), asyncio.timeout(20):
        await add_connection(core, APP.public_hex, link_salt=b"salt")
        before = await core.store.grant("app")
        assert before is not None
        await save(core, caller=OTHER_APP.public_hex, link_salt=b"another")
        relinked = await core.store.grant("app")
        core.connections.used(before, nip44=True)
        await asyncio.gather(*core.connections._background._tasks)
        assert await core.store.grant("app") == relinked


async def test_the_first_request_in_any_encryption_forgets_the_link(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, core), asyncio.timeout(20):
        await add_connection(core, link_salt=b"salt")
        grant = await core.store.grant("app")
        assert grant is not None
        for nip44 in (False, False, True, True):
            core.connections.used(grant, nip44=nip44)
            await asyncio.gather(*core.connections._background._tasks)
        assert await core.store.grant("app") == replace(grant, link_salt=b"", nip44_seen=True, version=3)


async def test_a_change_is_followed_also_when_the_ledger_could_not_be_read_just_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "AGAIN_S", 0.01)
    async with opened(tmp_path) as (_, core), asyncio.timeout(20):
        await core.start()
        reads: dict[str, Any] = {"events": core.store.events, "grant": core.store.grant}
        broken: list[str] = []

        def breaking(name: str) -> Any:
            async def read(*values: Any) -> Any:
                if name not in broken:
                    broken.append(name)
                    raise KitestringError(Reason.INTERNAL, "the database cannot be read")
                return await reads[name](*values)

            return read

        await until(lambda: core.feed._readers)
        for name in reads:
            monkeypatch.setattr(core.store, name, breaking(name))
        await add_connection(core)
        await until(lambda: KEYRING.connection_key("app").public_hex in set(core.gateway.keys()))
        assert broken == ["events", "grant"]
        assert "it is begun anew" in caplog.text


async def test_a_change_that_somebody_else_makes_is_followed_also_after_many_were_missed(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, core), asyncio.timeout(20):
        await add_connection(core)
        await core.store.apply(ForgetNews(core.clock.now() + 1, 0, max_events=0))
        feed, key = Feed(core.store, core.clock), KEYRING.connection_key("app").public_hex
        following = asyncio.create_task(core.connections.follow(feed))
        await until(lambda: feed._readers)
        (view,) = feed._readers
        view.begin(0)  # as one that has been away
        await save(core, name="renamed")
        await until(lambda: key in set(core.gateway.keys()))
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_a_request_that_is_still_in_hand_at_a_stop_may_raise_its_connection_to_nip44(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as (_, core):
        await add_connection(core)
        await core.start()
        grant = await core.store.grant("app")
        assert grant is not None

        async def is_raised() -> bool:
            stored = await core.store.grant("app")
            return stored is not None and stored.nip44_seen

        async def drain(_: float) -> None:
            core.connections.used(grant, nip44=True)
            await until(is_raised)

        with monkeypatch.context() as patched:
            patched.setattr(core.gateway, "drain", drain)
            await core.stop(1)
        assert core.connections._background._tasks == set()


async def test_after_a_restart_those_used_last_are_listened_for_first(tmp_path: Path) -> None:
    """A relay that wants an AUTH by each key takes minutes for thousands of them."""
    names = ("a", "b", "c")
    async with opened(tmp_path) as (_, core):
        for number, name in enumerate(names):
            grant = Grant(
                grant_id=name, name=name, wire="nwc", caller=f"{number:064x}", methods=frozenset({"get_balance"}),
                service_pubkey=KEYRING.connection_key(name).public_hex, created_at=100 + number,
            )  # fmt: skip
            request = Request(f"ctl:{name}", "control", "owner", b"", b"", 1, 1)
            message = Message(f"ctl:{name}", "reply", b"{}", b"", 1)
            await core.store.apply(Execute(request, (SaveGrant(grant),), message))
        await core.store.apply(NoteUses((("b", 1_000), ("a", 50))))
        await core.connections.know()
        expected = [KEYRING.connection_key(name).public_hex for name in ("b", "c", "a")]
        assert core.gateway.keys()[1:] == expected
