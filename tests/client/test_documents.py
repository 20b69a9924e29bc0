"""Documents on relays: the newest counts, whoever shows it, and no relay can make one or crowd the others out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from kitestring.client.documents import MAX_LOOKED_AT, Documents, find_documents
from kitestring.client.net import Waits
from kitestring.nostr import kinds
from kitestring.nostr.event import Event
from kitestring.transport.link import RelayStatus
from kitestring.transport.subscriptions import Handler
from kitestring.wire.beacon import ATTEST_D, REVOKE_D
from tests.kit.client.beacons import OPERATOR, attestation, document, revocation
from tests.kit.client.hostile import PATIENT, SERVICE, STRANGER, hostile_relay, pool
from tests.kit.clock import NOW

NAMES = (ATTEST_D, REVOKE_D)
SOON = Waits(info_s=0.2, others_s=0.1)


async def found(*urls: str, waits: Waits = PATIENT, connected: int = 1) -> Documents:
    async with pool(*urls) as relays, asyncio.timeout(20):
        assert await relays.connected(connected)
        return await find_documents(relays, kinds.BEACON, OPERATOR.public_hex, NAMES, waits)


def forged(event: Event) -> Event:
    return msgspec.structs.replace(event, sig="00" * 64)


async def test_the_newest_of_each_counts_whichever_relay_shows_it() -> None:
    old, new, other = attestation(at=NOW - 5), attestation(at=NOW), revocation(at=NOW - 9)
    async with (
        hostile_relay(lambda _: None, stored=[new]) as first,
        hostile_relay(lambda _: None, stored=[old, other]) as second,
    ):
        documents = await found(first.url, second.url, connected=2)
    assert documents.newest == {ATTEST_D: new, REVOKE_D: other}
    assert set(documents.told_by) == {first.url, second.url}
    assert (documents.refusals, documents.trouble) == ({}, "")


async def test_what_a_relay_makes_up_does_not_count() -> None:
    lies = [
        forged(attestation()),
        attestation(key=STRANGER),
        msgspec.structs.replace(attestation(key=STRANGER), pubkey=OPERATOR.public_hex),
        document("clink-node", SERVICE.public_hex),
        msgspec.structs.replace(attestation(), kind=1),
        msgspec.structs.replace(attestation(), tags=[["d"]]),
        msgspec.structs.replace(attestation(), tags=[]),
    ]
    async with hostile_relay(lambda _: None, stored=lies) as relay:
        assert (await found(relay.url)).newest == {}


class InThisOrder:
    """In the place of a pool and of its subscription: shows events one after the other, each of its relay."""

    def __init__(self, *shown: tuple[str, Event]) -> None:
        self._shown = shown
        self.refusals: dict[str, str] = {}

    def subscribe(self, _name: str, _source: Any, handler: Handler) -> InThisOrder:
        for url, event in self._shown:
            handler(event, url)
        return self

    def status(self) -> list[RelayStatus]:
        return [RelayStatus(url, True, 1, "", 0, "", "", "") for url in self.live_on()]

    def live_on(self) -> list[str]:
        return sorted({url for url, _ in self._shown})

    async def until(self, holds: Callable[[], bool], _timeout_s: float) -> bool:
        return holds()

    def close(self) -> None:
        pass


async def test_a_flood_of_one_relay_hides_nothing_of_another_and_is_not_read_to_its_end() -> None:
    right = attestation(at=NOW)
    flood = [("ws://hostile", forged(attestation(at=NOW + number))) for number in range(MAX_LOOKED_AT)]
    relays: Any = InThisOrder(*flood, ("ws://hostile", attestation(at=NOW + 99)), ("ws://good", right))
    documents = await find_documents(relays, kinds.BEACON, OPERATOR.public_hex, NAMES, PATIENT)
    assert documents.newest == {ATTEST_D: right}


async def test_of_what_does_not_count_by_its_content_an_older_one_is_taken() -> None:
    odd, plain = attestation(at=NOW), attestation(at=NOW - 5)
    async with hostile_relay(lambda _: None, stored=[odd, plain]) as relay, pool(relay.url) as relays:
        assert await relays.connected()
        documents = await find_documents(
            relays, kinds.BEACON, OPERATOR.public_hex, NAMES, PATIENT,
            lambda event: "kept" if event.created_at < NOW else None,
        )  # fmt: skip
    assert documents.newest == {"kept": plain}


async def test_the_relays_that_do_not_answer_are_named_with_their_words() -> None:
    async with (
        hostile_relay(lambda _: None, stored=[attestation()]) as good,
        hostile_relay(lambda _: None, refuses_req=lambda _: "restricted: members only") as closed,
        hostile_relay(lambda _: None, mute=True) as mute,
    ):
        away = "ws://127.0.0.1:9"
        documents = await found(good.url, closed.url, mute.url, away, waits=SOON, connected=3)
    assert documents.told_by == (good.url,)
    assert documents.newest.keys() == {ATTEST_D}
    assert documents.refusals.keys() == {closed.url, mute.url, away}
    assert documents.refusals[closed.url] == "restricted: members only"
    assert documents.refusals[mute.url] == "no answer"
    assert f"{closed.url}: restricted: members only" in documents.trouble


async def test_only_the_documents_that_are_looked_for_are_asked_for() -> None:
    async with hostile_relay(lambda _: None) as relay:
        await found(relay.url)
    (request,) = [frame for frame in relay.log if frame[0] == "REQ"]
    assert request[2:] == [{"authors": [OPERATOR.public_hex], "kinds": [30_078], "#d": sorted(NAMES)}]
