"""Requests that were served are remembered as long as a relay may show them again, and never without bound."""

from __future__ import annotations

import pytest

from kitestring.app.home.config import RequestLimits
from kitestring.app.service import served as served_module
from kitestring.app.service.served import SERVED_S, Served
from kitestring.base.clocks import AHEAD_S
from kitestring.base.grants import Offer, OfferState
from kitestring.base.transactions.owner import SaveOffer
from tests.kit.app.door import Door, code, door
from tests.kit.clock import ManualClock
from tests.kit.engine.rig import Life


def event_ids(count: int) -> list[str]:
    return [f"{number:x}".ljust(64, "0") for number in range(1, count + 1)]


def test_an_id_is_kept_for_its_time_and_at_most_for_twice_of_it() -> None:
    clock = ManualClock()
    served = Served(clock)
    first, second = event_ids(2)
    clock.advance(SERVED_S - 1)
    served.add(first)
    clock.advance(SERVED_S)
    assert first in served
    served.add(second)
    clock.advance(SERVED_S)
    assert (first in served, second in served) == (False, True)
    clock.advance(2 * SERVED_S)
    assert second not in served
    assert len(served) == 0


def test_of_too_many_ids_the_older_half_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_module, "MAX_SERVED", 4)
    served = Served(ManualClock())
    names = event_ids(5)
    for name in names:
        served.add(name)
        assert name in served
    assert [name in served for name in names] == [False, False, True, True, True]


def test_it_is_whole_unless_ids_were_forgotten_for_want_of_room_within_their_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(served_module, "MAX_SERVED", 4)
    clock = ManualClock()
    served = Served(clock)
    wholes = []
    for name in event_ids(5):
        served.add(name)
        wholes.append(served.is_whole)
    assert wholes == [True, True, True, True, False]
    clock.advance(SERVED_S - 1)
    assert not served.is_whole
    clock.advance(1)
    assert served.is_whole


def test_ids_that_differ_early_are_told_apart() -> None:
    served = Served(ManualClock())
    served.add("ab" * 32)
    assert "ab" * 7 + "ac" + "ab" * 24 not in served


# ------------------------------------------------------------ through the gateway


@door(limits=RequestLimits(offer_requests_per_min=1))
async def test_a_copy_of_an_offer_request_takes_no_token_and_gets_the_same_invoice(life: Life, door: Door) -> None:
    await door.rig.offer("coffee")
    event = door.offer_request()
    (reply,) = await door.tell(event)
    assert "bolt11" in reply
    assert await door.tell(event) == [reply]


@door(limits=RequestLimits(offer_requests_per_min=1))
async def test_a_refused_offer_request_is_not_answered_otherwise_by_a_later_copy(life: Life, door: Door) -> None:
    await door.rig.offer("coffee")
    await door.tell(door.offer_request())
    event = door.offer_request()
    (refused,) = await door.tell(event)
    assert refused["code"] == 2
    await door.clock.sleep(120)
    assert await door.tell(event) == []
    assert "bolt11" in (await door.tell(door.offer_request()))[0]


@door(limits=RequestLimits(offer_requests_per_min=1))
async def test_after_a_restart_copies_of_answered_offer_requests_leave_room_for_new_payers(
    life: Life, door: Door
) -> None:
    await door.rig.offer("coffee")
    event = door.offer_request()
    (reply,) = await door.tell(event)
    await door.forget()
    assert await door.tell(event) == [reply]
    assert "bolt11" in (await door.tell(door.offer_request()))[0]


@door(limits=RequestLimits(offer_requests_per_min=1))
async def test_a_copy_of_an_offer_request_that_memory_has_lost_takes_no_token(life: Life, door: Door) -> None:
    await door.clock.sleep(2 * AHEAD_S)
    await door.rig.offer("coffee")
    event = door.offer_request()
    (reply,) = await door.tell(event)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(served_module, "MAX_SERVED", 4)
        for _ in range(4):
            await door.ask("get_balance")
        assert await door.tell(event) == [reply]


@door(limits=RequestLimits(offer_requests_per_min=1))
async def test_after_a_restart_a_copy_that_is_dated_ahead_takes_no_token(life: Life, door: Door) -> None:
    await door.rig.offer("coffee")
    event = door.offer_request(age_s=-AHEAD_S)
    (reply,) = await door.tell(event)
    await door.forget()
    await door.tell(door.offer_request())
    assert await door.tell(event) == [reply]


@door()
async def test_the_ledger_is_not_asked_whether_a_strangers_new_request_is_known(life: Life, door: Door) -> None:
    asked: list[str] = []
    look = door.rig.store.request

    async def request(request_id: str) -> object:
        asked.append(request_id)
        return await look(request_id)

    await door.rig.offer("coffee")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door.rig.store, "request", request)
        early = door.offer_request()
        await door.tell(early)
        await door.clock.sleep(2 * AHEAD_S)
        (reply,) = await door.tell(door.offer_request())
    assert "bolt11" in reply
    assert asked == [early.id]


@door(limits=RequestLimits(payments_per_min=1))
async def test_after_a_restart_a_copy_of_a_payment_is_not_called_too_many(life: Life, door: Door) -> None:
    event = door.request("pay_invoice", {"invoice": door.invoice()})
    (reply,) = await door.tell(event)
    await door.forget()
    await door.ask("pay_invoice", {"invoice": door.invoice()})
    assert await door.tell(event) == [reply]
    assert len(life.node.sends) == 2


@door()
async def test_a_replay_for_an_offer_that_was_deleted_gets_only_the_stored_answer(life: Life, door: Door) -> None:
    await door.rig.offer("coffee")
    event = door.offer_request()
    (reply,) = await door.tell(event)
    await door.rig.write(
        SaveOffer(Offer(offer_id="coffee", label="coffee", account_id="owner", state=OfferState.DELETED))
    )
    assert await door.tell(event) == [reply]


@door(limits=RequestLimits(requests_per_min=2))
async def test_copies_of_a_read_are_answered_once_and_take_no_token(life: Life, door: Door) -> None:
    event = door.request("get_balance")
    assert len(await door.tell(event)) == 1
    assert [await door.tell(event) for _ in range(5)] == [[]] * 5
    assert (await door.ask("get_balance")).get("error") is None


@door(limits=RequestLimits(payments_per_min=1))
async def test_a_payment_that_was_told_it_is_too_many_is_not_paid_by_a_later_copy(life: Life, door: Door) -> None:
    await door.ask("pay_invoice", {"invoice": door.invoice()})
    event = door.request("pay_invoice", {"invoice": door.invoice()})
    (refused,) = await door.tell(event)
    assert code(refused) == "RATE_LIMITED"
    await door.clock.sleep(200)
    assert await door.tell(event) == [refused]
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
    await door.clock.sleep(2 * SERVED_S)
    assert await door.tell(event) == [reply]
