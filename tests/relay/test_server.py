from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import aiohttp
import nostr_sdk
import pytest

from kitestring.base.errors import Exit, KitestringError
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, encode_event, sign_event
from kitestring.nostr.relay import MAX_FRAME_BYTES, MAX_SUBSCRIPTION_ID_CHARS, auth_event
from kitestring.relay import outbox
from kitestring.relay.disk import Disk
from kitestring.relay.limits import MAX_MESSAGE_BYTES, RelayLimits
from kitestring.relay.server import CORS, EXPIRE_EVERY_S
from tests.kit.clock import NOW, ManualClock, StandingClock
from tests.kit.relay.client import FOR_BOB, FOR_CAROL, as_object, client, new_relay, own_client
from tests.kit.transport.relays import ALICE, BOB, CAROL, note, within
from tests.kit.waiting import until

INFO = sign_event(ALICE, kind=13194, tags=[], content="pay_invoice", created_at=NOW)


async def test_an_event_goes_to_those_who_asked_for_it_once_each() -> None:
    async with new_relay() as relay, client(relay) as sender, client(relay) as bob, client(relay) as carol:
        assert await bob.ask("in", FOR_BOB, {"authors": [ALICE.public_hex]}) == []
        assert await carol.ask("in", FOR_CAROL) == []
        for event in (note(), note(to=CAROL)):
            assert await sender.publish(event) == [True, ""]
        assert await bob.receive() == ["EVENT", "in", as_object(note())]
        assert (await bob.receive())[2]["id"] == note(to=CAROL).id
        assert (await carol.receive())[2]["id"] == note(to=CAROL).id


async def test_a_late_subscriber_still_sees_a_recent_ephemeral_event() -> None:
    async with new_relay() as relay, client(relay) as sender, client(relay) as bob:
        await sender.publish(note())
        assert await bob.ask("in", FOR_BOB) == [note()]
        assert await bob.ask("by id", {"ids": [note().id]}) == [note()]


async def test_the_same_event_again_is_a_duplicate_and_not_delivered_twice() -> None:
    async with new_relay() as relay, client(relay) as sender, client(relay) as bob:
        await bob.ask("in", FOR_BOB)
        await sender.publish(note())
        assert await sender.publish(note()) == [True, "duplicate: this event is here already"]
        await sender.publish(note(content="next"))
        assert [(await bob.receive())[2]["content"] for _ in range(2)] == ["hello", "next"]


LARGEST = RelayLimits().max_event_bytes


def sized(size_bytes: int) -> Event:
    return note(content="x" * (size_bytes - len(encode_event(note(content="")))))


def forged() -> Event:
    good = note()
    return Event(good.id, good.pubkey, good.created_at, good.kind, good.tags, "another text", good.sig)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (note(kind=1), "blocked: kind 1 is not taken here"),
        (note(kind=22242), "blocked: kind 22242 is not taken here"),
        (note(at=NOW + 901), "invalid: created_at is in the future, check the clock"),
        (note(tags=[["p", "x"]] * 500), "invalid: an event must not have more than 500 tags"),
        (sized(LARGEST + 1), f"invalid: an event must not exceed {LARGEST} bytes"),
        (note(tags=[["expiration", str(NOW - 1)]]), "invalid: the event has expired"),
        (forged(), "invalid: the id or signature is wrong"),
    ],
    ids=["kind", "auth", "future", "tags", "large", "expired", "forged"],
)
async def test_an_event_that_is_not_taken_says_why_and_reaches_nobody(event: Event, message: str) -> None:
    async with new_relay() as relay, client(relay) as sender, client(relay) as bob:
        await bob.ask("in", {})
        assert await sender.publish(event) == [False, message]
        assert await sender.publish(note(content="good")) == [True, ""]
        assert (await bob.receive())[2]["content"] == "good"


async def test_the_largest_event_is_taken_and_fits_into_a_frame_on_its_way_out_too() -> None:
    async with new_relay() as relay, client(relay) as sender, client(relay) as bob:
        await bob.ask("x" * MAX_SUBSCRIPTION_ID_CHARS, {})
        assert await sender.publish(sized(LARGEST)) == [True, ""]
        frame = await within(bob.socket.receive())
    assert LARGEST < len(frame.data) <= MAX_FRAME_BYTES


