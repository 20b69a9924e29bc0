"""The answer is heard on relays that differ in what they index, from wallets that differ in tags and clocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from kitestring.client import hearing
from kitestring.client.hearing import MAX_STORED, SINCE_S, WAYS, Hearing, StandingReplies
from kitestring.client.session import Dialog, Exchange
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.transport.relays import RelayPool
from kitestring.wire.envelope import Expected
from tests.kit.client.hostile import (
    CLIENT,
    IMPATIENT,
    SERVICE,
    STRANGER,
    Request,
    hostile_relay,
    net,
    pool,
    refuses_e_tags,
)
from tests.kit.clock import NOW, PATIENCE_S

Wanted = dict[str, Any]
NOTHING: Wanted = {"ids": []}
EXPECTED = Expected(kinds.NWC_RESPONSE, SERVICE.public_hex, CLIENT.public_hex, "ab" * 32)


def wants_p_tags(wanted: Wanted) -> str:
    return "" if "#p" in wanted else "restricted: say whom it is for"


#: What a relay does with a filter, and which filters it refuses.
RELAYS: dict[str, tuple[Callable[[Wanted], Wanted], Callable[[Wanted], str]]] = {
    "all indexes": (lambda wanted: wanted, lambda _: ""),
    "finds nothing by e": (lambda wanted: NOTHING if "#e" in wanted else wanted, lambda _: ""),
    "finds nothing by p": (lambda wanted: NOTHING if "#p" in wanted else wanted, lambda _: ""),
    "finds nothing by tags": (lambda wanted: NOTHING if "#e" in wanted or "#p" in wanted else wanted, lambda _: ""),
    "does not look at tags": (
        lambda wanted: {name: value for name, value in wanted.items() if name[0] != "#"},
        lambda _: "",
    ),
    "refuses e": (lambda wanted: wanted, refuses_e_tags),
    "wants p": (lambda wanted: wanted, wants_p_tags),
}


def exchange(relays: RelayPool, standing: StandingReplies | None = None) -> Exchange:
    dialog, over = Dialog.nwc(CLIENT, SERVICE.public_hex, "nip44"), net(IMPATIENT)
    return Exchange(relays, dialog, dialog.request("{}", over), over, standing=standing)


@asynccontextmanager
async def standing(relays: RelayPool) -> AsyncIterator[StandingReplies]:
    one = StandingReplies(relays, replace(EXPECTED, request_id=""), net(IMPATIENT).clock)
    try:
        yield one
    finally:
        await one.close()


@pytest.mark.parametrize("late_s", [0, 120, 1_200, 14 * 3_600, -120, -1_200])
@pytest.mark.parametrize("tagged", [True, False], ids=["with p", "without p"])
@pytest.mark.parametrize("stands", [False, True], ids=["a REQ of its own", "a standing REQ"])
@pytest.mark.parametrize("name", RELAYS)
async def test_the_answer_is_heard(name: str, tagged: bool, late_s: int, stands: bool) -> None:
    if name == "wants p" and not tagged:
        return  # nobody can hear that there
    obeys, refuses_req = RELAYS[name]

    def script(request: Request) -> list[Event]:
        whole = request.reply({"answer": 42}, at=NOW - late_s)
        tags = [tag for tag in whole.tags if tagged or tag[0] != "p"]
        return [sign_event(SERVICE, kind=whole.kind, tags=tags, content=whole.content, created_at=whole.created_at)]

    async with (
        hostile_relay(script, obeys=obeys, refuses_req=refuses_req) as relay,
        pool(relay.url) as relays,
        standing(relays) as one,
        exchange(relays, one if stands else None) as asked,
    ):
        assert await asked.next(str, PATIENCE_S) == '{"answer": 42}'


async def test_one_request_hears_what_names_it_and_beside_it_a_bounded_part_of_all_that_the_service_says() -> None:
    (by_request, by_service) = WAYS[0](EXPECTED, NOW - SINCE_S)
    assert (by_request.since, by_request.limit, by_request.tags) == (None, None, {"e": {EXPECTED.request_id}})
    assert (by_service.since, by_service.limit, by_service.tags) == (NOW - SINCE_S, MAX_STORED, {})
    for wanted in (by_request, by_service):
        assert (wanted.kinds, wanted.authors) == ({kinds.NWC_RESPONSE}, {SERVICE.public_hex})


@pytest.mark.parametrize("kind", [kinds.OFFER, kinds.DEBIT])
async def test_where_every_reply_names_its_addressee_nobody_hears_what_the_service_says_to_others(kind: int) -> None:
    by_request, by_service = WAYS[0](replace(EXPECTED, kind=kind), NOW - SINCE_S)
    assert (by_request.kinds, by_request.tags) == ({kind}, {"e": {EXPECTED.request_id}})
    assert (by_service.authors, by_service.tags) == ({SERVICE.public_hex}, {"p": {CLIENT.public_hex}})
    assert (by_service.since, by_service.limit) == (NOW - SINCE_S, MAX_STORED)


async def test_the_ways_of_asking_come_to_an_end_and_are_closed_with_the_hearing() -> None:
    async with (
        hostile_relay(lambda _: None, refuses_req=lambda _: "blocked: not you") as relay,
        pool(relay.url) as relays,
    ):
        assert await relays.connected()
        asked = Hearing(relays, EXPECTED, lambda: NOW, lambda _event, _url: None)
        await asked.open(PATIENCE_S)
        assert asked.live_on() == []
        assert relay.labels() == ["REQ"] * len(WAYS)
        asked.close()
        await Hearing(relays, EXPECTED, lambda: 5, lambda _event, _url: None).open(
            PATIENCE_S
        )  # the names are free again


async def test_what_others_say_fills_no_room_of_the_exchange() -> None:
    def script(request: Request) -> list[Event]:
        noise = [request.reply({"answer": number}, about=f"{number:064x}") for number in range(200)]
        return [*noise, request.reply({"answer": 1}, key=STRANGER), request.reply({"answer": 42})]

    async with (
        hostile_relay(script) as relay,
        pool(relay.url) as relays,
        exchange(relays) as asked,
    ):
        assert await asked.next(str, PATIENCE_S) == '{"answer": 42}'


async def test_one_standing_req_brings_the_replies_to_all_requests_each_to_its_own() -> None:
    def script(request: Request) -> list[Event]:
        return [request.reply({"answer": request.event.id})]

    async with hostile_relay(script) as relay, pool(relay.url) as relays, standing(relays) as one:
        for together in (1, 5):
            asked = [exchange(relays, one) for _ in range(together)]
            await asyncio.gather(*(each.open() for each in asked))
            answers = await asyncio.gather(*(each.next(str, PATIENCE_S) for each in asked))
            assert answers == [f'{{"answer": "{each.request.id}"}}' for each in asked]
            for each in asked:
                each.close()
        assert relay.labels() == ["REQ", *["EVENT"] * 6]


async def test_a_reply_that_is_late_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay may have lost it, or the standing REQ without a word."""
    monkeypatch.setattr(hearing, "LATE_S", 0.05)
    stored: list[Event] = []
    async with (
        hostile_relay(lambda request: stored.append(request.reply({"answer": 42})), stored=stored) as relay,
        pool(relay.url) as relays,
        standing(relays) as one,
        exchange(relays, one) as asked,
    ):
        assert await asked.next(str, PATIENCE_S) == '{"answer": 42}'
        assert relay.labels() == ["REQ", "EVENT", "REQ"]


async def test_a_standing_req_is_asked_anew_after_a_connection_has_ended() -> None:
    async with (
        hostile_relay(lambda request: [request.reply({"answer": 42})]) as relay,
        pool(relay.url) as relays,
        standing(relays) as one,
    ):
        async with exchange(relays, one) as asked:
            assert await asked.next(str, PATIENCE_S) == '{"answer": 42}'
        await relay.hang_up()
        await relays.until(lambda: not relays.connected_urls(), PATIENCE_S)
        async with exchange(relays, one) as asked:
            assert await asked.next(str, PATIENCE_S) == '{"answer": 42}'
        assert relay.labels() == ["REQ", "EVENT"] * 2
