"""One connection: its commands one after the other, at a pace, with as much open as it may have."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, encode_event
from kitestring.nostr.relay import MAX_FRAME_BYTES, auth_event
from kitestring.relay import gate
from kitestring.relay.limits import BYTES_PER_TURN, COMMANDS_PER_TURN, MAX_MET, RelayLimits
from kitestring.relay.session import TOO_FAST, TOO_MANY
from tests.kit.clock import NOW, ManualClock
from tests.kit.relay.client import FOR_BOB, FOR_CAROL, Client, as_object, client, new_relay, own_client
from tests.kit.transport.relays import ALICE, BOB, CAROL, note


def forged_by(key: SecretKey) -> Event:
    """An event that names this key and was signed by nobody."""
    good = note(key)
    return Event(good.id, good.pubkey, good.created_at, good.kind, good.tags, "another text", good.sig)


async def test_a_closed_or_replaced_subscription_hears_nothing_more() -> None:
    async with new_relay() as relay, client(relay) as sender, client(relay) as bob:
        await bob.ask("a", FOR_BOB)
        await bob.ask("b", FOR_BOB)
        await bob.ask("b", FOR_CAROL)
        await bob.send("CLOSE", "a")
        await bob.ask("c", {"kinds": [5]})  # by now the CLOSE has been obeyed
        await sender.publish(note())
        await sender.publish(note(to=CAROL))
        assert (await bob.receive())[:2] == ["EVENT", "b"]


async def test_garbage_is_answered_and_the_connection_goes_on() -> None:
    async with new_relay() as relay, client(relay) as one:
        for frame in ("", "[" * 100_000, '["EVENT",{"x":' + "[" * 90_000, "x" * (MAX_FRAME_BYTES + 1), '["HELLO"]'):
            await one.socket.send_str(frame)
            assert (await one.receive())[0] == "NOTICE"
        await one.socket.send_bytes(b"\x00")
        assert (await one.receive())[0] == "NOTICE"
        await one.send("REQ", "in", {"kinds": "all"})
        assert (await one.receive())[:2] == ["CLOSED", "in"]
        assert await one.ask("in", FOR_BOB) == []


async def test_the_limit_of_subscriptions_is_kept() -> None:
    async with new_relay(limits=RelayLimits(max_subscriptions=2)) as relay, client(relay) as one:
        for name in ("a", "b", "b"):
            await one.ask(name, FOR_BOB)
        await one.send("REQ", "c", FOR_BOB)
        assert await one.receive() == ["CLOSED", "c", "error: at most 2 subscriptions per connection"]


async def test_the_filter_values_of_one_connection_are_limited() -> None:
    many = {"#p": [str(number) for number in range(60)]}
    async with new_relay(limits=RelayLimits(max_filter_cost=250)) as relay, client(relay) as one:
        for name in ("a", "b", "b"):
            await one.ask(name, many)
        await one.send("REQ", "c", many)
        assert await one.receive() == ["CLOSED", "c", "error: at most 250 filter values per connection"]
        await one.send("CLOSE", "a")
        await one.ask("c", many)


async def test_a_search_through_too_much_is_refused_but_not_a_subscription_to_what_comes() -> None:
    async with new_relay(limits=RelayLimits(max_looked_at=3)) as relay, client(relay) as one:
        for number in range(2):
            await one.publish(note(content=str(number)))
        assert len(await one.ask("all", {})) == 2
        await one.send("REQ", "all", {}, {})
        assert (await one.receive())[:2] == ["CLOSED", "all"]
        assert await one.ask("all", {"limit": 0}, {"limit": 0}) == []
        await one.send("EVENT", as_object(note(content="next")))
        assert (await one.receive())[:2] == ["EVENT", "all"]


async def test_a_connection_that_ends_leaves_nothing_behind() -> None:
    async with new_relay() as relay:
        async with client(relay) as one:
            await one.ask("in", FOR_BOB, {"authors": [ALICE.public_hex]})
            assert relay._hub._live._at
        await relay.stop()
        assert relay._hub._live._at == {}
        assert relay._sockets == set()


# ------------------------------------------------------------ its pace


async def test_whoever_publishes_without_reading_is_made_to_wait_and_loses_nothing() -> None:
    async with new_relay(limits=RelayLimits(max_queued_frames=40)) as relay, client(relay) as sender:
        frame = f'["EVENT",{encode_event(note()).decode()}]'
        for _ in range(1000):
            await sender.socket.send_str(frame)
        answers = [await sender.receive() for _ in range(1000)]
        assert all(answer[:3] == ["OK", note().id, True] for answer in answers)


async def test_stored_events_wait_for_a_reader_that_has_much_to_read() -> None:
    limits = RelayLimits(max_queued_bytes=500_000)
    events = [note(content=f"{number} " + "x" * 40_000, at=NOW - number) for number in range(60)]
    async with new_relay(limits=limits) as relay, client(relay) as sender, client(relay) as bob:
        for event in events:
            await sender.publish(event)
        for name in ("a", "b", "c"):
            await bob.send("REQ", name, FOR_BOB)
        for name in ("a", "b", "c"):
            assert [(await bob.receive())[1:] for _ in events] == [[name, as_object(event)] for event in events]
            assert await bob.receive() == ["EOSE", name]


async def test_who_sends_much_at_once_does_not_keep_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, sleep = 0, asyncio.sleep

    async def counted(seconds: float) -> None:
        nonlocal turns
        turns += 1
        await sleep(seconds)

    async with new_relay() as relay, client(relay) as sender:
        monkeypatch.setattr(asyncio, "sleep", counted)
        for _ in range(3 * COMMANDS_PER_TURN):
            await sender.send("CLOSE", "none")
        await sender.ask("in", FOR_BOB)
        assert turns >= 4


async def test_who_sends_few_but_large_events_does_not_keep_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, sleep = 0, asyncio.sleep

    async def counted(seconds: float) -> None:
        nonlocal turns
        turns += 1
        await sleep(seconds)

    async with new_relay() as relay, client(relay) as sender:
        monkeypatch.setattr(asyncio, "sleep", counted)
        for number in range(3 * BYTES_PER_TURN // 60_000):
            await sender.publish(note(content=f"{number} " + "x" * 60_000))
        assert turns >= 2


async def test_one_connection_publishes_no_faster_than_the_limit_and_the_owner_does() -> None:
    clock, limits = ManualClock(), RelayLimits(max_events_per_s=1, max_events_burst=2)
    relay = new_relay(limits=limits, clock=clock, own={BOB.public_hex})
    async with relay, client(relay) as sender, own_client(relay) as service:
        events = [note(content=str(number)) for number in range(4)]
        assert [(await sender.publish(event))[0] for event in events[:2]] == [True, True]
        assert await sender.publish(events[2]) == [False, "rate-limited: at most 1 events/s"]
        for number in range(5):
            assert await service.publish(note(BOB, content=str(number))) == [True, ""]
        await clock.pass_sleep(0.1, 1)
        assert await sender.publish(events[2]) == [True, ""]


async def test_a_proof_for_another_connection_does_not_count() -> None:
    async with new_relay(auth=True) as relay, client(relay) as one, client(relay) as two:
        _, challenge = await one.receive()
        await two.receive()
        await two.send("AUTH", as_object(auth_event(BOB, relay.url, challenge, NOW)))
        assert (await two.receive())[2] is False
        await two.send("REQ", "in", FOR_BOB)
        assert (await two.receive())[0] == "CLOSED"


# ------------------------------------------------------------ strangers and those who are known

FEW = RelayLimits(max_strangers_per_s=1, max_strangers_burst=5)


async def closes(one: Client, name: str) -> None:
    """A command without an answer."""
    await one.send("CLOSE", name)


async def test_whoever_is_known_does_not_wait_for_strangers_who_have_used_up_what_there_is_for_them() -> None:
    clock = ManualClock()
    async with (
        new_relay(limits=FEW, clock=clock, known={ALICE.public_hex}) as relay, client(relay) as app,
        client(relay) as stranger,
    ):  # fmt: skip
        assert await app.publish(note()) == [True, ""]  # as any stranger's: now the connection is known
        for number in range(3):
            assert (await stranger.publish(note(CAROL, content=str(number))))[0] is True
        await stranger.send("EVENT", as_object(note(CAROL, content="waits")))
        for number in range(20):
            assert await app.publish(note(content=str(number))) == [True, ""]
        assert await app.ask("in", FOR_CAROL) == []
        await clock.asleep(0.01, 3)
        clock.advance(3)
        assert (await stranger.receive())[2] is True


@pytest.mark.parametrize("event", [forged_by(ALICE), note(at=NOW - 301), note(at=NOW + 301)], ids=["no", "old", "new"])
async def test_a_name_alone_an_old_or_an_early_event_makes_nobody_known(event: Event) -> None:
    clock = ManualClock()
    async with new_relay(limits=FEW, clock=clock, known={ALICE.public_hex}) as relay, client(relay) as one:
        await one.publish(event)
        for number in range(4):
            await closes(one, str(number))
        await one.send("EVENT", as_object(note(content="waits")))
        await clock.asleep(0.01, 3)  # at the gate
        clock.advance(3)
        assert (await one.receive())[2] is True


async def test_a_copy_makes_nobody_known_and_a_forgery_ends_it() -> None:
    clock = ManualClock()
    limits = RelayLimits(max_strangers_per_s=1, max_strangers_burst=5)
    async with (
        new_relay(limits=limits, clock=clock, known={ALICE.public_hex}) as relay, client(relay) as app,
        client(relay) as thief,
    ):  # fmt: skip
        await app.publish(note())
        await thief.publish(note())
        await app.publish(forged_by(ALICE))
        for one, number in ((thief, 1), (app, 2)):
            for _ in range(3):
                await closes(one, "none")
            await one.send("EVENT", as_object(note(content=str(number))))
        await clock.asleep(0.01, 5)
        clock.advance(20)
        for one in (thief, app):
            assert (await one.receive())[2] is True


async def test_who_brings_what_a_known_key_has_said_elsewhere_takes_no_seat_from_it() -> None:
    """An app that uses other relays too is heard there by everybody."""
    limits = RelayLimits(max_connections=MAX_MET + 2)
    async with AsyncExitStack() as opened:
        relay = await opened.enter_async_context(new_relay(limits=limits, known={ALICE.public_hex}))
        for number in range(MAX_MET + 2):
            thief = await opened.enter_async_context(client(relay))
            assert await thief.publish(note(content=str(number))) == [True, ""]
        async with client(relay) as app:
            assert await app.publish(note(content="it is me")) == [True, ""]


async def test_who_goes_leaves_the_standing_of_a_known_key_to_others() -> None:
    clock = ManualClock()
    async with new_relay(limits=FEW, clock=clock, known={ALICE.public_hex}) as relay:
        for number in range(2 * MAX_MET):
            async with client(relay) as app:
                clock.advance(3)
                assert await app.publish(note(content=str(number))) == [True, ""]
        async with client(relay) as app:
            clock.advance(3)
            for number in range(20):
                assert await app.publish(note(content=f"again {number}")) == [True, ""]


async def test_strangers_whose_turn_does_not_come_are_told_so_and_what_they_close_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate, "TURN_WAIT_S", 0.01)
    async with (
        new_relay(limits=RelayLimits(max_strangers_per_s=1, max_strangers_burst=2)) as relay,
        client(relay) as one,
    ):
        await one.ask("in", {"kinds": [5]})
        assert await one.publish(note()) == [False, TOO_MANY]
        await closes(one, "in")
        await one.send("REQ", "in", FOR_BOB)
        assert await one.receive() == ["CLOSED", "in", TOO_MANY]
        assert relay._hub._live._at == {}


async def test_an_author_has_one_pace_over_all_his_connections_and_others_cannot_use_it_up() -> None:
    limits = RelayLimits(max_events_per_s=1, max_events_burst=3)
    async with new_relay(limits=limits, clock=ManualClock()) as relay, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client(relay)) for _ in range(5)]
        forger = await stack.enter_async_context(client(relay))
        for _ in range(2):
            assert (await forger.publish(forged_by(ALICE)))[0] is False
        events = [note(content=str(number)) for number in range(10)]
        taken = [(await clients[number // 2].publish(event)) for number, event in enumerate(events)]
        assert [answer[0] for answer in taken] == [True] * 5 + [False] * 5  # their sizes count too
        assert taken[-1][1] == TOO_FAST
        assert (await forger.publish(note(BOB)))[0] is True