async def test_a_relay_for_everything_takes_every_kind_but_proofs_of_identity() -> None:
    async with new_relay(limits=RelayLimits(kinds=None)) as relay, client(relay) as sender:
        assert await sender.publish(note(kind=1)) == [True, ""]
        assert (await sender.publish(note(kind=27235)))[0] is False


async def test_a_message_far_beyond_what_is_obeyed_ends_its_connection_only() -> None:
    async with new_relay() as relay, client(relay) as one, client(relay) as two:
        await one.socket.send_str("x" * MAX_MESSAGE_BYTES)
        await one.closed()
        assert one.socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        assert await two.publish(note()) == [True, ""]


async def test_a_slow_reader_is_closed_and_the_others_miss_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "PACE_S", 0.05)
    limits = RelayLimits(max_queued_bytes=500_000)
    async with new_relay(limits=limits) as relay, client(relay) as sender, client(relay) as bob, client(relay) as slow:
        await slow.ask("in", FOR_BOB)
        await bob.ask("in", FOR_BOB)
        heard = asyncio.create_task(bob.contents(300))
        for number in range(300):  # the kernel's buffers take some megabytes before the relay notices
            assert await sender.publish(note(content=f"{number} " + "x" * 40_000)) == [True, ""]
        assert await within(heard) == [str(number) for number in range(300)]
        received = 0
        while (message := await within(slow.socket.receive())).type is aiohttp.WSMsgType.TEXT:
            received += 1
        assert received < 300
        assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}


async def test_strangers_who_flood_a_service_wait_and_it_stays_and_misses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "PACE_S", 60)
    limits, texts = RelayLimits(max_queued_bytes=1_000_000), [f"{number} " + "x" * 60_000 for number in range(500)]
    frames = [f'["EVENT",{encode_event(note(content=text)).decode()}]' for text in texts]
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(new_relay(limits=limits, own={BOB.public_hex}))
        service = await stack.enter_async_context(own_client(relay))
        await service.ask("in", FOR_BOB)
        strangers = [await stack.enter_async_context(client(relay)) for _ in range(25)]
        flood = [asyncio.create_task(each.send_all(frames[place::25])) for place, each in enumerate(strangers)]
        await until(lambda: relay._hub._behind)  # then the buffers of the system are full
        assert sorted(await service.contents(500)) == sorted(str(number) for number in range(500))
        await within(asyncio.gather(*flood))
        assert await strangers[0].ask("in", FOR_CAROL) == []


async def test_the_owner_s_service_may_leave_more_unread_than_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "PACE_S", 0.05)
    relay = new_relay(limits=RelayLimits(max_queued_bytes=1_500_000), own={BOB.public_hex})
    async with relay, client(relay) as sender, own_client(relay) as service:
        await service.ask("in", FOR_BOB)
        for number in range(290):  # 11.7 MB
            assert await sender.publish(note(content=f"{number} " + "x" * 40_000)) == [True, ""]
        assert await service.contents(290) == [str(number) for number in range(290)]


async def test_the_largest_reader_goes_when_all_filters_are_too_many_and_the_owner_is_small() -> None:
    own = {f"{number:064x}" for number in range(300)}
    limits = RelayLimits(max_total_filter_cost=350)
    async with new_relay(limits=limits, own=own) as relay, client(relay) as service, client(relay) as two:
        await service.ask("in", {"#p": sorted(own)})
        await two.ask("in", {"#p": [str(number) for number in range(200)]})
        async with client(relay) as three:
            await three.ask("in", {"#p": ["x"]})
            await two.closed()
            assert await three.publish(note()) == [True, ""]
        assert await service.publish(note()) == [True, "duplicate: this event is here already"]


# ---------------------------------------------------------------- durable events


