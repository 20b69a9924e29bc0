"""The answer is heard on relays that differ in what they index, from wallets that differ in tags and clocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kitestring.client.hearing import MAX_STORED, SINCE_S, WAYS, Hearing
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


def exchange(relays: RelayPool) -> Exchange:
    dialog, over = Dialog.nwc(CLIENT, SERVICE.public_hex, "nip44"), net(IMPATIENT)
    return Exchange(relays, dialog, dialog.request("{}", over), over)


@pytest.mark.parametrize("late_s", [0, 120, 1_200, 14 * 3_600, -120, -1_200])
@pytest.mark.parametrize("tagged", [True, False], ids=["with p", "without p"])
@pytest.mark.parametrize("name", RELAYS)
async def test_the_answer_is_heard(name: str, tagged: bool, late_s: int) -> None:
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
        exchange(relays) as asked,
    ):
        assert await asked.next(str, PATIENCE_S) == '{"answer": 42}'


async def test_one_request_hears_what_names_it_and_beside_it_a_bounded_part_of_all_that_the_service_says() -> None:
    (by_request, by_service) = WAYS[0](EXPECTED, NOW - SINCE_S)
    assert (by_request.since, by_request.limit, by_request.tags) == (None, None, {"e": {EXPECTED.request_id}})
    assert (by_service.since, by_service.limit, by_service.tags) == (NOW - SINCE_S, MAX_STORED, {})
    for wanted in (by_request, by_service):
        assert (wanted.kinds, wanted.authors) == ({kinds.NWC_RESPONSE}, {SERVICE.public_hex})


async def test_the_ways_of_asking_come_to_an_end_and_are_closed_with_the_hearing() -> None:
    async with (
        hostile_relay(lambda _: None, refuses_req=lambda _: "blocked: not you") as relay,
        pool(relay.url) as relays,
    ):
        assert await relays.connected()
        hearing = Hearing(relays, EXPECTED, NOW, lambda _event, _url: None)
        await hearing.open(PATIENCE_S)
        assert hearing.live_on() == []
        assert relay.labels() == ["REQ"] * len(WAYS)
        hearing.close()
        await Hearing(relays, EXPECTED, 5, lambda _event, _url: None).open(PATIENCE_S)  # the names are free again


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
