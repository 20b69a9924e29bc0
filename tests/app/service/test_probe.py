"""Requests to ourselves: which relay carries what, over real relays."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kitestring.app.service import probe as module
from kitestring.app.service.probe import Probe, chosen
from kitestring.app.service.relay_word import Carried
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event
from kitestring.nostr.filter import Filter
from kitestring.nostr.kinds import NWC_REQUEST
from kitestring.relay.limits import RelayLimits
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock
from kitestring.transport.relays import RelayPool
from kitestring.transport.subscriptions import Subscription
from kitestring.wire.grammar import Speakers
from kitestring.wire.registry import KINDS_OF, WINDOWS
from tests.kit.transport.relays import ScriptedRelay, scripted_relay, within

SERVICE, FIRST, SECOND = (SecretKey(bytes([number]) * 32) for number in (1, 2, 3))
STRANGERS = len(KINDS_OF[Speakers.STRANGERS])


def new_relay(kinds: frozenset[int] | None = None, *, auth: bool = False) -> Relay:
    return Relay(None, clock=SystemClock(), entropy=os.urandom, limits=RelayLimits(kinds=kinds), auth=auth)


@asynccontextmanager
async def listening(*relays: str) -> AsyncIterator[tuple[Probe, Subscription, list[Event]]]:
    """A pool on these relays, its standing question, and what was left for others to look at."""
    signers = {key.public_hex: key for key in (SERVICE, FIRST, SECOND)}
    clock, others = SystemClock(), list[Event]()
    async with RelayPool(relays, clock=clock, entropy=os.urandom, signers=signers) as pool:
        probe = Probe(pool, signers, clock, os.urandom)

        def receive(event: Event, url: str) -> None:
            if not probe.heard(event, url):
                others.append(event)

        requests = pool.subscribe(
            "requests", lambda keys: [Filter(kinds=frozenset(WINDOWS), tags={"p": frozenset(keys)})], receive,
            keys=list(signers),
        )  # fmt: skip
        await requests.wait_eose()
        yield probe, requests, others


async def asked(probe: Probe, requests: Subscription) -> list[Carried]:
    return await within(probe.ask(SERVICE.public_hex, chosen(requests, SERVICE.public_hex)))


@pytest.mark.parametrize("auth", [False, True], ids=["open", "with authentication"])
async def test_a_good_relay_carries_requests_to_every_key_in_every_kind(auth: bool) -> None:
    async with new_relay(auth=auth) as relay, listening(relay.url) as (probe, requests, others):
        (carried,) = await asked(probe, requests)
        assert (carried.url, carried.connected, carried.asked) == (relay.url, True, STRANGERS + 2)
        assert (carried.unheard, carried.words, others) == (set(), "", [])


async def test_a_relay_that_is_away_is_asked_nothing() -> None:
    async with (
        new_relay() as relay,
        listening(relay.url, "ws://127.0.0.1:9") as (probe, requests, _),
    ):
        there, away = await asked(probe, requests)
        assert (there.connected, there.unheard) == (True, set())
        assert (away.url, away.connected, away.asked, bool(away.words)) == ("ws://127.0.0.1:9", False, 0, True)


async def test_a_relay_that_takes_no_requests_is_named_with_its_words() -> None:
    async with (
        new_relay(frozenset({1})) as relay,
        listening(relay.url) as (probe, requests, _),
    ):
        (carried,) = await asked(probe, requests)
        assert carried.unheard == {SERVICE.public_hex, FIRST.public_hex, SECOND.public_hex}
        assert carried.words.startswith("blocked: ")


@pytest.mark.parametrize("missing", sorted(KINDS_OF[Speakers.STRANGERS]))
async def test_a_relay_that_does_not_take_one_of_the_kinds_of_a_key_is_named(missing: int) -> None:
    async with (
        new_relay(frozenset(WINDOWS) - {missing}) as relay,
        listening(relay.url) as (probe, requests, _),
    ):
        (carried,) = await asked(probe, requests)
        assert carried.unheard == {SERVICE.public_hex}
        assert carried.words.startswith("blocked: ")


async def test_a_relay_that_takes_everything_and_gives_nothing_back_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BACK_S", 0.2)
    async with scripted_relay() as relay, listening_to(relay) as (probe, requests):
        (carried,) = await asked(probe, requests)
        assert carried.unheard == {SERVICE.public_hex, FIRST.public_hex, SECOND.public_hex}
        assert carried.words == ""


@asynccontextmanager
async def listening_to(relay: ScriptedRelay) -> AsyncIterator[tuple[Probe, Subscription]]:
    async def swallow() -> None:
        caller = await relay.caller()
        while True:
            frame = await caller.receive()
            if frame[0] == "REQ":
                await caller.send("EOSE", frame[1])
            else:
                await caller.send("OK", frame[1]["id"], True, "")

    swallowing = asyncio.create_task(swallow())
    async with listening(relay.url) as (probe, requests, _):
        yield probe, requests
        swallowing.cancel()


async def test_other_events_are_left_to_others_also_while_it_asks() -> None:
    async with new_relay() as relay, listening(relay.url) as (probe, requests, others):
        asking = asyncio.create_task(asked(probe, requests))
        event: Any = probe._sign(FIRST.public_hex, NWC_REQUEST)
        assert not probe.heard(event, relay.url)
        await asking
        assert others == []


class Requests:
    """A subscription as far as its keys go."""

    def __init__(self, *chunks: list[str]) -> None:
        self.chunks = {str(number): Chunk(keys) for number, keys in enumerate(chunks)}


class Chunk:
    def __init__(self, keys: list[str]) -> None:
        self.keys = dict.fromkeys(keys)


def keys_of(*chunks: list[str]) -> list[str]:
    requests: Any = Requests(*chunks)
    return chosen(requests, "service")


def test_up_to_200_keys_are_all_asked_and_of_more_one_of_each_request_and_the_newest() -> None:
    many = [f"k{number}" for number in range(450)]
    assert chosen(None, "service") == []
    assert keys_of(["service", *many[:199]], many[199:200]) == many[:200]
    assert keys_of(["service", *many[:199]], many[199:399], many[399:]) == ["k0", "k199", "k399", "k449"]
    assert keys_of(*[[key] for key in ["service", *many]])[-2:] == ["k198", "k449"]