async def test_durable_events_outlive_the_relay_and_ephemeral_ones_do_not(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    newer = sign_event(ALICE, kind=13194, tags=[], content="newer", created_at=NOW + 1)
    async with new_relay(path) as relay, client(relay) as sender:
        for event in (INFO, newer, note()):
            assert (await sender.publish(event))[0] is True
    async with new_relay(path) as relay, client(relay) as reader:
        assert await reader.ask("all", {}) == [newer]
        assert await reader.publish(newer) == [True, "duplicate: this event is here already"]
        assert await reader.publish(INFO) == [True, "duplicate: a newer version is here already"]


async def test_strangers_without_number_neither_fill_the_relay_nor_push_out_a_wallet_that_is_there(
    tmp_path: Path,
) -> None:
    path, limits = tmp_path / "relay.db", RelayLimits(max_durable_events=5)
    junk = [
        sign_event(SecretKey(number.to_bytes(32)), kind=13194, tags=[], content="", created_at=NOW)
        for number in range(10, 30)
    ]
    for own in (set[str](), {CAROL.public_hex}):
        async with new_relay(path, limits=limits, own=own) as relay, client(relay) as bob, client(relay) as flood:
            assert await bob.ask("in", FOR_BOB) == []
            for key in (BOB, CAROL):
                await flood.publish(sign_event(key, kind=13194, tags=[], content="", created_at=NOW))
            for event in junk:
                assert (await flood.publish(event))[0] is True
            authors = {event.pubkey for event in await flood.ask("all", {})}
            assert BOB.public_hex in authors
            assert (CAROL.public_hex in authors) is bool(own)
            assert len(authors) == 5 + len(own)
    async with new_relay(path, limits=limits) as relay, client(relay) as reader:
        assert {event.pubkey for event in await reader.ask("all", {})} == authors


async def test_a_deleted_event_is_gone_from_disk_too(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    deletion = sign_event(ALICE, kind=5, tags=[["e", INFO.id]], content="", created_at=NOW)
    async with new_relay(path) as relay, client(relay) as sender:
        await sender.publish(INFO)
        await sender.publish(deletion)
    async with new_relay(path) as relay, client(relay) as reader:
        assert await reader.ask("all", {}) == [deletion]
        assert await reader.publish(INFO) == [False, "blocked: the author has deleted this event"]


async def test_an_event_that_expires_leaves_memory_and_disk(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "relay.db"
    event = sign_event(ALICE, kind=13194, tags=[["expiration", str(NOW + 5)]], content="", created_at=NOW)
    async with new_relay(path, clock=clock) as relay, client(relay) as sender:
        await sender.publish(event)
        await clock.pass_sleep(EXPIRE_EVERY_S, EXPIRE_EVERY_S)
        await clock.asleep(EXPIRE_EVERY_S, EXPIRE_EVERY_S)
        assert await sender.ask("all", {}) == []
    disk = Disk(path)
    assert await disk.open(RelayLimits()) == []
    await disk.close()


async def test_an_event_that_cannot_be_stored_is_not_acknowledged_and_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    newer = sign_event(ALICE, kind=13194, tags=[], content="newer", created_at=NOW + 1)
    async with new_relay(tmp_path / "relay.db") as relay, client(relay) as sender:
        assert await sender.publish(INFO) == [True, ""]
        with monkeypatch.context() as broken:
            broken.setattr(Disk, "_write", _full_disk)
            for _ in range(3):
                assert await sender.publish(newer) == [False, "error: the relay cannot store events at the moment"]
            assert await sender.ask("info", {"kinds": [13194]}) == [INFO]
            assert await sender.publish(note()) == [True, ""]  # what is only passed on needs no disk
        await sender.send("CLOSE", "info")
        assert await sender.publish(newer) == [True, ""]
        assert await sender.ask("info", {"kinds": [13194]}) == [newer]
    assert [record.levelname for record in caplog.records if record.name == "kitestring.relay.hub"] == ["ERROR"]


def _full_disk(*_: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


async def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    path.write_bytes(b"something else entirely" * 100)
    relay = new_relay(path)
    with pytest.raises(KitestringError, match=r"cannot use its file: .*relay\.db"):
        await relay.start()
    await relay.stop()
    assert path.read_bytes().startswith(b"something else")


async def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    relay = new_relay(path)
    with pytest.raises(KitestringError, match="belongs to another program"):
        await relay.start()
    await relay.stop()
    assert path.read_bytes() == before


async def test_a_port_in_use_is_one_clear_sentence() -> None:
    async with new_relay() as relay:
        port = int(relay.url.rpartition(":")[2])
        with pytest.raises(KitestringError, match=f"port {port} on 127.0.0.1 is in use") as caught:
            await new_relay().start(port=port)
    assert caught.value.exit_code is Exit.UNAVAILABLE  # it may be free in a moment


@pytest.mark.parametrize(("host", "code"), [("192.0.2.1", Exit.UNAVAILABLE), ("not a host", Exit.USAGE)])
async def test_an_address_that_may_come_is_told_apart_from_one_that_is_wrong(host: str, code: Exit) -> None:
    with pytest.raises(KitestringError, match=f"cannot listen on {host}") as caught:
        await new_relay().start(host)
    assert caught.value.exit_code is code


async def test_a_relay_on_all_addresses_names_one_that_can_be_dialled() -> None:
    relay = new_relay()
    port = await relay.start("0.0.0.0")
    assert relay.url == f"ws://127.0.0.1:{port}"
    await relay.stop()


async def test_a_relay_that_stops_asks_its_clients_to_come_back() -> None:
    async with new_relay() as relay, client(relay) as one:
        assert await one.ask("in", FOR_BOB) == []
        stopping = asyncio.create_task(relay.stop())
        message = await within(one.socket.receive())
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.SERVICE_RESTART)
        await within(stopping)


# ---------------------------------------------------------------- NIP-11 and NIP-42


async def test_the_information_document_names_what_holds_here() -> None:
    async with new_relay() as relay, aiohttp.ClientSession() as session:
        url = relay.url.replace("ws:", "http:")
        async with session.get(url, headers={"Accept": "application/nostr+json"}) as response:
            document = await response.json(content_type="application/nostr+json")
            assert CORS.items() <= dict(response.headers).items()
        assert document["supported_nips"] == [1, 9, 11, 40, 42]
        async with session.get(url) as response:
            assert (await response.text()).count("\n") == 1


async def test_a_page_of_any_site_may_ask_for_the_document() -> None:
    async with new_relay() as relay, aiohttp.ClientSession() as session:
        asking = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
        async with session.options(relay.url.replace("ws:", "http:"), headers=asking) as response:
            assert response.status == 204
            assert CORS.items() <= dict(response.headers).items()
            assert await response.read() == b""
    assert {name.removeprefix("Access-Control-Allow-") for name in CORS} == {"Origin", "Headers", "Methods"}


async def test_the_largest_message_of_the_document_is_obeyed_and_one_byte_more_is_not() -> None:
    async with new_relay() as relay, client(relay) as one:
        limitation: Any = relay.document()["limitation"]
        most = limitation["max_message_length"]
        request = json.dumps(["REQ", "in", FOR_BOB])[:-1]
        await one.socket.send_str(request.ljust(most - 1) + "]")
        assert await one.receive() == ["EOSE", "in"]
        await one.socket.send_str(request.ljust(most) + "]")
        assert await one.receive() == ["NOTICE", f"invalid: a frame must not exceed {most} bytes"]


async def test_with_authentication_payment_events_reach_only_author_and_addressee() -> None:
    async with (
        new_relay(auth=True) as relay, client(relay) as alice, client(relay) as bob, client(relay) as carol,
        client(relay) as nobody,
    ):  # fmt: skip
        await nobody.receive()
        await nobody.send("REQ", "in", FOR_BOB)
        assert (await nobody.receive())[2].startswith("auth-required:")
        assert await nobody.ask("info", {"kinds": [13194]}) == []
        for each, key in ((alice, ALICE), (bob, BOB), (carol, CAROL)):
            label, challenge = await each.receive()
            assert label == "AUTH"
            event = auth_event(key, relay.url, challenge, NOW)
            await each.send("AUTH", as_object(event))
            assert await each.receive() == ["OK", event.id, True, ""]
            assert await each.ask("in", FOR_BOB) == []
        assert await nobody.publish(note()) == [True, ""]
        for each in (alice, bob):
            assert (await each.receive())[2]["id"] == note().id
        assert await carol.ask("stored", FOR_BOB) == []
        assert await bob.ask("stored", FOR_BOB) == [note()]


# ---------------------------------------------------------------- a foreign client


async def test_an_independent_client_publishes_and_subscribes_here() -> None:
    now = nostr_sdk.Timestamp.now().as_secs()
    async with new_relay(clock=StandingClock(now)) as relay, AsyncExitStack() as stack:
        url = nostr_sdk.RelayUrl.parse(relay.url)
        sender, reader = nostr_sdk.ClientBuilder().build(), nostr_sdk.ClientBuilder().build()
        for each in (sender, reader):
            stack.push_async_callback(each.shutdown)
            await each.add_relay(url)
            await each.connect()
        event = note(at=now)
        foreign = nostr_sdk.Event.from_json(encode_event(event).decode())
        await sender.send_event(foreign)
        wanted = nostr_sdk.Filter().id(foreign.id())
        found = await reader.fetch_events(nostr_sdk.ReqTarget.auto([wanted]))
        assert [each.id().to_hex() for each in found] == [event.id]
