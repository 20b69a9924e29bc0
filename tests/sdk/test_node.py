"""A wallet straight on a node: nothing unproven is a failure, and nothing is paid twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from kitestring.base.errors import Exit, KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.base.node import NodeInfo, NodeUnreachableError, PayOrder
from kitestring.base.payments import Failed, InFlight, LookupAnswer, NeverSeen, Settled, Unknown
from kitestring.client.nwc import pay_command
from kitestring.codec import bolt11
from kitestring.sdk import node
from kitestring.sdk.node import NodePurse, default_fee_cap
from kitestring.sdk.setting import Setting
from tests.client.kit import NOW, PAYMENT_HASH, PREIMAGE, entropy, invoice

NEW = NeverSeen(NOW)
SETTLED = Settled(PREIMAGE, Msat(7))
Answer = LookupAnswer | Exception


class QuickClock:
    """Every wait is over at once, and time has passed."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> int:
        return NOW

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float, /) -> None:
        for _ in range(5):  # what can be done without waiting is done first
            await asyncio.sleep(0)
        self.time += seconds


class FakeNode:
    """Answers in the order given; the last answer is repeated."""

    def __init__(self, pay: Answer, lookups: list[Answer], tracks: list[Answer]) -> None:
        self.orders: list[PayOrder] = []
        self._pay = pay
        self._lookups = lookups
        self._tracks = tracks

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def info(self) -> NodeInfo:
        return NodeInfo("02" * 33, "fake", "", "regtest", 1, "")

    async def pay(self, order: PayOrder) -> LookupAnswer:
        self.orders.append(order)
        return _give(self._pay)

    async def lookup_payment(self, payment_hash: str) -> LookupAnswer:
        assert payment_hash == PAYMENT_HASH
        return _give(self._lookups.pop(0) if len(self._lookups) > 1 else self._lookups[0])

    async def track(self, payment_hash: str) -> LookupAnswer:
        return _give(self._tracks.pop(0) if len(self._tracks) > 1 else self._tracks[0])

    async def list_payments(self) -> AsyncIterator[Any]:
        none: list[Any] = []
        for row in none:
            yield row


def _give(answer: Answer) -> LookupAnswer:
    if isinstance(answer, Exception):
        raise answer
    return answer


Make = Callable[..., tuple[NodePurse, FakeNode]]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Make:
    def build(
        pay: Answer = SETTLED, before: Answer = NEW, tracks: list[Answer] | None = None
    ) -> tuple[NodePurse, FakeNode]:
        fake = FakeNode(pay, [before], tracks or [Unknown("no idea")])
        monkeypatch.setattr(node, "open_backend", lambda *_, **__: fake)
        return NodePurse("fake://", Setting(QuickClock(), entropy, data_dir=tmp_path)), fake

    return build


async def paid(purse: NodePurse, **limits: Any) -> Any:
    return await purse.pay(pay_command(bolt11.decode(invoice()), None, limits.get("max_fee")), 60)


async def refused(purse: NodePurse) -> KitestringError:
    with pytest.raises(KitestringError) as caught:
        await paid(purse)
    return caught.value


async def test_a_payment_is_ordered_with_its_limits(make: Make) -> None:
    purse, fake = make()
    result = await paid(purse)
    assert (result.preimage, result.fee_msat, result.amount_msat) == (PREIMAGE, Msat(7), sat(21))
    assert fake.orders == [PayOrder(invoice(), PAYMENT_HASH, sat(21), False, sat(10), 60)]


def test_the_fee_is_capped_at_one_percent_and_ten_sats_are_always_allowed() -> None:
    assert default_fee_cap(sat(21)) == sat(10)
    assert default_fee_cap(sat(1_000)) == sat(10)
    assert default_fee_cap(Msat(2_000_001)) == Msat(20_001)


async def test_a_limit_of_the_caller_is_the_limit_also_when_it_is_nothing(make: Make) -> None:
    purse, fake = make()
    await paid(purse, max_fee=Msat(0))
    assert fake.orders[0].fee_cap_msat == 0


async def test_what_is_settled_is_answered_and_not_sent_again(make: Make) -> None:
    purse, fake = make(before=SETTLED)
    assert (await paid(purse)).preimage == PREIMAGE
    assert fake.orders == []


