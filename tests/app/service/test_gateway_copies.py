"""Copies, late and surplus requests: one event has one answer, and answers themselves are bounded."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from kitestring.app.home.config import RequestRates
from kitestring.app.service import gateway as gateway_module
from kitestring.app.service import rates as rates_module
from kitestring.app.service import served as served_module
from kitestring.app.service.served import SERVED_S, Served
from kitestring.base.grants import Offer, OfferState
from kitestring.base.transactions import SaveOffer
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, first_tag, sign_event
from kitestring.policy.rates import Rate
from tests.kit.app.door import APP, STRANGER, Door, code, door
from tests.kit.clock import ManualClock
from tests.kit.engine.rig import Life

# ------------------------------------------------------------ copies


@door(rates=RequestRates(offer_requests_per_min=1))
async def test_a_copy_of_an_offer_request_takes_no_token_and_gets_the_same_invoice(life: Life, door: Door) -> None:
    await door.rig.offer("coffee")
    event = door.offer_request()
    (reply,) = await door.tell(event)
    assert "bolt11" in reply
    assert await door.tell(event) == [reply]


@door(rates=RequestRates(offer_requests_per_min=1))
async def test_a_refused_offer_request_is_not_answered_otherwise_by_a_later_copy(life: Life, door: Door) -> None:
    await door.rig.offer("coffee")
    await door.tell(door.offer_request())
    event = door.offer_request()
    (refused,) = await door.tell(event)
    assert refused["code"] == 2
    await door.clock.sleep(120)
    assert await door.tell(event) == []
    assert "bolt11" in (await door.tell(door.offer_request()))[0]


@door(rates=RequestRates(offer_requests_per_min=1))
async def test_after_a_restart_copies_of_answered_offer_requests_leave_room_for_new_payers(
    life: Life, door: Door
) -> None:
    await door.rig.offer("coffee")
    event = door.offer_request()
    (reply,) = await door.tell(event)
    await door.forget()
    assert await door.tell(event) == [reply]
    assert "bolt11" in (await door.tell(door.offer_request()))[0]


@door(rates=RequestRates(payments_per_min=1))
async def test_after_a_restart_a_copy_of_a_payment_is_not_called_too_many(life: Life, door: Door) -> None:
    event = door.request("pay_invoice", {"invoice": door.invoice()})
    (reply,) = await door.tell(event)
    await door.forget()
    await door.ask("pay_invoice", {"invoice": door.invoice()})
    assert await door.tell(event) == [reply]
    assert len(life.node.sends) == 2


@door()
async def test_what_is_met_with_silence_does_not_use_up_the_answers_of_its_sender(life: Life, door: Door) -> None:
    await door.rig.offer("coffee")
    for number in range(40):
        event = door.offer_request()
        content = f"AgAAAA{number:04}" + "A" * 200
        garbled = sign_event(
            STRANGER, kind=event.kind, tags=event.tags, content=content, created_at=event.created_at, aux=b"\x00" * 32
        )
        assert await door.tell(garbled) == []
    assert [len(await door.tell(door.offer_request("[]"))) for _ in range(5)] == [1] * 5


@door()
async def test_a_replay_for_an_offer_that_was_deleted_gets_only_the_stored_answer(life: Life, door: Door) -> None:
    await door.rig.offer("coffee")
    event = door.offer_request()
    (reply,) = await door.tell(event)
    await door.rig.write(
        SaveOffer(Offer(offer_id="coffee", label="coffee", account_id="owner", state=OfferState.DELETED))
    )
    assert await door.tell(event) == [reply]


@door(rates=RequestRates(requests_per_min=2))
async def test_copies_of_a_read_are_answered_once_and_take_no_token(life: Life, door: Door) -> None:
    event = door.request("get_balance")
    assert len(await door.tell(event)) == 1
    assert [await door.tell(event) for _ in range(5)] == [[]] * 5
    assert (await door.ask("get_balance"))["error"] is None


@door(rates=RequestRates(payments_per_min=1))
async def test_a_payment_that_was_told_it_is_too_many_is_not_paid_by_a_later_copy(life: Life, door: Door) -> None:
    await door.ask("pay_invoice", {"invoice": door.invoice()})
    event = door.request("pay_invoice", {"invoice": door.invoice()})
    (refused,) = await door.tell(event)
    assert code(refused) == "RATE_LIMITED"
    await door.clock.sleep(200)
    assert await door.tell(event) == []
    assert len(life.node.sends) == 1


@door()
async def test_an_expired_copy_of_a_finished_payment_gets_its_stored_answer(life: Life, door: Door) -> None:
    event = door.request("pay_invoice", {"invoice": door.invoice()}, expires_at=door.clock.now() + 30)
    (reply,) = await door.tell(event)
    await door.clock.sleep(31)
    assert await door.tell(event) == [reply]


@door()
async def test_what_a_relay_shows_at_every_reconnect_is_looked_at_once(life: Life, door: Door) -> None:
    event = door.request("pay_invoice", {"invoice": door.invoice()})
    (reply,) = await door.tell(event)
    await door.clock.sleep(7_200)
    assert await door.tell(event) == [reply]
    assert await door.tell(event) == []
    await door.clock.sleep(SERVED_S + 1)
    assert await door.tell(event) == [reply]


def test_what_was_served_is_forgotten_in_time_and_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_module, "MAX_SERVED", 2)
    clock = ManualClock()
    served = Served(clock)
    for name in "abc":
        served.add(name)
    assert [name in served for name in "abc"] == [False, True, True]
    clock.advance(SERVED_S)
    assert "c" not in served
    served.add("d")
    assert len(served) == 1


# ------------------------------------------------------------ too many


@pytest.mark.parametrize("text", ["{", "[]", '{"method":"pay_invoice","params":{"invoice":"x"}}'])
def test_malformed_requests_meet_the_limit_too(life: Life, text: str) -> None:
    @door(rates=RequestRates(requests_per_min=5))
    async def story(_: Life, opened: Door) -> None:
        told = [reply for _ in range(20) for reply in await opened.tell(opened.event(text))]
        assert [code(reply) for reply in told] == ["OTHER"] * 5 + ["RATE_LIMITED"]
        await opened.clock.sleep(5)
        assert len(await opened.tell(opened.event(text))) == 1

    story(life)


@door(rates=RequestRates(requests_per_min=1))
async def test_a_limited_request_is_told_under_its_own_method(life: Life, door: Door) -> None:
    await door.ask("get_balance")
    assert (await door.ask("get_info"))["result_type"] == "get_info"


@door(rates=RequestRates(requests_per_min=0, payments_per_min=0))
async def test_zero_is_no_limit(life: Life, door: Door) -> None:
    for _ in range(30):
        assert (await door.ask("pay_invoice", {"invoice": door.invoice()}))["error"] is None


OUTSIDE: dict[str, dict[str, Any]] = {
    "malformed": {"text": "[]"},
    "another version": {"tags": [["clink_version", "9"]]},
    "stale": {"age_s": 400},
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_strangers_who_reach_no_offer_are_answered_at_a_bounded_rate(life: Life, kind: str) -> None:
    how = dict(OUTSIDE[kind])
    tags = how.pop("tags", None)

    @door()
    async def story(_: Life, opened: Door) -> None:
        told: list[Any] = []
        for _number in range(50):
            event = opened.offer_request(**how)
            told += await opened.tell(event if tags is None else retagged(opened, event, tags))
        assert 30 <= len(told) <= 33  # five virtual seconds pass meanwhile

    story(life)


def retagged(opened: Door, event: Event, tags: list[list[str]]) -> Event:
    p = [tag for tag in event.tags if tag[0] == "p"]
    return sign_event(
        STRANGER, kind=event.kind, tags=[*p, *tags], content=event.content, created_at=event.created_at,
        aux=opened.rig.life.entropy(32),
    )  # fmt: skip


def test_answers_to_strangers_are_bounded_also_under_many_keys(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates_module, "STRANGER_REFUSALS", Rate(3, 3))

    @door()
    async def story(_: Life, opened: Door) -> None:
        keys = [SecretKey(bytes([number]) * 32) for number in range(20, 26)]
        told = [await opened.tell(opened.offer_request("[]", key=key)) for key in keys]
        assert [len(replies) for replies in told] == [1, 1, 1, 0, 0, 0]

    story(life)


@door(rates=RequestRates(offer_requests_per_min=1))
async def test_a_limited_payer_is_told_when_to_come_again_and_only_now_and_then(life: Life, door: Door) -> None:
    await door.rig.offer("coffee")
    await door.tell(door.offer_request())
    (refused,) = await door.tell(door.offer_request())
    assert 59 <= refused["retry_after"] - door.clock.now() <= 60
    assert await door.tell(door.offer_request()) == []
    await door.clock.sleep(5)
    assert len(await door.tell(door.offer_request())) == 1


@door()
async def test_stale_requests_leave_the_rate_of_new_ones_alone(life: Life, door: Door) -> None:
    told = [await door.tell(door.request("get_balance", age_s=400 + number)) for number in range(100)]
    assert 60 <= sum(map(len, told)) <= 70  # ten virtual seconds pass meanwhile
    assert (await door.ask("get_balance"))["error"] is None


@door()
async def test_a_flood_fills_one_line_a_minute(life: Life, door: Door) -> None:
    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    lines: list[str] = []
    handler = Lines()
    logging.getLogger("kitestring.gateway").addHandler(handler)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gateway_module, "MAX_IN_HAND", 0)
            for pause_s in (0, 0, 0, 61):
                await door.clock.sleep(pause_s)
                await door.tell(door.request("get_balance"))
    finally:
        logging.getLogger("kitestring.gateway").removeHandler(handler)
    assert [line.partition(":")[2].split()[0] for line in lines] == ["1", "3"]


# ------------------------------------------------------------ unreadable


def unreadable(opened: Door, cipher: str | None) -> Event:
    tags = [["p", opened.grant_key], *([["encryption", cipher]] if cipher else [])]
    return sign_event(
        APP, kind=23194, tags=tags, content="garbage", created_at=opened.clock.now(), aux=opened.rig.life.entropy(32)
    )


@pytest.mark.parametrize(
    ("grant", "tag", "nip04"),
    [({}, None, False), ({}, "nip44_v2", False), ({"nip44_seen": True}, None, False),
     ({"cipher": "nip44"}, "nip04", False), ({"cipher": "legacy"}, "nip44_v2", False),
     ({"cipher": "legacy"}, None, True)],
)  # fmt: skip
def test_what_cannot_be_read_is_answered_in_the_preferred_cipher(
    life: Life, grant: dict[str, Any], tag: str | None, nip04: bool
) -> None:
    @door(**grant)
    async def story(_: Life, opened: Door) -> None:
        event = unreadable(opened, tag)
        assert len(await opened.tell(event)) == 1
        assert first_tag(opened.pool.sent[-1], "e") == event.id
        assert ("?iv=" in opened.pool.sent[-1].content) is nip04

    story(life)
