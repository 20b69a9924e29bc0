"""An operator's word about services, on real relays: nothing that the key has said before is lost."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.client.beacon import ServiceAddress, ask_beacon
from kitestring.client.net import Net, Waits
from kitestring.client.operator import attest_service, revoke_service
from kitestring.codec.beacon import BeaconContent
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event, verify_event
from kitestring.relay.limits import RelayLimits
from kitestring.relay.server import Relay
from kitestring.transport.clock import SystemClock
from kitestring.wire.beacon import ATTEST_D, MAX_SERVICES, REVOKE_D, SERVICE_D, beacon_draft, operator_draft
from tests.kit.client.hostile import hostile_relay
from tests.kit.relay.client import client

KEY, SERVICE, OTHER = (SecretKey(bytes([number]) * 32) for number in (12, 7, 8))
WHO, ONE, TWO = KEY.public_hex, SERVICE.public_hex, OTHER.public_hex
CLOCK = SystemClock()
NET = Net(CLOCK, os.urandom, waits=Waits(info_s=5, others_s=0.3))


@asynccontextmanager
async def relays(count: int = 1) -> AsyncIterator[list[Relay]]:
    async with AsyncExitStack() as running:
        yield [
            await running.enter_async_context(Relay(None, clock=CLOCK, entropy=os.urandom, limits=RelayLimits()))
            for _ in range(count)
        ]


def at(*running: Relay) -> tuple[str, ...]:
    return tuple(relay.url for relay in running)


async def kept(relay: Relay, d: str) -> list[Event]:
    async with client(relay) as reader:
        return await reader.ask("x", {"kinds": [kinds.BEACON], "authors": [WHO], "#d": [d]})


async def put(relay: Relay, event: Event) -> None:
    async with client(relay) as writer:
        assert (await writer.publish(event))[0] is True


def signed(d: str, *services: str, age_s: int = 100) -> Event:
    draft = operator_draft(d, services)
    return sign_event(KEY, kind=draft.kind, tags=draft.tags, content="", created_at=CLOCK.now() - age_s)


async def operated(relay: Relay) -> str:
    """What a reader is told about the first service."""
    draft = beacon_draft(BeaconContent(), WHO)
    await put(relay, sign_event(SERVICE, kind=draft.kind, tags=draft.tags, content="{}", created_at=CLOCK.now()))
    return (await ask_beacon(ServiceAddress(ONE), NET, at(relay))).operated


async def test_an_attestation_is_one_signed_document_with_the_tags_of_the_text() -> None:
    async with relays() as (relay,):
        word = await attest_service(ServiceAddress(ONE), KEY, NET, at(relay))
        (event,) = await kept(relay, ATTEST_D)
        assert await operated(relay) == "verified"
    assert event.tags == [["d", ATTEST_D], ["clink_version", "1"], ["service", ONE]]
    assert (event.kind, event.pubkey, event.content, verify_event(event)) == (30_078, WHO, "", True)
    assert (word.operator, word.attested, word.revoked) == (WHO, (ONE,), ())
    assert word.taken_by() == at(relay)


async def test_what_the_key_has_attested_before_is_kept_in_the_same_second_too() -> None:
    async with relays() as (relay,):
        for service in (ONE, TWO):
            word = await attest_service(ServiceAddress(service), KEY, NET, at(relay))
        (event,) = await kept(relay, ATTEST_D)
    assert set(word.attested) == {ONE, TWO}
    assert sorted(tag[1] for tag in event.tags if tag[0] == "service") == sorted((ONE, TWO))


async def test_a_revocation_leaves_the_attestation_alone_and_wins_and_is_taken_back_by_attesting_anew() -> None:
    async with relays() as (relay,):
        await attest_service(ServiceAddress(ONE), KEY, NET, at(relay))
        await revoke_service(ServiceAddress(TWO), KEY, NET, at(relay))
        revoked = await revoke_service(ServiceAddress(ONE), KEY, NET, at(relay))
        assert (revoked.attested, set(revoked.revoked)) == ((ONE,), {ONE, TWO})
        assert await operated(relay) == "revoked"
        again = await attest_service(ServiceAddress(ONE), KEY, NET, at(relay))
        assert (again.attested, again.revoked) == ((ONE,), (TWO,))
        assert await operated(relay) == "verified"


async def test_the_newest_on_any_relay_is_what_the_new_one_builds_on() -> None:
    async with relays(2) as (first, second):
        await put(first, signed(ATTEST_D, age_s=200))
        await put(second, signed(ATTEST_D, TWO, age_s=100))
        await attest_service(ServiceAddress(ONE), KEY, NET, at(first, second))
        found = [await kept(relay, ATTEST_D) for relay in (first, second)]
    assert found[0] == found[1]
    assert {tag[1] for tag in found[0][0].tags if tag[0] == "service"} == {ONE, TWO}


async def test_one_from_a_clock_that_was_ahead_is_replaced_all_the_same() -> None:
    async with relays() as (relay,):
        ahead = signed(ATTEST_D, TWO, age_s=-20)
        await put(relay, ahead)
        word = await attest_service(ServiceAddress(ONE), KEY, NET, at(relay))
        (event,) = await kept(relay, ATTEST_D)
    assert (set(word.attested), event.created_at) == ({ONE, TWO}, ahead.created_at + 1)


async def test_what_is_said_already_is_sent_again_as_it_is_so_that_a_new_relay_has_it_too() -> None:
    async with relays(2) as (first, second):
        await attest_service(ServiceAddress(ONE), KEY, NET, at(first))
        await attest_service(ServiceAddress(ONE), KEY, NET, at(first, second))
        assert await kept(first, ATTEST_D) == await kept(second, ATTEST_D) != []


async def test_nothing_is_published_while_a_relay_does_not_tell_what_the_key_says() -> None:
    async with relays() as (relay,), hostile_relay(lambda _: None, mute=True) as mute:
        await put(relay, before := signed(ATTEST_D, TWO))
        for say in (attest_service, revoke_service):
            with pytest.raises(KitestringError, match=r"not every relay tells .*no answer.* would be lost") as caught:
                await say(ServiceAddress(ONE), KEY, NET, (relay.url, mute.url))
            assert caught.value.reason is Reason.UNAVAILABLE
        assert (await kept(relay, ATTEST_D), await kept(relay, REVOKE_D)) == ([before], [])
    assert [frame for frame in mute.log if frame[0] == "EVENT"] == []


async def test_where_no_relay_takes_it_that_is_told_with_its_words() -> None:
    limits = replace(RelayLimits(), kinds=frozenset({1}))
    async with Relay(None, clock=CLOCK, entropy=os.urandom, limits=limits) as relay:
        with pytest.raises(KitestringError, match="no relay takes the attestation") as caught:
            await attest_service(ServiceAddress(ONE), KEY, NET, at(relay))
    assert caught.value.reason is Reason.UNAVAILABLE
    assert relay.url in caught.value.message


async def test_more_services_than_a_document_holds_are_refused_before_anything_is_said() -> None:
    services = [f"{number:064x}" for number in range(MAX_SERVICES)]
    async with relays() as (relay,):
        await put(relay, before := signed(ATTEST_D, *services))
        with pytest.raises(KitestringError, match="at most 400 services") as caught:
            await attest_service(ServiceAddress(ONE), KEY, NET, at(relay))
        assert await kept(relay, ATTEST_D) == [before]
    assert caught.value.reason is Reason.MALFORMED


def test_the_three_documents_never_replace_one_another() -> None:
    assert len({SERVICE_D, ATTEST_D, REVOKE_D}) == 3