async def test_what_is_under_way_is_joined_and_not_sent_again(make: Make) -> None:
    purse, fake = make(before=InFlight(), tracks=[InFlight(), SETTLED])
    assert (await paid(purse)).preimage == PREIMAGE
    assert fake.orders == []


async def test_a_failed_payment_may_be_tried_again(make: Make) -> None:
    purse, fake = make(before=Failed("no route", "no_route"))
    assert (await paid(purse)).preimage == PREIMAGE
    assert len(fake.orders) == 1


@pytest.mark.parametrize("before", [Unknown("busy"), OSError("reset"), NodeUnreachableError("refused")])
async def test_where_the_past_is_not_known_nothing_is_sent(make: Make, before: Answer) -> None:
    purse, fake = make(before=before)
    error = await refused(purse)
    assert error.exit_code is Exit.UNAVAILABLE
    assert fake.orders == []


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("fee_limit", Reason.FEE_LIMIT),
        ("insufficient_funds", Reason.INSUFFICIENT_FUNDS),
        ("no_route", Reason.PAYMENT_FAILED),
        ("strange", Reason.PAYMENT_FAILED),
    ],
)
async def test_a_proven_failure_is_a_failure(make: Make, reason: str, expected: Reason) -> None:
    purse, _ = make(pay=Failed("the node's word", reason))
    error = await refused(purse)
    assert error.reason is expected
    assert error.exit_code is Exit.PAYMENT_FAILED


async def test_a_node_that_was_never_reached_was_never_asked(make: Make) -> None:
    purse, _ = make(pay=NodeUnreachableError("connection refused"))
    error = await refused(purse)
    assert error.reason is Reason.UNAVAILABLE
    assert "nothing was sent" in error.message


UNPROVEN: list[Answer] = [Unknown("500"), InFlight(), OSError("reset"), TimeoutError(), Settled("44" * 32, Msat(0))]


@pytest.mark.parametrize("answer", UNPROVEN, ids=repr)
@pytest.mark.parametrize("later", [*UNPROVEN, NeverSeen(NOW)], ids=repr)
async def test_what_nobody_can_say_is_in_flight_and_never_failed(make: Make, answer: Answer, later: Answer) -> None:
    purse, _ = make(pay=answer, tracks=[later])
    error = await refused(purse)
    assert error.reason is Reason.PAYMENT_IN_FLIGHT
    assert error.details["payment_hash"] == PAYMENT_HASH


@pytest.mark.parametrize("answer", UNPROVEN, ids=repr)
async def test_the_truth_that_comes_later_counts(make: Make, answer: Answer) -> None:
    purse, fake = make(pay=answer, tracks=[OSError("reset"), InFlight(), SETTLED])
    assert (await paid(purse)).preimage == PREIMAGE
    assert len(fake.orders) == 1


async def test_after_a_lost_answer_the_record_of_an_earlier_attempt_proves_nothing(make: Make) -> None:
    earlier = Failed("first attempt", "no_route")
    purse, _ = make(pay=OSError("reset"), before=earlier, tracks=[earlier])
    assert (await refused(purse)).reason is Reason.PAYMENT_IN_FLIGHT


async def test_after_a_lost_answer_a_failure_of_the_same_kind_and_a_later_date_ends_it(make: Make) -> None:
    earlier, now = Failed("no route", "no_route", NOW - 100), Failed("no route", "no_route", NOW)
    purse, _ = make(pay=OSError("reset"), before=earlier, tracks=[earlier, now])
    assert (await refused(purse)).reason is Reason.PAYMENT_FAILED


async def test_a_caller_who_goes_away_does_not_stop_the_order_and_the_next_one_joins_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    purse, fake = make()
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(order: PayOrder) -> LookupAnswer:
        fake.orders.append(order)
        asked.set()
        await answer.wait()
        return SETTLED

    monkeypatch.setattr(fake, "pay", slow)
    monkeypatch.setattr(purse, "_clock", _Patient())
    first = asyncio.create_task(paid(purse))
    await asked.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    second = asyncio.create_task(paid(purse))
    await asyncio.sleep(0)
    answer.set()
    assert (await second).preimage == PREIMAGE
    assert len(fake.orders) == 1


class _Patient(QuickClock):
    async def sleep(self, seconds: float, /) -> None:
        await asyncio.Event().wait()
