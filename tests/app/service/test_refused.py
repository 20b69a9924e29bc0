"""Who was told no, or was passed over in silence, is never served after all: not by a late copy, not after a restart,
not whatever the clocks say."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.home.config import RequestLimits
from kitestring.app.service import refused as module
from kitestring.app.service.housekeeping import UNSENT_S
from kitestring.app.service.refused import RefusedStrangers
from kitestring.base.transactions.requests import ForgetRefusals
from kitestring.engine import answers
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from tests.kit.app.door import APP, STRANGER, Door, code, door
from tests.kit.clock import NOW, ManualClock
from tests.kit.engine.rig import Life

#: Longer than any window together with what a clock may be ahead.
LATER_S = 366


def paying(opened: Door, **how: Any) -> Event:
    return opened.request("pay_invoice", {"invoice": opened.invoice()}, **how)


async def fill(opened: Door) -> None:
    """Use up the one payment a minute that a connection has."""
    assert (await opened.tell(paying(opened)))[0].get("error") is None


# ------------------------------------------------------------ known callers


@door(limits=RequestLimits(payments_per_min=1))
async def test_a_payment_that_was_too_many_is_not_paid_after_a_restart(life: Life, door: Door) -> None:
    await fill(door)
    event = paying(door)
    (refused,) = await door.tell(event)
    assert code(refused) == "RATE_LIMITED"
    await door.clock.sleep(100)
    await door.forget()
    assert await door.tell(event) == [refused]
    assert len(life.node.sends) == 1


@door(limits=RequestLimits(payments_per_min=1))
async def test_a_payment_that_was_too_many_to_be_told_so_is_not_paid_after_a_restart(life: Life, door: Door) -> None:
    await fill(door)
    await door.tell(paying(door))
    event = paying(door)
    assert await door.tell(event) == []
    await door.clock.sleep(100)
    await door.forget()
    assert await door.tell(event) == []
    assert len(life.node.sends) == 1


@door(limits=RequestLimits(requests_per_min=1))
async def test_a_payment_that_was_one_request_too_many_is_not_paid_after_a_restart(life: Life, door: Door) -> None:
    await door.ask("get_balance")
    event = paying(door)
    (refused,) = await door.tell(event)
    await door.clock.sleep(100)
    await door.forget()
    assert await door.tell(event) == [refused]
    assert life.node.sends == []


async def pass_time(opened: Door, seconds: int) -> None:
    """More than hours are passed by the wall clock alone."""
    if seconds > 3_600:
        opened.clock.skew_s += seconds
    else:
        await opened.clock.sleep(seconds)


@pytest.mark.parametrize("ahead_s", [61, 200, 3_600, 86_400, 90_000, 400 * 86_400])
@pytest.mark.parametrize("restart", [False, True])
def test_a_payment_from_the_future_is_not_paid_when_its_time_has_come(life: Life, ahead_s: int, restart: bool) -> None:
    @door()
    async def story(_: Life, opened: Door) -> None:
        event = opened.request("pay_invoice", {"invoice": opened.invoice(expiry_s=2 * ahead_s)}, age_s=-ahead_s)
        told = await opened.tell(event)
        assert [code(reply) for reply in told] == (["OTHER"] if ahead_s <= 86_400 else [])
        for _round in range(2):  # at its very time, and as late as it may come
            await pass_time(opened, 290 if _round else ahead_s)
            await opened.rig.store.apply(ForgetRefusals(opened.clock.now(), opened.clock.now() - UNSENT_S))
            if restart:
                await opened.forget()
            assert await opened.tell(event) == told
        assert life.node.sends == []

    story(life)


@pytest.mark.parametrize("wrong_s", [LATER_S, 3_600, 26 * 3_600, -61, -3_600, -26 * 3_600, -400 * 86_400])
@pytest.mark.parametrize("restart", [False, True])
def test_a_payment_that_met_a_wrong_clock_of_ours_is_not_paid_when_it_is_right_again(
    life: Life, wrong_s: int, restart: bool
) -> None:
    @door()
    async def story(_: Life, opened: Door) -> None:
        event = paying(opened)
        life.clock.skew_s = wrong_s
        told = await opened.tell(event)
        assert [code(reply) for reply in told] == (["OTHER"] if abs(wrong_s) <= 86_400 else [])
        life.clock.skew_s = 0
        if restart:
            await opened.forget()
        assert await opened.tell(event) == told
        assert life.node.sends == []

    story(life)


@door()
async def test_an_expired_payment_is_not_paid_when_the_clock_goes_back(life: Life, door: Door) -> None:
    event = paying(door, expires_at=door.clock.now() + 120)
    life.clock.skew_s = 130
    assert await door.tell(event) == []
    life.clock.skew_s = 0
    assert await door.tell(event) == []
    assert life.node.sends == []


@door(limits=RequestLimits(payments_per_min=1))
async def test_a_forgotten_refusal_is_not_paid_when_the_clock_goes_back(life: Life, door: Door) -> None:
    await fill(door)
    event = paying(door)
    await door.tell(event)
    await door.rig.delivery.flush()
    life.clock.skew_s = 26 * 3_600
    await door.rig.store.apply(ForgetRefusals(door.clock.now(), door.clock.now() - UNSENT_S))
    assert await door.rig.store.request(event.id) is None
    life.clock.skew_s = 0
    await door.clock.sleep(100)
    await door.forget()
    assert code((await door.tell(event))[0]) == "OTHER"
    assert len(life.node.sends) == 1
    await door.clock.sleep(60)
    assert (await door.ask("pay_invoice", {"invoice": door.invoice()})).get("error") is None


def garbled(opened: Door) -> Event:
    return sign_event(
        APP, kind=kinds.NWC_REQUEST, tags=[["p", opened.grant_key]], content="garbage", created_at=opened.clock.now(),
        aux=opened.rig.life.entropy(32),
    )  # fmt: skip


REFUSED: dict[str, Any] = {
    "encryption": lambda opened: paying(opened, cipher="nip04"),
    "unreadable": garbled,
    "malformed": lambda opened: opened.request("pay_invoice", {"invoice": opened.invoice(), "amount": -1}),
    "another network": lambda opened: opened.request("pay_invoice", {"invoice": opened.invoice(network="bitcoin")}),
    "a method of a later version": lambda opened: opened.request("pay_later", {}),
    "no method": lambda opened: opened.event("[]"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_could_have_been_a_payment_is_refused_in_the_ledger_and_in_the_same_words_again(
    life: Life, kind: str
) -> None:
    @door(nip44_seen=True)
    async def story(_: Life, opened: Door) -> None:
        event = REFUSED[kind](opened)
        told = await opened.tell(event)
        assert len(told) == 1
        kept = await opened.rig.store.request(event.id)
        assert (kept.grant_id, kept.command, kept.reply_to, kept.payment_id) == ("app", b"", b"", "")
        await opened.rig.change("app", nip44_seen=False)  # what was refused might be allowed now
        await opened.forget()
        await opened.clock.sleep(20)
        assert await opened.tell(event) == told
        assert life.node.sends == []

    story(life)


@door(limits=RequestLimits(requests_per_min=1))
async def test_a_refused_question_leaves_no_row(life: Life, door: Door) -> None:
    await door.ask("get_balance")
    event = door.request("get_balance")
    assert code((await door.tell(event))[0]) == "RATE_LIMITED"
    assert await door.rig.store.request(event.id) is None


@door(methods="get_balance")
async def test_a_refusal_keeps_nothing_of_what_was_asked(life: Life, door: Door) -> None:
    for method, params in (("make_invoice", {"amount": 1_000}), ("pay_invoice", {"invoice": door.invoice()})):
        event = door.request(method, params | {"metadata": {"note": "n" * 4_000}})
        assert code((await door.tell(event))[0]) == "RESTRICTED"
        kept = await door.rig.store.request(event.id)
        (reply,) = await door.rig.store.messages(event.id)
        stored = [kept.command, kept.reply_to, reply.plaintext, reply.event, reply.address]
        assert sum(len(part) for part in stored) < 1_400


def test_beyond_its_bytes_a_refusal_is_told_once_and_kept_without_its_words(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MAX_REFUSAL_BYTES", 3_000)

    @door(methods="get_balance")
    async def story(_: Life, opened: Door) -> None:
        events = [paying(opened) for _ in range(5)]
        told = [await opened.tell(event) for event in events]
        assert [len(replies) for replies in told] == [1] * 5
        await opened.clock.sleep(20)
        assert [len(await opened.tell(event)) for event in events] == [1, 1, 0, 0, 0]
        await opened.rig.change("app", methods=frozenset({"pay_invoice"}))
        await opened.forget()
        await opened.clock.sleep(20)
        assert [len(await opened.tell(event)) for event in events] == [1, 1, 0, 0, 0]
        assert life.node.sends == []
        life.audit()

    story(life)


def test_of_a_flood_the_oldest_refusals_are_forgotten_and_none_of_it_is_ever_carried_out(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MAX_REFUSALS", 3)
    monkeypatch.setattr("kitestring.ledger.apply.refusals.FORGET_OLDEST", 2)

    @door(methods="get_balance")
    async def story(_: Life, opened: Door) -> None:
        events = []
        for _number in range(6):
            events.append(paying(opened))
            await opened.tell(events[-1])
            await opened.clock.sleep(1)
        kept = [event for event in events if await opened.rig.store.request(event.id) is not None]
        assert len(kept) == 2
        await opened.rig.change("app", methods=frozenset({"pay_invoice"}))
        await opened.forget()
        await opened.clock.sleep(20)
        told = [await opened.tell(event) for event in events]
        assert [code(replies[0]) for replies in told] == ["OTHER"] * 4 + ["RESTRICTED"] * 2
        assert life.node.sends == []
        (paid,) = await opened.tell(paying(opened))
        assert paid["result"]["preimage"]
        life.audit()

    story(life)


# ------------------------------------------------------------ copies


@door()
async def test_an_answered_request_is_no_echo(life: Life, door: Door) -> None:
    await door.rig.offer("coffee")
    for event in (door.offer_request(), paying(door)):
        (first,) = await door.tell(event)
        await door.clock.sleep(50)
        assert [reply for _ in range(50) for reply in await door.tell(event)] == [first]  # five virtual seconds
        await door.clock.sleep(10)
        assert await door.tell(event) == [first]


@door(limits=RequestLimits(payments_per_min=10))
async def test_copies_of_answered_payments_leave_room_for_new_ones_after_a_restart(life: Life, door: Door) -> None:
    events = []
    for _ in range(20):
        events.append(paying(door))
        assert (await door.tell(events[-1]))[0].get("error") is None
        await door.clock.sleep(6)
    await door.forget()
    for event in reversed(events):
        assert len(await door.tell(event)) == 1
    assert (await door.tell(paying(door)))[0].get("error") is None
    assert len(life.node.sends) == 21


# ------------------------------------------------------------ strangers


def debit(opened: Door, text: str = '{"amount_sats":21}', **how: Any) -> Event:
    asking: dict[str, Any] = {"key": STRANGER, "to": opened.keyring.service_id, "kind": kinds.DEBIT}
    return opened.event(text, **(asking | how))


@pytest.mark.parametrize(("ask", "tells"), [(Door.offer_request, 1), (debit, 0)])
@pytest.mark.parametrize("ahead_s", [61, 200, 3_600])
def test_a_stranger_who_was_told_that_its_clock_is_wrong_is_not_served_when_the_time_has_come(
    life: Life, ask: Any, tells: int, ahead_s: int
) -> None:
    """Nor is it told where money may leave: of a stranger nothing is kept, and its time may come after the next
    start."""

    @door()
    async def story(_: Life, opened: Door) -> None:
        await opened.rig.offer("coffee")
        event = ask(opened, age_s=-ahead_s)
        told = await opened.tell(event)
        assert [one["delta"]["actual_delta_ms"] for one in told] == [1_000 * ahead_s] * tells
        for later_s in (ahead_s, 25):
            await opened.clock.sleep(later_s)
            assert await opened.tell(event) == []
        assert await opened.rig.store.request(event.id) is None
        assert "bolt11" in (await opened.tell(opened.offer_request()))[0]

    story(life)


@pytest.mark.parametrize("text", ["[]", '{"offer":"nowhere","amount_sats":1}', '{"offer":"coffee","amount_sats":21}'])
def test_a_stranger_who_asked_before_the_start_is_told_to_ask_again_and_nothing_else(life: Life, text: str) -> None:
    @door(limits=RequestLimits(offer_requests_per_min=1))
    async def story(_: Life, opened: Door) -> None:
        await opened.rig.offer("coffee")
        await opened.tell(opened.offer_request())
        event = opened.offer_request(text)
        assert len(await opened.tell(event)) == 1
        await opened.clock.sleep(100)
        await opened.forget()
        (told,) = await opened.tell(event)
        assert (told["code"], told["error"]) == (2, "Temporary Failure: the service was away: ask again")
        assert await opened.tell(event) == []
        assert await opened.rig.store.request(event.id) is None
        assert "bolt11" in (await opened.tell(opened.offer_request()))[0]

    story(life)


@pytest.mark.parametrize("text", ["[]", '{"amount_sats":21}'])
def test_a_debit_from_before_the_start_is_told_that_nothing_was_paid(life: Life, text: str) -> None:
    @door()
    async def story(_: Life, opened: Door) -> None:
        event = debit(opened, text)
        await opened.tell(event)
        await opened.clock.sleep(20)
        await opened.forget()
        assert [reply["code"] for reply in await opened.tell(event)] == [3]
        assert life.node.sends == []

    story(life)


@door()
async def test_a_stranger_whose_answer_is_stored_hears_it_again_after_a_restart(life: Life, door: Door) -> None:
    await door.rig.offer("coffee")
    event = door.offer_request()
    (told,) = await door.tell(event)
    await door.clock.sleep(100)
    await door.forget()
    assert await door.tell(event) == [told]


@pytest.mark.parametrize("step_s", [-3_600, 3_600])
def test_a_clock_that_was_wrong_at_the_start_keeps_no_stranger_out_once_it_is_right(life: Life, step_s: int) -> None:
    @door()
    async def story(_: Life, opened: Door) -> None:
        await opened.rig.offer("coffee")
        before = opened.offer_request()
        await opened.clock.sleep(10)
        await opened.forget()
        await opened.clock.sleep(5)
        life.clock.skew_s += step_s
        assert "bolt11" in (await opened.tell(opened.offer_request()))[0]
        life.clock.skew_s -= step_s
        assert [reply["code"] for reply in await opened.tell(before)] == [2]

    story(life)


@door()
async def test_what_nobody_can_read_is_met_with_silence_after_a_restart_too(life: Life, door: Door) -> None:
    event = door.offer_request()
    garbled = sign_event(
        STRANGER, kind=event.kind, tags=event.tags, content="AgAAAA" + "A" * 200, created_at=event.created_at,
        aux=b"\x00" * 32,
    )  # fmt: skip
    await door.clock.sleep(5)
    await door.forget()
    assert await door.tell(garbled) == []


def event_id(number: int) -> str:
    return f"{number:x}".ljust(64, "0")


def test_of_too_many_refused_strangers_a_time_takes_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REFUSED", 6)
    clock = ManualClock()
    refused = RefusedStrangers(clock)
    assert refused.since == NOW
    dates = [NOW - 5, NOW + 500, NOW + 5, NOW + 7, NOW + 600, NOW + 700]
    for number, date in enumerate(dates, 1):
        refused.add(event_id(number), date)
    assert all(event_id(number) in refused for number in range(1, 7))
    clock.advance(10)
    refused.add(event_id(7), NOW + 10)
    assert refused.since == NOW + 8
    assert [event_id(number) in refused for number in range(1, 8)] == [False, True, False, False, True, True, True]
    for number in range(8, 12):
        refused.add(event_id(number), NOW + 800)
    assert refused.since == NOW + 8
    assert len(refused) <= 6
    assert event_id(11) in refused
