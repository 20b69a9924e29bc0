"""CLINK Manage through the gateway: real events in, real events out, before a real engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.app.home.config import RequestLimits
from kitestring.base.approvals import Ruling
from kitestring.base.errors import NotStoredError, Reason
from kitestring.codec.pointers import Noffer, PriceType, decode
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from tests.kit.app.door import STRANGER, Door, door
from tests.kit.engine.rig import Life

DENIED = {"res": "GFY", "code": 1, "error": "Request Denied: this is not permitted"}
MUG = {"label": "Mug", "price_sats": 12_000, "callback_url": "", "payer_data": ["email"]}
CREATE = {"action": "create", "pointer": "shop", "offer": {"fields": MUG}}


def ask(door: Door, members: Any = CREATE, **how: Any) -> Event:
    """A request of an app, to the service's own key."""
    text = members if isinstance(members, str) else json.dumps({"resource": "offer"} | members)
    asking: dict[str, Any] = {"key": STRANGER, "to": door.keyring.service_id, "kind": kinds.MANAGE}
    return door.event(text, **(asking | how))


async def granted(door: Door) -> None:
    await door.rig.link()
    await door.rig.let_manage("shop", STRANGER.public_hex)
    await door.refresh()


@door()
async def test_an_app_makes_changes_lists_and_deletes_its_offer(life: Life, door: Door) -> None:
    await granted(door)
    event = ask(door)
    (made,) = await door.tell(event)
    details = made["details"]
    assert (made["res"], made["resource"], details | MUG) == ("ok", "offer", details)
    code = decode(details["noffer"])
    assert isinstance(code, Noffer)
    assert (code.pubkey, code.offer, code.price_type) == (door.keyring.service_id, details["id"], PriceType.VARIABLE)
    reply = door.pool.sent[-1]
    assert (reply.kind, reply.pubkey) == (21_003, door.keyring.service_id)
    assert reply.tags == [["p", STRANGER.public_hex], ["e", event.id], ["clink_version", "1"]]
    patch = {"action": "update", "offer": {"id": details["id"], "fields": {"price_sats": 13_000}}}
    (changed,) = await door.tell(ask(door, patch))
    assert changed["details"] == details | {"price_sats": 13_000}, "the code stays good"
    (looked,) = await door.tell(ask(door, {"action": "get", "offer": {"id": details["id"]}}))
    (listed,) = await door.tell(ask(door, {"action": "list"}))
    assert (looked["details"], listed["details"]) == (changed["details"], [changed["details"]])
    gone = {"action": "delete", "offer": {"id": details["id"]}}
    for _ in range(2):
        assert await door.tell(ask(door, gone)) == [{"res": "ok", "resource": "offer"}]
    (after,) = await door.tell(ask(door, {"action": "get", "offer": {"id": details["id"]}}))
    assert after["code"] == 6


@door()
async def test_a_copy_of_a_request_gets_the_same_answer_over_a_restart_and_makes_nothing(
    life: Life, door: Door
) -> None:
    await granted(door)
    event = ask(door)
    first = await door.tell(event)
    assert await door.tell(event) == first
    await door.forget()
    assert await door.tell(event) == first
    await door.clock.sleep(3_600)
    assert await door.tell(event) == first, "whatever its age is"
    assert len(await door.rig.store.offers()) == 1


@door()
async def test_a_request_that_is_stale_or_none_is_told_why_and_one_that_nobody_reads_nothing(
    life: Life, door: Door
) -> None:
    await granted(door)
    (stale,) = await door.tell(ask(door, age_s=31))
    assert (stale["code"], stale["delta"]) == (3, {"max_delta_ms": 30_000, "actual_delta_ms": 31_000})
    assert [reply["code"] for reply in await door.tell(ask(door, age_s=-31))] == [3]
    assert await door.tell(ask(door, age_s=3_601)) == []
    assert [reply["code"] for reply in await door.tell(ask(door, "[]"))] == [6]
    (bad,) = await door.tell(ask(door, CREATE | {"offer": {"fields": MUG | {"price_sats": -1}}}))
    assert (bad["code"], bad["field"], bad["range"]["min"]) == (5, "price_sats", 0)
    event = ask(door)
    garbled = sign_event(
        STRANGER, kind=event.kind, tags=event.tags, content="AgAAAA" + "A" * 200, created_at=event.created_at,
        aux=b"\x00" * 32,
    )  # fmt: skip
    assert await door.tell(garbled) == []
    assert await door.tell(ask(door, cipher="nip04")) == []
    assert await door.tell(ask(door, to=door.grant_key)) == []
    assert await door.rig.store.offers() == []


