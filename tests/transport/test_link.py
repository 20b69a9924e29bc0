"""One relay: its socket comes back, bears nonsense, waits for slow consumers and is dropped when it is slow itself."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, encode_event, verify_event
from kitestring.nostr.relay import MAX_FRAME_BYTES
from kitestring.transport import link as link_module
from kitestring.transport.publications import PublishResult
from kitestring.transport.relays import PoolOptions, RelayPool
from kitestring.transport.subscriptions import Subscription
from tests.kit.chance import entropy
from tests.kit.clock import ManualClock
from tests.kit.transport.relays import (
    ALICE,
    BOB,
    CAROL,
    Caller,
    Inbox,
    ScriptedRelay,
    note,
    publishing,
    scene,
    scripted_relay,
    to_keys,
    within,
)

SIGNERS = {key.public_hex: key for key in (ALICE, BOB)}


# ------------------------------------------------------------ connecting


async def test_a_lost_connection_comes_back_with_all_its_subscriptions() -> None:
    async with scene() as (relay, pool, clock):
        inbox = Inbox()
        subscription = pool.subscribe("in", to_keys(), inbox, keys=[BOB.public_hex])
        first = await relay.caller()
        await first.expect("REQ")
        await first.send("EOSE", "in:0")
        assert await within(subscription.wait_eose())
        closing = asyncio.create_task(first.socket.close())
        pause_s = await clock.pass_sleep(0.5, 1.0)
        assert subscription.live_on() == []
        second = await relay.caller()
        await second.expect("REQ")
        await second.deliver("in:0", note())
        await inbox.next()
        await closing
        (status,) = pool.status()
        assert status.connected
        assert status.connects == 2
        assert "closed the connection" in status.last_error
        assert 0.5 <= pause_s < 1


async def test_pauses_between_attempts_grow_to_a_minute_and_are_jittered() -> None:
    clock = ManualClock()
    async with RelayPool(["ws://127.0.0.1:9"], clock=clock, entropy=lambda size: b"\xff" * size) as pool:
        for longest in (1, 2, 4, 8, 16, 32, 60, 60):
            assert await clock.pass_sleep(0.9 * longest, longest) > 0.99 * longest
        assert not pool.status()[0].connected
        assert pool.status()[0].last_error


async def test_a_relay_that_was_of_use_and_closes_now_and_then_is_back_after_the_first_pause() -> None:
    async with scene() as (relay, pool, clock):
        pool.subscribe("in", to_keys(), Inbox())
        for longest_s in (1, 1, 1):
            caller = await relay.caller()
            await caller.expect("REQ")
            await caller.send("EOSE", "in:0")
            await within(caller_heard(pool))
            clock.advance(61)
            closing = asyncio.create_task(caller.socket.close())
            await clock.pass_sleep(0.5 * longest_s, longest_s)
            await closing


@pytest.mark.parametrize("is_of_use", [True, False])
async def test_a_relay_that_closes_at_once_or_was_of_no_use_is_waited_for_longer_and_longer(is_of_use: bool) -> None:
    async with scene() as (relay, pool, clock):
        pool.subscribe("in", to_keys(), Inbox())
        for longest_s in (1, 2, 4, 8):
            caller = await relay.caller()
            await caller.expect("REQ")
            if is_of_use:
                await caller.send("EOSE", "in:0")
                await within(caller_heard(pool))
            else:
                clock.advance(600)
            closing = asyncio.create_task(caller.socket.close())
            await clock.pass_sleep(0.5 * longest_s, longest_s)
            await closing


async def test_a_relay_that_was_of_use_and_is_gone_is_waited_for_longer_and_longer() -> None:
    """However long it takes to find out each time that it is not there."""
    clock = ManualClock()
    async with scripted_relay() as relay:
        pool = RelayPool([relay.url], clock=clock, entropy=entropy)
        await pool.start()
        pool.subscribe("in", to_keys(), Inbox())
        caller = await relay.caller()
        await caller.expect("REQ")
        await caller.send("EOSE", "in:0")
        await within(caller_heard(pool))
        clock.advance(61)

        async def no_dial(*_: object, **__: object) -> None:
            clock.advance(20)
            raise OSError("nobody is there")

        pool._dialer.open = no_dial  # type: ignore[assignment, method-assign]  # a dialler that finds nobody
        closing = asyncio.create_task(caller.socket.close())
        for longest_s in (1, 2, 4, 8):
            await clock.pass_sleep(0.5 * longest_s, longest_s)
        await closing
        await pool.stop()


async def caller_heard(pool: RelayPool) -> None:
    """Until the pool has read what the relay has sent."""
    (subscription,) = pool._subscriptions.values()
    assert await subscription.wait_eose()


async def test_filters_are_made_anew_for_every_connection() -> None:
    async with scene() as (relay, pool, clock):
        asked = iter([100, 200])
        source = to_keys()
        pool.subscribe("in", lambda keys: [type(f)(kinds=f.kinds, since=next(asked)) for f in source(keys)], Inbox())
        first = await relay.caller()
        assert (await first.expect("REQ"))[2]["since"] == 100
        closing = asyncio.create_task(first.socket.close())
        await clock.pass_sleep(0.5, 1.0)
        assert (await (await relay.caller()).expect("REQ"))[2]["since"] == 200
        await closing


async def test_a_relay_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "MAX_QUEUED_BYTES", 200_000)
    async with scene() as (relay, pool, clock):
        first = await relay.caller()
        await within(pool.connected())
        # The kernel takes some megabytes before the socket is full.
        tasks = [publishing(pool, note(content=f"{number}" + "x" * 60_000)) for number in range(300)]
        pause = asyncio.create_task(clock.pass_sleep(0.5, 0.9999))
        await within(pause)
        assert "too slowly" in pool.status()[0].last_error
        await relay.caller()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert first.socket is not None


# ------------------------------------------------------------ reading


async def test_a_frame_may_be_as_large_as_the_owner_of_the_pool_says() -> None:
    event = note(content="x" * 300_000)
    async with scripted_relay() as relay:
        for limit, heard in ((MAX_FRAME_BYTES, False), (400_000, True)):
            inbox = Inbox()
            async with RelayPool(
                [relay.url], clock=ManualClock(), entropy=entropy, options=PoolOptions(max_frame_bytes=limit)
            ) as pool:
                subscription = pool.subscribe("in", to_keys(), inbox, keys=[BOB.public_hex])
                caller = await relay.caller()
                await caller.expect("REQ")
                await caller.deliver("in:0", event)
                await caller.send("EOSE", "in:0")
                assert await within(subscription.wait_eose())
                assert inbox.queue.empty() is not heard
                assert pool.status()[0].ignored == (not heard)


async def test_garbage_and_bombs_are_counted_and_change_nothing() -> None:
    async with scene() as (relay, pool, _):
        inbox = Inbox()
        pool.subscribe("in", to_keys(), inbox, keys=[BOB.public_hex])
        caller = await relay.caller()
        await caller.expect("REQ")
        frames = [
            "",
            "{}",
            "[" * 100_000,
            '["EVENT","in:0",{"x":' + "[" * 90_000,
            '["NOTICE","' + "x" * MAX_FRAME_BYTES + '"]',
        ]
        for frame in frames:
            await caller.socket.send_str(frame)
        await caller.deliver("elsewhere", note())
        await caller.send("NOTICE", "be \x1b[31mcareful" + "!" * 500)
        await caller.deliver("in:0", note())
        await inbox.next()
        (status,) = pool.status()
        assert status.ignored == len(frames) + 1
        assert status.connects == 1
        assert status.notice.startswith("be [31mcareful")
        assert len(status.notice) == 200


async def test_a_binary_frame_ends_the_connection() -> None:
    async with scene() as (relay, pool, clock):
        caller = await relay.caller()
        await caller.socket.send_bytes(b"\x00")
        await asyncio.gather(clock.pass_sleep(0.5, 1.0), caller.until_gone())
        await relay.caller()
        assert "binary" in pool.status()[0].last_error


async def test_a_handler_that_fails_does_not_silence_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async with scene() as (relay, pool, _):
        inbox = Inbox()

        def broken(event: Event, url: str) -> None:
            raise ZeroDivisionError

        pool.subscribe("broken", to_keys(), broken)
        pool.subscribe("good", to_keys(), inbox)
        caller = await relay.caller()
        with caplog.at_level(logging.CRITICAL, "kitestring.transport.link"):
            await caller.deliver("broken:0", note())
            await caller.deliver("good:0", note())
            await inbox.next()
        assert pool.status()[0].connects == 1


async def test_a_fault_in_a_callers_filters_or_callback_does_not_leave_the_pool_deaf(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "kitestring.transport")
    async with scene() as (relay, pool, clock):
        good, faults = to_keys(), iter([True, False])

        def fall(_: PublishResult) -> None:
            raise ZeroDivisionError

        def source(keys: Any) -> Any:
            return good(keys) if not next(faults) else 1 / 0

        pool.subscribe("in", source, Inbox())
        await (await relay.caller()).until_gone()
        await clock.pass_sleep(0.5, 1.0)
        assert pool.status()[0].last_error == "an error on our side, see the log"
        caller = await relay.caller()
        await caller.expect("REQ")
        event, other = note(), note(content="other")
        pool.send(event.id, event.pubkey, encode_event(event), fall)
        await caller.expect("EVENT")
        await caller.send("OK", event.id, True, "")
        task = publishing(pool, other)
        await caller.expect("EVENT")
        await caller.send("OK", other.id, True, "")
        assert (await within(task)).accepted


async def test_a_handler_may_hold_the_reader_of_its_relay() -> None:
    async with scene() as (relay, pool, _):
        heard: asyncio.Queue[str] = asyncio.Queue()
        room, after = asyncio.Semaphore(0), Inbox()

        def slow(event: Event, url: str) -> Any:
            heard.put_nowait(event.content)
            return room.acquire()

        pool.subscribe("in", to_keys(), slow)
        pool.subscribe("after", to_keys(), after)
        caller = await relay.caller()
        await caller.deliver("in:0", note(content="one"))
        await caller.deliver("in:0", note(content="two"))
        await caller.deliver("after:0", note())
        assert await within(heard.get()) == "one"
        assert heard.empty()
        room.release()
        assert await within(heard.get()) == "two"
        assert after.queue.empty()
        room.release()
        await after.next()


@pytest.mark.parametrize(
    ("accepted", "words", "rejected"),
    [
        (True, "", ""),
        (False, "duplicate: have it", ""),
        (False, "mute: nobody listens", "before"),
        (False, "blocked: kind not allowed", "blocked: kind not allowed"),
    ],
)
async def test_the_words_of_a_relay_about_the_latest_event_are_kept(accepted: bool, words: str, rejected: str) -> None:
    async with scene() as (relay, pool, _):
        inbox = Inbox()
        pool.subscribe("in", to_keys(), inbox)
        caller = await relay.caller()
        await caller.send("OK", "ab" * 32, False, "before")
        await caller.send("OK", "cd" * 32, accepted, words)
        await caller.deliver("in:0", note())
        await inbox.next()
        assert pool.status()[0].rejected == rejected


# ------------------------------------------------------------ authentication


async def answer_auth(caller: Caller, accepted: bool = True, message: str = "") -> Event:
    frame = await caller.expect("AUTH")
    event = Event(**frame[1])
    assert verify_event(event)
    await caller.send("OK", event.id, accepted, message)
    return event


async def test_a_subscription_that_needs_authentication_is_repeated_after_each_of_its_keys_gave_it() -> None:
    async with scene(signers=SIGNERS) as (relay, pool, clock):
        subscription = pool.subscribe(
            "in", to_keys(), Inbox(), keys=[BOB.public_hex, ALICE.public_hex, CAROL.public_hex]
        )
        caller = await relay.caller()
        await caller.send("AUTH", "c1")
        request = await caller.expect("REQ")
        await caller.send("CLOSED", "in:0", "auth-required: who are you")
        first = await answer_auth(caller)
        await clock.pass_sleep(0.02, 0.02)
        second = await answer_auth(caller)
        assert {first.pubkey, second.pubkey} == SIGNERS.keys()
        assert first.kind == 22242
        assert first.tags == [["relay", relay.url], ["challenge", "c1"]]
        assert await caller.expect("REQ") == request
        await caller.send("EOSE", "in:0")
        assert await within(subscription.wait_eose())


async def test_an_event_that_needs_authentication_is_repeated_with_its_author() -> None:
    async with scene(signers=SIGNERS) as (relay, pool, _):
        event = note(ALICE)
        task = publishing(pool, event)
        caller = await relay.caller()
        await caller.expect("EVENT")
        await caller.send("OK", event.id, False, "auth-required: who are you")
        await caller.send("AUTH", "c1")
        assert (await answer_auth(caller)).pubkey == ALICE.public_hex
        await caller.expect("EVENT")
        await caller.send("OK", event.id, True, "")
        assert (await within(task)).accepted


async def test_a_restricted_key_is_not_tried_again() -> None:
    async with scene(signers=SIGNERS) as (relay, pool, _):
        event = note(ALICE)
        task = publishing(pool, event)
        caller = await relay.caller()
        await caller.send("AUTH", "c1")
        await caller.expect("EVENT")
        await caller.send("OK", event.id, False, "auth-required: who are you")
        await answer_auth(caller, accepted=False, message="restricted: members only")
        await caller.expect("EVENT")
        await caller.send("OK", event.id, False, "auth-required: who are you")
        result = await within(task)
        assert not result.accepted
        assert pool.status()[0].auth_error == "restricted: members only"


# ------------------------------------------------------------ keys that come later


async def wanting_auth(relay: ScriptedRelay, pool: RelayPool) -> tuple[Caller, Subscription]:
    """A relay that has wanted to know who listens, and serves the first key."""
    subscription = pool.subscribe("in", to_keys(), Inbox(), keys=[BOB.public_hex])
    caller = await relay.caller()
    await caller.send("AUTH", "c1")
    await caller.expect("REQ")
    await caller.send("CLOSED", "in:0", "auth-required: who are you")
    assert (await answer_auth(caller)).pubkey == BOB.public_hex
    await caller.expect("REQ")
    await caller.send("EOSE", "in:0")
    assert await within(subscription.wait_eose())
    return caller, subscription


async def test_a_key_that_comes_later_is_authenticated_before_its_request_where_the_relay_wants_that() -> None:
    async with scene(signers=dict(SIGNERS)) as (relay, pool, clock):
        caller, subscription = await wanting_auth(relay, pool)
        await clock.pass_sleep(0.02, 0.02)
        subscription.add_keys([ALICE.public_hex])
        assert (await answer_auth(caller)).pubkey == ALICE.public_hex
        assert (await caller.expect("REQ"))[2]["#p"] == sorted([ALICE.public_hex, BOB.public_hex])


async def test_a_relay_that_does_not_answer_an_authentication_is_asked_without_it_after_ten_seconds() -> None:
    async with scene(signers=dict(SIGNERS)) as (relay, pool, clock):
        caller, subscription = await wanting_auth(relay, pool)
        await clock.pass_sleep(0.02, 0.02)
        subscription.add_keys([ALICE.public_hex])
        await caller.expect("AUTH")
        began, request = clock.monotonic(), asyncio.create_task(caller.expect("REQ"))
        while clock.monotonic() < began + 10:
            assert not request.done()
            await clock.pass_sleep(0.02, 1)
        await request


async def test_where_there_are_more_keys_than_go_out_in_ten_seconds_each_has_its_turn_before_its_request() -> None:
    keys = [SecretKey(number.to_bytes(32)) for number in range(1, 601)]
    async with scene(signers={key.public_hex: key for key in keys}) as (relay, pool, clock):
        pool.subscribe("in", to_keys(), Inbox(), keys=[key.public_hex for key in keys])
        caller = await relay.caller()
        await caller.send("AUTH", "c1")
        for number in range(3):
            await caller.expect("REQ")
            await caller.send("CLOSED", f"in:{number}", "auth-required: who are you")
        told, asked, longest_s = list[str](), dict[str, int](), 0.0
        while len(asked) < 3:
            frame = asyncio.create_task(caller.receive())
            while not frame.done():
                await asyncio.sleep(0)
                clock.advance(0.02)
            name, *rest = await frame
            if name == "AUTH":
                told.append(rest[0]["pubkey"])
                longest_s = max(longest_s, pool.status()[0].auth_s)
                await caller.send("OK", rest[0]["id"], True, "")
            else:
                asked[rest[0]] = len(told)
                assert set(rest[1]["#p"]) <= set(told)
        assert list(asked) == ["in:0", "in:1", "in:2"]
        assert 600 / 50 >= longest_s > 200 / 50, "how long it takes is told"
        assert pool.status()[0].auth_s == 0
        assert told == [key.public_hex for key in keys], "in the order in which they are listened for"
        assert asked["in:0"] < 600, "a REQ whose own keys are known does not wait for those of others"


async def test_a_relay_that_answers_no_authentication_is_asked_when_all_keys_have_had_their_turn() -> None:
    keys = [SecretKey(number.to_bytes(32)) for number in range(1, 601)]
    async with scene(signers={key.public_hex: key for key in keys}) as (relay, pool, clock):
        pool.subscribe("in", to_keys(), Inbox(), keys=[key.public_hex for key in keys])
        caller = await relay.caller()
        await caller.send("AUTH", "c1")
        for number in range(3):
            await caller.expect("REQ")
            await caller.send("CLOSED", f"in:{number}", "auth-required: who are you")
        told, asked = set[str](), list[str]()
        while len(asked) < 3:
            frame = asyncio.create_task(caller.receive())
            while not frame.done():
                await asyncio.sleep(0)
                clock.advance(0.02)
            name, *rest = await frame
            if name == "AUTH":
                told.add(rest[0]["pubkey"])
            else:
                asked.append(rest[0])
                assert set(rest[1]["#p"]) <= told
        assert asked == ["in:0", "in:1", "in:2"]


async def test_an_event_that_was_given_up_is_not_sent_when_an_authentication_is_answered_late() -> None:
    async with scene(signers=SIGNERS) as (relay, pool, clock):
        given_up, event = note(ALICE), note(ALICE, content="later")
        task = asyncio.create_task(pool.publish(given_up, deadline_s=1))
        caller = await relay.caller()
        await caller.send("AUTH", "c1")
        await caller.expect("EVENT")
        await caller.send("OK", given_up.id, False, "auth-required: who are you")
        auth = Event(**(await caller.expect("AUTH"))[1])
        while not task.done():
            clock.advance(1)
            await asyncio.sleep(0)
        second = publishing(pool, event)
        await caller.expect("EVENT")
        await caller.send("OK", event.id, False, "auth-required: who are you")
        await caller.send("OK", auth.id, True, "")
        assert (await caller.expect("EVENT"))[1]["id"] == event.id
        await caller.send("OK", event.id, True, "")
        assert (await within(second)).accepted
