from __future__ import annotations

import asyncio

import nostr_sdk
import pytest

from kitestring.nostr.event import decode_event, encode_event
from kitestring.transport.publications import OK_TIMEOUT_S, PUBLISH_DEADLINE_S, RelayAnswer, Verdict
from kitestring.transport.relays import PoolOptions, RelayPool
from tests.kit.chance import entropy
from tests.kit.clock import ManualClock, StandingClock
from tests.kit.transport.relays import (
    ALICE,
    BOB,
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


def pool_of(*relays: ScriptedRelay) -> RelayPool:
    return RelayPool([relay.url for relay in relays], clock=ManualClock(), entropy=entropy)


# ---------------------------------------------------------------- subscribing


async def test_an_event_reaches_the_handler_after_the_stored_ones_ended() -> None:
    async with scene() as (relay, pool, _):
        inbox, event = Inbox(), note()
        subscription = pool.subscribe("in", to_keys(), inbox, keys=[BOB.public_hex])
        caller = await relay.caller()
        assert await caller.expect("REQ") == ["REQ", "in:0", {"kinds": [21001], "#p": [BOB.public_hex]}]
        await caller.send("EOSE", "in:0")
        assert await within(subscription.wait_eose())
        assert subscription.live_on() == [relay.url]
        await caller.deliver("in:0", event)
        assert await inbox.next() == event
        subscription.close()
        assert await caller.expect("CLOSE") == ["CLOSE", "in:0"]
        pool.subscribe("in", to_keys(), inbox, keys=[BOB.public_hex])  # the name is free again
        await caller.expect("REQ")


async def test_keys_are_cut_into_requests_of_200_and_only_changed_ones_are_sent_again() -> None:
    async with scene() as (relay, pool, _):
        keys = [f"{number:064x}" for number in range(450)]
        subscription = pool.subscribe("in", to_keys(), Inbox(), keys=keys)
        caller = await relay.caller()
        asked = [await caller.expect("REQ") for _ in range(3)]
        assert [len(frame[2]["#p"]) for frame in asked] == [200, 200, 50]
        assert sorted(key for frame in asked for key in frame[2]["#p"]) == keys
        subscription.add_keys([ALICE.public_hex, keys[0]])
        changed = await caller.expect("REQ")
        assert changed[1] == "in:2"
        assert ALICE.public_hex in changed[2]["#p"]


@pytest.mark.parametrize(("words", "ticks"), [("error: stopping", 5), ("blocked: slow", 20), ("restricted: no", 20)])
async def test_a_subscription_that_the_relay_closed_is_asked_again_whatever_the_words(words: str, ticks: int) -> None:
    clock = ManualClock()
    async with (
        scripted_relay() as relay,
        RelayPool([relay.url], clock=clock, entropy=lambda size: b"\xff" * size) as pool,
    ):
        subscription = pool.subscribe("in", to_keys(), Inbox())
        caller = await relay.caller()
        await caller.expect("REQ")
        await caller.send("CLOSED", "in:0", words)
        for _ in range(ticks):
            await clock.pass_sleep(1, 1)
        await caller.expect("REQ")
        assert subscription.refusals == {relay.url: words}
        assert pool.status()[0].refused == words
        await caller.send("EOSE", "in:0")
        assert await within(subscription.wait_eose())
        assert (subscription.refusals, pool.status()[0].refused) == ({}, "")


async def test_a_refusal_is_shown_and_ends_the_wait() -> None:
    async with scene() as (relay, pool, _):
        subscription = pool.subscribe("in", to_keys(), Inbox())
        caller = await relay.caller()
        await caller.expect("REQ")
        await caller.send("CLOSED", "in:0", "unsupported: no #e here")
        other = pool.subscribe("other", to_keys(), Inbox())
        await caller.expect("REQ")
        await caller.send("EOSE", "other:0")
        assert await within(other.wait_eose())
        assert subscription.refusals == {relay.url: "unsupported: no #e here"}


async def test_a_wait_for_eose_has_an_end() -> None:
    async with scene() as (relay, pool, clock):
        subscription = pool.subscribe("in", to_keys(), Inbox())
        await relay.caller()
        wait = asyncio.create_task(subscription.wait_eose())
        await clock.pass_sleep(5, 5)
        assert not await within(wait)


# ---------------------------------------------------------------- publishing


async def test_one_relay_that_says_true_is_enough() -> None:
    async with scripted_relay() as good, scripted_relay() as silent, pool_of(good, silent) as pool:
        event = note()
        task = publishing(pool, event)
        caller = await good.caller()
        frame = await caller.expect("EVENT")
        assert frame[1]["id"] == event.id
        await (await silent.caller()).expect("EVENT")
        await caller.send("OK", event.id, True, "")
        result = await within(task)
    assert result.accepted
    assert result.relays[good.url].answer is RelayAnswer.ACCEPTED
    assert result.relays[silent.url].answer is RelayAnswer.SENT


async def test_events_to_a_relay_that_confirms_nothing_are_sent_three_times_and_end_as_sent() -> None:
    async with scene() as (relay, pool, clock):
        caller = await relay.caller()
        tasks = [publishing(pool, note(content=str(number))) for number in range(150)]
        for _ in range(int(PUBLISH_DEADLINE_S)):
            await clock.pass_sleep(1, 1)
        results = [await within(task) for task in tasks]
        assert {result.relays[relay.url].answer for result in results} == {RelayAnswer.SENT}
        pool.subscribe("in", to_keys(), Inbox())
        assert [(await caller.receive())[0] for _ in range(451)] == ["EVENT"] * 450 + ["REQ"]


async def test_what_nobody_is_listening_for_is_not_sent_again() -> None:
    async with scene() as (relay, pool, _):
        caller = await relay.caller()
        event = note()
        task = publishing(pool, event)
        await caller.expect("EVENT")
        await caller.send("OK", event.id, False, "mute: no one was listening for this")
        result = await within(task)
        assert (result.accepted, result.relays[relay.url].answer) == (False, RelayAnswer.UNHEARD)


async def test_a_refusal_without_an_id_is_about_the_oldest_event_that_the_relay_has_not_answered() -> None:
    async with scene() as (relay, pool, clock):
        caller = await relay.caller()
        events = [note(content=content) for content in ("taken", "too long", "under way")]
        taken, too_long, under_way = [publishing(pool, event) for event in events]
        for _ in events:
            await caller.expect("EVENT")
        await caller.send("OK", "", True, "")  # says nothing about anything
        await caller.send("OK", events[0].id, True, "")
        await caller.send("OK", "", False, "invalid: too long")
        result = await within(too_long)
        assert (result.accepted, result.relays[relay.url]) == (False, Verdict(RelayAnswer.REFUSED, "invalid: too long"))
        assert (await within(taken)).accepted
        for _ in range(int(OK_TIMEOUT_S)):
            await clock.pass_sleep(1, 1)
        assert (await caller.expect("EVENT"))[1]["id"] == events[2].id
        await caller.send("OK", "", False, "")
        await caller.send("OK", events[2].id, True, "")
        assert (await within(under_way)).accepted
        await caller.send("OK", "", False, "invalid: nothing is under way")
        assert pool.connected_urls() == [relay.url]


async def test_an_event_on_its_way_goes_to_further_relays_with_one_result_for_all() -> None:
    async with scripted_relay() as first, scripted_relay() as later, pool_of(first, later) as pool:
        event = note()
        one = publishing(pool, event, relays=[first.url])
        caller = await first.caller()
        await caller.expect("EVENT")
        two = publishing(pool, event, relays=[first.url, later.url])
        other = await later.caller()
        await other.expect("EVENT")
        await other.send("OK", event.id, True, "")
        assert (await within(one)).accepted
        assert (await within(two)).relays.keys() == {first.url, later.url}


async def test_every_relay_can_be_asked_for() -> None:
    async with scripted_relay() as one, scripted_relay() as two, pool_of(one, two) as pool:
        task = publishing(pool, note(), every=True)
        for relay in (one, two):
            assert not task.done()
            caller = await relay.caller()
            frame = await caller.expect("EVENT")
            await caller.send("OK", frame[1]["id"], True, "")
        assert (await within(task)).accepted


@pytest.mark.parametrize(
    ("accepted", "message", "answer"),
    [
        (False, "duplicate: have it", RelayAnswer.ACCEPTED),
        (True, "", RelayAnswer.ACCEPTED),
        (False, "blocked: not you", RelayAnswer.REFUSED),
        (False, "invalid: too old", RelayAnswer.REFUSED),
        (False, "restricted: members only", RelayAnswer.REFUSED),
    ],
)
async def test_a_final_answer_ends_the_publication(accepted: bool, message: str, answer: RelayAnswer) -> None:
    async with scene() as (relay, pool, _):
        event = note()
        task, joined = publishing(pool, event), publishing(pool, event)
        caller = await relay.caller()
        await caller.expect("EVENT")
        await caller.send("OK", event.id, accepted, message)
        result = await within(task)
        assert result == await within(joined)
        assert result.accepted is (answer is RelayAnswer.ACCEPTED)
        assert result.relays[relay.url].answer is answer
        assert result.relays[relay.url].message == message


@pytest.mark.parametrize("answer", [None, "rate-limited: slow down", "error: disk", "no reason"])
async def test_an_event_without_a_final_answer_is_sent_again_with_growing_pauses(answer: str | None) -> None:
    async with scene() as (relay, pool, clock):
        event = note()
        task = publishing(pool, event, deadline_s=100)
        caller = await relay.caller()
        await caller.expect("EVENT")
        for ticks in (5, 10):
            if answer is not None:
                await caller.send("OK", event.id, False, answer)
            for _ in range(ticks):
                await clock.pass_sleep(1, 1)
            await caller.expect("EVENT")
            assert pool.verdicts(event.id)[relay.url].message == (answer or "")
        await caller.send("OK", event.id, True, "")
        assert (await within(task)).accepted
        assert pool.verdicts(event.id) == {}
        pool.subscribe("fence", to_keys(), Inbox())
        await caller.expect("REQ")  # and no further EVENT before it


async def test_an_event_that_nobody_takes_is_handed_back_at_the_deadline() -> None:
    clock = ManualClock()
    async with RelayPool(["ws://127.0.0.1:9"], clock=clock, entropy=entropy) as pool:
        task = publishing(pool, note(), deadline_s=2)
        await clock.pass_sleep(1, 1)
        await clock.pass_sleep(1, 1)
        result = await within(task)
    assert not result.accepted
    assert result.relays["ws://127.0.0.1:9"].answer is RelayAnswer.NONE


async def test_an_unanswered_event_is_sent_again_on_the_next_connection() -> None:
    async with scene() as (relay, pool, clock):
        event = note()
        task = publishing(pool, event)
        first = await relay.caller()
        await first.expect("EVENT")
        closing = asyncio.create_task(first.socket.close())
        await clock.pass_sleep(0.5, 0.9999)
        second = await relay.caller()
        await second.expect("EVENT")
        await second.send("OK", event.id, True, "")
        assert (await within(task)).accepted
        await closing


async def test_stopping_ends_what_is_under_way() -> None:
    async with scene() as (_, pool, _clock):
        task = publishing(pool, note())
        await asyncio.sleep(0)
        await pool.stop()
        assert not (await within(task)).accepted


# ---------------------------------------------------------------- a foreign relay, foreign codes


async def test_the_pool_works_with_an_independent_relay_that_asks_for_authentication() -> None:
    now = nostr_sdk.Timestamp.now().as_secs()
    mode = nostr_sdk.LocalRelayBuilderNip42(mode=nostr_sdk.LocalRelayBuilderNip42Mode.BOTH)
    relay = nostr_sdk.LocalRelayBuilder().nip42(mode).build()
    await relay.run()
    url = str(await relay.url())
    try:
        async with (
            RelayPool([url], clock=StandingClock(now), entropy=entropy, signers={BOB.public_hex: BOB}) as service,
            RelayPool([url], clock=StandingClock(now), entropy=entropy, signers={ALICE.public_hex: ALICE}) as client,
        ):
            inbox, event = Inbox(), note(at=now)
            assert await service.connected()
            assert await service.subscribe("in", to_keys(), inbox, keys=[BOB.public_hex]).wait_eose()
            assert (await client.publish(event)).accepted
            assert await inbox.next() == event
            assert decode_event(nostr_sdk.Event.from_json(encode_event(event).decode()).as_json()) == event
    finally:
        relay.shutdown()


async def test_a_relay_of_a_foreign_code_is_checked_unless_it_is_the_callers_own() -> None:
    async with scripted_relay() as relay:
        port = relay.url.rpartition(":")[2]
        clock = ManualClock()
        foreign = [f"wss://127.0.0.1:{port}", f"wss://relay.invalid:{port}"]
        async with RelayPool([relay.url], foreign=[relay.url + "/", foreign[1]], clock=clock, entropy=entropy) as pool:
            await relay.caller()
            assert [status.url for status in pool.status()] == [relay.url, foreign[1]]
        options = PoolOptions(allow_private=True)
        async with RelayPool([], foreign=[relay.url], clock=clock, entropy=entropy, options=options):
            await relay.caller()