@pytest.mark.parametrize("tags", [[], [["clink_version", "2"]]], ids=["none", "another"])
def test_a_request_of_another_version_is_invalid(life: Life, tags: list[list[str]]) -> None:
    @door()
    async def story(_: Life, opened: Door) -> None:
        await granted(opened)
        event = ask(opened)
        other = sign_event(
            STRANGER, kind=event.kind, tags=[event.tags[0], *tags], content=event.content,
            created_at=event.created_at, aux=b"\x00" * 32,
        )  # fmt: skip
        assert [reply["code"] for reply in await opened.tell(other)] == [6]
        assert await opened.rig.store.offers() == []

    story(life)


@door()
async def test_a_stranger_is_denied_once_and_leaves_no_row(life: Life, door: Door) -> None:
    await door.rig.link(strangers="deny")
    await door.refresh()
    event = ask(door)
    assert await door.tell(event) == [
        DENIED | {"error": "Request Denied: the owner has not allowed this key to manage offers"}
    ]
    assert await door.tell(event) == []
    assert await door.rig.store.request(event.id) is None
    assert await door.tell(ask(door, CREATE | {"pointer": "nowhere"})) == [DENIED]
    assert await door.tell(ask(door, CREATE | {"pointer": None})) == [DENIED]


@door()
async def test_what_a_known_app_is_refused_is_kept_over_a_restart_and_a_look_is_not(life: Life, door: Door) -> None:
    await granted(door)
    foreign = {"action": "update", "offer": {"id": "x", "fields": {"label": "b"}}}
    event, look = ask(door, foreign), ask(door, {"action": "get", "offer": {"id": "x"}})
    (refused,), (looked,) = await door.tell(event), await door.tell(look)
    assert refused == looked == {"res": "GFY", "code": 6, "error": "Invalid Request: you have no such offer here"}
    await door.forget()
    assert await door.tell(event) == [refused]
    assert await door.rig.store.request(event.id) is not None
    assert await door.rig.store.request(look.id) is None


@door()
async def test_nothing_is_said_while_the_owner_decides_and_then_the_answer_has_the_offer(
    life: Life, door: Door
) -> None:
    await door.rig.link()
    await door.refresh()
    event = ask(door)
    assert await door.tell(event) == []
    assert await door.tell(event) == []
    await door.rig.decide(Ruling.ALWAYS)
    await door.refresh()
    (made,) = await door.tell(event)
    assert made["details"]["label"] == "Mug"
    (second,) = await door.tell(ask(door, CREATE | {"offer": {"label": "Cup", "price_sats": 0}}))
    assert second["details"]["price_sats"] == 0


@door(RequestLimits(requests_per_min=2))
async def test_a_flood_of_one_app_is_told_when_it_may_go_on(life: Life, door: Door) -> None:
    await granted(door)
    answers = [reply for _ in range(4) for reply in await door.tell(ask(door, {"action": "list"}))]
    limited = [reply for reply in answers if reply["res"] == "GFY"]
    assert limited[0]["code"] == 4
    assert limited[0]["retry_after"] > door.clock.now()


@door()
async def test_a_disk_that_is_full_makes_nothing_and_says_so(life: Life, door: Door) -> None:
    await granted(door)
    door.rig.store.broken["ManageOffers"] = [NotStoredError(Reason.INTERNAL, "the disk is full")]
    event = ask(door)
    (reply,) = await door.tell(event)
    assert reply["code"] == 2
    assert await door.tell(event) == [], "no copy of it is carried out"
    assert await door.rig.store.offers() == []
