"""What a request costs, and how often one is told that there were too many."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.home.config import RequestLimits
from kitestring.app.service import throttling as module
from kitestring.app.service.throttling import WORK_BITS, StrangerThrottle, Throttles
from kitestring.base.commands import AskOffer, Debit, GetBalance, PayInvoice
from kitestring.base.destinations import Bolt11
from kitestring.base.enrolments import TOGETHER
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import Event, sign_event
from kitestring.policy.rate_limits import RateLimit
from kitestring.wire.grammar import Asked
from tests.kit.app.door import STRANGER, Door, code, door
from tests.kit.clock import NOW, ManualClock
from tests.kit.engine.rig import Life
from tests.kit.wire.samples import reply_to

READ = Asked(GetBalance(), reply_to("nwc"))
PAYMENT = Asked(PayInvoice(destination=Bolt11("x"), payment_hash="ab" * 32, amount_msat=Msat(1)), reply_to("nwc"))


def offer(name: str) -> Asked:
    return Asked(AskOffer(offer_id=name), reply_to("offers"), name)


def debit(pointer_id: str, *, k1: str = "", pays: bool = True) -> Asked:
    payment = PayInvoice(destination=Bolt11("x"), payment_hash="ab" * 32, amount_msat=Msat(1)) if pays else None
    return Asked(Debit(pointer_id=pointer_id, payment=payment, k1=k1), reply_to("debits"), pointer_id)


def strangers(**throttle: int) -> StrangerThrottle:
    return Throttles(RequestLimits(**throttle), ManualClock()).strangers("offers")


def test_every_request_of_a_connection_costs_and_a_payment_costs_more() -> None:
    throttle = Throttles(RequestLimits(requests_per_min=3, payments_per_min=1), ManualClock()).connections
    assert [throttle.admit("a") is None for _ in range(4)] == [True, True, True, False]
    assert throttle.admit("b") is None
    assert [throttle.charge("a", READ) for _ in range(9)] == [None] * 9
    assert [throttle.charge("a", PAYMENT) is None for _ in range(2)] == [True, False]


def test_all_keys_that_have_enrolled_have_as_much_as_a_few_connections() -> None:
    throttle = Throttles(RequestLimits(requests_per_min=3, payments_per_min=1), ManualClock()).enrolled
    keys = [str(number) for number in range(3 * TOGETHER)]
    assert [throttle.admit(keys[0]) is None for _ in range(4)] == [True, True, True, False]
    assert sum(throttle.admit(key) is None for key in keys for _ in range(3)) == 3 * (TOGETHER - 1)
    assert [throttle.charge(keys[0], PAYMENT) is None for _ in range(2)] == [True, False]
    assert sum(throttle.charge(key, PAYMENT) is None for key in keys) == TOGETHER - 1
    told = sum(throttle.may_tell(key, Reason.RATE_LIMITED, read=True) for key in keys)
    assert told == TOGETHER * module.RATE_REFUSALS.burst
    assert all(throttle.may_tell(key, Reason.OVER_BUDGET, read=True) for key in keys)
    assert sum(throttle.may_tell(key, Reason.MALFORMED, read=False) for key in keys) == TOGETHER


def test_payments_of_enrolled_keys_whose_rows_stay_have_a_rate_that_fills_no_disk() -> None:
    clock = ManualClock()
    throttle = Throttles(RequestLimits(payments_per_min=100), clock).enrolled
    keys = [str(number) for number in range(100)]

    def taken() -> int:
        return sum(throttle.charge(key, PAYMENT) is None for _ in range(10) for key in keys)

    assert taken() == 100 * TOGETHER
    clock.advance(60)
    assert taken() == module.ENROLLED_PAYMENTS_PER_MIN


def test_enrolled_keys_use_up_nothing_of_connections_and_where_there_is_no_limit_there_is_none_for_all() -> None:
    throttle = Throttles(RequestLimits(requests_per_min=0, payments_per_min=1), ManualClock())
    assert all(throttle.enrolled.admit("key") is None for _ in range(9))
    assert [throttle.enrolled.charge(str(number), PAYMENT) is None for number in range(TOGETHER + 1)][-1] is False
    assert throttle.connections.charge("app", PAYMENT) is None


def test_a_limit_says_when_to_come_again() -> None:
    throttle = Throttles(RequestLimits(requests_per_min=1), ManualClock()).connections
    throttle.admit("a")
    limited = throttle.admit("a")
    assert limited is not None
    assert (limited.reason, limited.message) == (Reason.RATE_LIMITED, "too many requests: try again in 60 s")
    assert limited.details == {"retry_after": NOW + 60}


def test_what_was_used_up_comes_back_with_time() -> None:
    clock = ManualClock()
    throttle = Throttles(RequestLimits(requests_per_min=3), clock).connections
    assert [throttle.admit("a") is None for _ in range(4)] == [True, True, True, False]
    clock.advance(20)
    assert [throttle.admit("a") is None for _ in range(2)] == [True, False]


def test_zero_is_no_limit() -> None:
    throttle = Throttles(RequestLimits(0, 0, 0, 0), ManualClock())
    assert all(throttle.connections.admit("a") is None for _ in range(1_000))
    assert all(throttle.connections.charge("a", PAYMENT) is None for _ in range(1_000))
    assert all(throttle.strangers("offers").charge(str(number), offer("tea")) is None for number in range(1_000))


def test_a_connection_is_told_what_was_read_and_only_now_and_then_what_was_not() -> None:
    throttle = Throttles(RequestLimits(), ManualClock()).connections
    assert all(throttle.may_tell("a", Reason.MALFORMED, read=True) for _ in range(200))
    assert [throttle.may_tell("a", Reason.MALFORMED, read=False) for _ in range(2)] == [True, False]
    assert [throttle.may_tell("a", Reason.RATE_LIMITED, read=True) for _ in range(2)] == [True, False]
    assert sum(throttle.may_tell("a", Reason.STALE_REQUEST, read=True) for _ in range(99)) == 60


def test_strangers_pay_per_author_per_target_and_all_together() -> None:
    per_offer = Throttles(
        RequestLimits(offer_requests_per_min=2, all_offers_requests_per_min=3), ManualClock()
    ).strangers("offers")
    assert per_offer.admit("a") is None
    assert [per_offer.charge(name, offer("tea")) is None for name in "abc"] == [True, True, False]
    assert [per_offer.charge(name, offer("cake")) is None for name in "ab"] == [True, False]
    per_author = strangers()
    assert sum(per_author.charge("a", offer(str(number))) is None for number in range(40)) == 30


def test_while_others_have_taken_all_there_is_proof_of_work_opens_a_way_beside_them() -> None:
    throttle = strangers(offer_requests_per_min=2)
    assert [throttle.charge(f"flood {number}", offer("tea")) is None for number in range(3)] == [True, True, False]
    limited = throttle.charge("payer", offer("tea"), WORK_BITS - 1)
    assert limited is not None
    assert (limited.reason, limited.details["work_bits"]) == (Reason.RATE_LIMITED, WORK_BITS)
    assert limited.message.endswith("or at once with 20 bits of proof of work (NIP-13)")
    assert throttle.charge("payer", offer("tea"), WORK_BITS) is None


def test_the_way_of_those_who_have_worked_is_bounded_for_one_and_for_all() -> None:
    throttle = strangers(offer_requests_per_min=1)
    assert throttle.charge("first", offer("tea")) is None
    assert sum(throttle.charge("payer", offer("tea"), WORK_BITS) is None for _ in range(40)) == 30
    assert sum(throttle.charge(str(number), offer("tea"), WORK_BITS) is None for number in range(99)) == 30


def test_refusals_of_strangers_cost_their_author_and_the_limit_is_told_once() -> None:
    throttle = strangers()
    assert sum(throttle.may_tell("a", Reason.MALFORMED, read=True) for _ in range(40)) == 30
    assert [throttle.may_tell("a", Reason.RATE_LIMITED, read=True) for _ in range(2)] == [True, False]


def test_a_request_that_one_bucket_refuses_takes_nothing_from_the_others() -> None:
    throttle = Throttles(
        RequestLimits(offer_requests_per_min=100, all_offers_requests_per_min=32), ManualClock()
    ).strangers("offers")
    assert sum(throttle.charge("a", offer("tea")) is None for _ in range(99)) == 30  # of one author
    assert [throttle.charge(name, offer("tea")) is None for name in "bcd"] == [True, True, False]


def test_refusals_of_strangers_are_bounded_all_together_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STRANGER_REFUSALS", RateLimit(5, 5))
    throttle = strangers()
    assert sum(throttle.may_tell(str(number), Reason.MALFORMED, read=True) for number in range(9)) == 5


def test_an_answer_is_said_again_once_in_ten_seconds_and_all_of_them_have_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SAID_AGAIN_ALL", RateLimit(6, 3))
    clock = ManualClock()
    throttle = Throttles(RequestLimits(), clock)
    for callers in (throttle.connections, throttle.strangers("offers")):
        assert [callers.may_repeat("a", "r") for _ in range(2)] == [True, False]
    clock.advance(10)
    assert throttle.connections.may_repeat("a", "r")
    assert [throttle.connections.may_repeat("a", name) for name in "stu"] == [True, True, False]
    assert throttle.connections.may_repeat("b", "v")
    assert [throttle.strangers("offers").may_repeat(name, name) for name in "abcd"] == [True, True, True, False]


# ------------------------------------------------------------ debits


def test_a_payment_by_debit_costs_a_known_caller_what_a_payment_costs_and_a_budget_does_not() -> None:
    throttle = Throttles(RequestLimits(payments_per_min=1), ManualClock()).connections
    assert [throttle.charge("a", debit("p")) is None for _ in range(2)] == [True, False]
    assert [throttle.charge("a", debit("p", pays=False)) for _ in range(9)] == [None] * 9


def test_a_flood_over_one_wire_leaves_strangers_on_another_alone() -> None:
    throttle = Throttles(RequestLimits(offer_requests_per_min=1, all_offers_requests_per_min=1), ManualClock())
    assert [throttle.strangers("debits").charge(name, debit("tea")) is None for name in "ab"] == [True, False]
    assert throttle.strangers("offers").charge("a", offer("tea")) is None


def test_strangers_share_a_bucket_per_pointer() -> None:
    throttle = Throttles(RequestLimits(offer_requests_per_min=2), ManualClock()).strangers("debits")
    assert [throttle.charge(name, debit("till")) is None for name in "abc"] == [True, True, False]
    assert throttle.charge("c", debit("another")) is None


def test_words_of_sessions_at_one_pointer_are_sixty_a_minute_and_strangers_shut_out_nobody_who_is_known() -> None:
    throttle = Throttles(RequestLimits(), ManualClock())
    told = [throttle.strangers("debits").charge(str(number), debit("till", k1="0f" * 32)) for number in range(61)]
    assert [limited is None for limited in told] == [True] * 60 + [False]
    assert told[60] is not None
    assert (told[60].reason, told[60].details["retry_after"]) == (Reason.RATE_LIMITED, NOW + 1)
    assert throttle.strangers("debits").charge("x", debit("till")) is None
    assert throttle.strangers("debits").charge("x", debit("another", k1="0f" * 32)) is None
    known = [throttle.connections.charge("a", debit("till", k1="0f" * 32)) is None for _ in range(61)]
    assert known == [True] * 60 + [False]


def test_who_has_worked_shows_a_word_while_others_flood_the_pointer() -> None:
    throttle = Throttles(RequestLimits(), ManualClock()).strangers("debits")
    for number in range(61):
        throttle.charge(str(number), debit("till", k1="0f" * 32))
    assert throttle.charge("payer", debit("till", k1="0f" * 32), WORK_BITS) is None


# ------------------------------------------------------------ through the gateway


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


@pytest.mark.parametrize("text", ["{", "[]", '{"method":"pay_invoice","params":{"invoice":"x"}}'])
def test_malformed_requests_meet_the_limit_too(life: Life, text: str) -> None:
    @door(limits=RequestLimits(requests_per_min=5))
    async def story(_: Life, opened: Door) -> None:
        told = [reply for _ in range(20) for reply in await opened.tell(opened.event(text))]
        assert [code(reply) for reply in told] == ["OTHER"] * 5 + ["RATE_LIMITED"]
        await opened.clock.sleep(5)
        assert len(await opened.tell(opened.event(text))) == 1

    story(life)


@door(limits=RequestLimits(requests_per_min=1))
async def test_a_limited_request_is_told_under_its_own_method(life: Life, door: Door) -> None:
    await door.ask("get_balance")
    assert (await door.ask("get_info"))["result_type"] == "get_info"


@door(limits=RequestLimits(requests_per_min=0, payments_per_min=0))
async def test_zero_in_the_settings_is_no_limit(life: Life, door: Door) -> None:
    for _ in range(30):
        assert (await door.ask("pay_invoice", {"invoice": door.invoice()})).get("error") is None


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
    monkeypatch.setattr(module, "STRANGER_REFUSALS", RateLimit(3, 3))

    @door()
    async def story(_: Life, opened: Door) -> None:
        keys = [SecretKey(bytes([number]) * 32) for number in range(20, 26)]
        told = [await opened.tell(opened.offer_request("[]", key=key)) for key in keys]
        assert [len(replies) for replies in told] == [1, 1, 1, 0, 0, 0]

    story(life)


@door(limits=RequestLimits(offer_requests_per_min=1))
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
    assert (await door.ask("get_balance")).get("error") is None
