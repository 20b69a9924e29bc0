"""A wallet straight on a node: nothing unproven is a failure, and nothing is paid twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from kitestring.backend.sandbox.payments import Behaviour
from kitestring.backend.sandbox.world import World
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import Exit, KitestringError, Reason
from kitestring.base.money import ZERO, Msat, sat
from kitestring.base.node import (
    InvoiceStatus,
    NodeInfo,
    NodeInvoiceState,
    NodePayment,
    NodePaymentState,
    NodeUnreachableError,
    PayOrder,
)
from kitestring.base.payments import Failed, FailureReason, InFlight, LookupAnswer, NeverSeen, Settled, Unknown
from kitestring.client.net import Net
from kitestring.client.payable import Payable
from kitestring.codec import bolt11
from kitestring.codec.keysend import keysend
from kitestring.sdk import node
from kitestring.sdk.node import NodeSource
from kitestring.sdk.results import Receipt
from kitestring.sdk.wallet import Wallet
from tests.kit.chance import entropy
from tests.kit.changed import replace
from tests.kit.clock import EPOCH, VirtualClock, virtual
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.engine.node import ABILITIES

BILL = invoice(at=EPOCH)
NEW = NeverSeen(EPOCH)
SETTLED = Settled(PREIMAGE, Msat(7))
Answer = LookupAnswer | Exception


class FakeNode:
    """Answers in the order given; the last answer is repeated."""

    capabilities = ABILITIES

    def __init__(self, pay: Answer, lookups: list[Answer], tracks: list[Answer]) -> None:
        self.orders: list[PayOrder] = []
        self.list: list[NodePayment] | Exception = []
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

    async def lookup_invoice(self, payment_hash: str) -> InvoiceStatus:
        return InvoiceStatus(NodeInvoiceState.UNKNOWN)

    async def list_payments(self) -> AsyncIterator[NodePayment]:
        if isinstance(self.list, Exception):
            raise self.list
        for row in self.list:
            yield row


def _give(answer: Answer) -> LookupAnswer:
    if isinstance(answer, Exception):
        raise answer
    return answer


Make = Callable[..., tuple[NodeSource, FakeNode]]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Make:
    def build(
        pay: Answer = SETTLED, before: Answer = NEW, tracks: list[Answer] | None = None
    ) -> tuple[NodeSource, FakeNode]:
        fake = FakeNode(pay, [before], tracks or [Unknown("no idea")])
        monkeypatch.setattr(node, "open_backend", lambda *_, **__: fake)
        return NodeSource("fake://", Net(VirtualClock(), entropy), data_dir=tmp_path, environment={}), fake

    return build


async def paid(source: NodeSource, **limits: Any) -> Any:
    decoded = bolt11.decode(limits.get("text", BILL))
    payable = Payable(decoded, bolt11.amount_to_pay(decoded, limits.get("amount")))
    return await source.pay(payable.order(limits.get("max_fee")), limits.get("timeout_s", 60))


async def refused(source: NodeSource) -> KitestringError:
    with pytest.raises(KitestringError) as caught:
        await paid(source)
    return caught.value


@virtual
async def test_a_payment_is_ordered_with_its_limits(make: Make) -> None:
    source, fake = make()
    result = await paid(source)
    assert (result.preimage, result.fee_msat, result.amount_msat) == (PREIMAGE, Msat(7), sat(21))
    assert fake.orders == [PayOrder(Bolt11(BILL), PAYMENT_HASH, sat(21), sat(10), 60)]


@virtual
async def test_the_fee_is_capped_at_one_percent_and_ten_sats_are_always_allowed(make: Make) -> None:
    for amount, cap in ((sat(21), sat(10)), (sat(1_000), sat(10)), (Msat(2_000_001), Msat(20_001))):
        source, fake = make()
        await paid(source, text=invoice(None, at=EPOCH), amount=amount)
        assert fake.orders[0].fee_cap_msat == cap


@virtual
async def test_a_limit_of_the_caller_is_the_limit_also_when_it_is_nothing(make: Make) -> None:
    source, fake = make()
    await paid(source, max_fee=Msat(0))
    assert fake.orders[0].fee_cap_msat == 0


@virtual
async def test_a_fee_that_cannot_be_is_told_as_the_most_that_was_allowed(make: Make) -> None:
    source, _ = make(Settled(PREIMAGE, Msat(-5)))
    assert (await paid(source, max_fee=Msat(900))).fee_msat == Msat(900)


@virtual
async def test_what_is_settled_is_answered_and_not_sent_again(make: Make) -> None:
    source, fake = make(before=SETTLED)
    assert (await paid(source)).preimage == PREIMAGE
    assert fake.orders == []


@virtual
async def test_what_was_paid_before_with_another_amount_is_not_called_paid(make: Make) -> None:
    source, fake = make(before=SETTLED)
    fake.list = [
        NodePayment("ab" * 32, NodePaymentState.SETTLED, sat(1), ZERO, ""),
        NodePayment(PAYMENT_HASH, NodePaymentState.SETTLED, sat(5), ZERO, ""),
    ]
    with pytest.raises(KitestringError, match="with 5000 msat and not with 9000") as refused:
        await paid(source, text=invoice(None, at=EPOCH), amount=sat(9))
    assert (refused.value.reason, refused.value.details["amount_msat"]) == (Reason.INVOICE_TAKEN, 5_000)
    again = await paid(source, text=invoice(None, at=EPOCH), amount=sat(5))
    assert (again.amount_msat, again.fee_msat) == (sat(5), Msat(7))


@virtual
async def test_what_is_under_way_is_not_joined_with_another_amount(make: Make) -> None:
    source, _ = make(before=InFlight(), tracks=[InFlight(), SETTLED])
    first = asyncio.create_task(paid(source, text=invoice(None, at=EPOCH), amount=sat(5)))
    await asyncio.sleep(0)
    with pytest.raises(KitestringError, match="with 5000 msat and not with 9000"):
        await paid(source, text=invoice(None, at=EPOCH), amount=sat(9))
    assert (await first).amount_msat == sat(5)


@virtual
@pytest.mark.parametrize("rows", [[], OSError("reset")], ids=["not listed", "no list"])
async def test_a_payment_proven_settled_is_paid_though_its_amount_is_not_told(
    make: Make, rows: list[NodePayment] | Exception
) -> None:
    source, fake = make(before=SETTLED)
    fake.list = rows
    assert (await paid(source, text=invoice(None, at=EPOCH), amount=sat(9))).amount_msat == sat(9)


@virtual
async def test_what_is_under_way_is_joined_and_not_sent_again(make: Make) -> None:
    source, fake = make(before=InFlight(), tracks=[InFlight(), SETTLED])
    assert (await paid(source)).preimage == PREIMAGE
    assert fake.orders == []


@virtual
async def test_a_failed_payment_may_be_tried_again(make: Make) -> None:
    source, fake = make(before=Failed("no route", FailureReason.NO_ROUTE))
    assert (await paid(source)).preimage == PREIMAGE
    assert len(fake.orders) == 1


@pytest.mark.parametrize("before", [Unknown("busy"), OSError("reset"), NodeUnreachableError("refused")])
@virtual
async def test_where_the_past_is_not_known_nothing_is_sent(make: Make, before: Answer) -> None:
    source, fake = make(before=before)
    error = await refused(source)
    assert error.exit_code is Exit.UNAVAILABLE
    assert fake.orders == []


@virtual
async def test_whoever_asks_the_node_directly_reads_its_own_words(make: Make) -> None:
    source, _ = make(before=NodeUnreachableError("nobody listens on 10.0.0.1:8080"))
    error = await refused(source)
    assert error.message.startswith("the Lightning node cannot be used: nobody listens on 10.0.0.1:8080; ")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (FailureReason.FEE_LIMIT, Reason.FEE_LIMIT),
        (FailureReason.INSUFFICIENT_FUNDS, Reason.INSUFFICIENT_FUNDS),
        (FailureReason.NO_ROUTE, Reason.PAYMENT_FAILED),
        (FailureReason.OTHER, Reason.PAYMENT_FAILED),
    ],
)
@virtual
async def test_a_proven_failure_is_a_failure(make: Make, reason: FailureReason, expected: Reason) -> None:
    source, _ = make(pay=Failed("the node's word", reason))
    error = await refused(source)
    assert error.reason is expected
    assert error.exit_code is Exit.PAYMENT_FAILED


@virtual
async def test_a_node_that_was_never_reached_was_never_asked(make: Make) -> None:
    source, _ = make(pay=NodeUnreachableError("connection refused"))
    error = await refused(source)
    assert error.reason is Reason.UNAVAILABLE
    assert "nothing was sent" in error.message


UNPROVEN: list[Answer] = [Unknown("500"), InFlight(), OSError("reset"), TimeoutError(), Settled("44" * 32, Msat(0))]


@pytest.mark.parametrize("answer", UNPROVEN, ids=repr)
@pytest.mark.parametrize("later", [*UNPROVEN, NeverSeen(EPOCH)], ids=repr)
@virtual
async def test_what_nobody_can_say_is_in_flight_and_never_failed(make: Make, answer: Answer, later: Answer) -> None:
    source, _ = make(pay=answer, tracks=[later])
    error = await refused(source)
    assert error.reason is Reason.PAYMENT_IN_FLIGHT
    assert error.details["payment_hash"] == PAYMENT_HASH


@pytest.mark.parametrize("answer", UNPROVEN, ids=repr)
@virtual
async def test_the_truth_that_comes_later_counts(make: Make, answer: Answer) -> None:
    source, fake = make(pay=answer, tracks=[OSError("reset"), InFlight(), SETTLED])
    assert (await paid(source)).preimage == PREIMAGE
    assert len(fake.orders) == 1


@virtual
@pytest.mark.parametrize(
    ("attempt_at", "expected"),
    [(EPOCH, Reason.PAYMENT_FAILED), (EPOCH - 1, Reason.PAYMENT_IN_FLIGHT), (None, Reason.PAYMENT_IN_FLIGHT)],
)
async def test_after_a_lost_answer_a_failure_counts_if_the_node_dates_it_after_the_order(
    make: Make, attempt_at: int | None, expected: Reason
) -> None:
    source, _ = make(pay=OSError("reset"), tracks=[Failed("no route", FailureReason.NO_ROUTE, attempt_at)])
    assert (await refused(source)).reason is expected


@virtual
async def test_no_date_makes_up_for_look_ups_that_prove_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeNode, "capabilities", replace(ABILITIES, authoritative_lookup=False))
    source, _ = make(pay=OSError("reset"), tracks=[Failed("no route", FailureReason.NO_ROUTE, EPOCH)])
    assert (await refused(source)).reason is Reason.PAYMENT_IN_FLIGHT


@virtual
async def test_a_failure_after_the_node_was_seen_trying_ends_it(make: Make) -> None:
    source, _ = make(pay=OSError("reset"), tracks=[InFlight(), Failed("no route", FailureReason.NO_ROUTE)])
    assert (await refused(source)).reason is Reason.PAYMENT_FAILED


@virtual
async def test_a_node_that_says_settled_without_a_proof_is_sent_nothing_and_not_called_unpaid(make: Make) -> None:
    lie = Settled("44" * 32, Msat(0))
    source, fake = make(before=lie, tracks=[lie])
    assert (await refused(source)).reason is Reason.PAYMENT_IN_FLIGHT
    assert fake.orders == []


@virtual
async def test_after_a_lost_answer_the_record_of_an_earlier_attempt_proves_nothing(make: Make) -> None:
    earlier = Failed("first attempt", FailureReason.NO_ROUTE)
    source, _ = make(pay=OSError("reset"), before=earlier, tracks=[earlier])
    assert (await refused(source)).reason is Reason.PAYMENT_IN_FLIGHT


@virtual
async def test_after_a_lost_answer_a_failure_of_the_same_kind_and_a_later_date_ends_it(make: Make) -> None:
    earlier, now = (
        Failed("no route", FailureReason.NO_ROUTE, EPOCH - 100),
        Failed("no route", FailureReason.NO_ROUTE, EPOCH),
    )
    for tracks in ([earlier, now], [now]):
        source, fake = make(pay=OSError("reset"), before=earlier, tracks=tracks)
        assert (await refused(source)).reason is Reason.PAYMENT_FAILED
        assert len(fake.orders) == 1


@virtual
async def test_an_expired_invoice_whose_order_may_be_on_its_way_is_in_flight_and_not_merely_expired(make: Make) -> None:
    source, fake = make(pay=OSError("reset"), tracks=[NEW])
    short = invoice(at=EPOCH, expiry_s=30)
    async with Wallet(source, Net(VirtualClock(), entropy)) as wallet:
        for _ in range(2):  # the second time it has expired
            with pytest.raises(KitestringError) as caught:
                await wallet.pay(short, timeout_s=30)
            assert caught.value.reason is Reason.PAYMENT_IN_FLIGHT
    assert len(fake.orders) == 1


@virtual
async def test_a_caller_who_goes_away_does_not_stop_the_order_and_the_next_one_joins_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, fake = make()
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(order: PayOrder) -> LookupAnswer:
        fake.orders.append(order)
        asked.set()
        await answer.wait()
        return SETTLED

    monkeypatch.setattr(fake, "pay", slow)
    first = asyncio.create_task(paid(source))
    await asked.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    second = asyncio.create_task(paid(source))
    await asyncio.sleep(0)
    answer.set()
    assert (await second).preimage == PREIMAGE
    assert len(fake.orders) == 1


# ---------------------------------------------------------------- keysend

SEND = keysend("02" + "11" * 32, sat(21), preimage=PREIMAGE)


async def test_a_node_pays_a_key_without_an_invoice(tmp_path: Path) -> None:
    async with Wallet.open(f"sandbox://{tmp_path / 'sandbox.db'}?latency_ms=0") as wallet:
        with World(tmp_path / "sandbox.db") as world:
            key = world.node()
            receipt = await wallet.keysend(key, sat(50), message="hi", max_fee=sat(1))
            (paid,) = world.payments()
        assert (receipt.amount, receipt.payment_hash, receipt.bolt11) == (sat(50), paid.payment_hash, "")
        assert (paid.node_key, paid.records) == (key, ((34_349_334, b"hi".hex()),))
        assert (await wallet.lookup(receipt.payment_hash)).state == "settled"
        with pytest.raises(KitestringError) as caught:
            await wallet.keysend("0379be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", sat(50))
        assert caught.value.reason is Reason.PAYMENT_FAILED


@virtual
async def test_a_node_that_cannot_is_not_asked_to_pay_a_key(make: Make) -> None:
    source, fake = make()
    fake.capabilities = replace(ABILITIES, keysend=False)
    with pytest.raises(KitestringError) as caught:
        await source.pay(SEND, 5)
    assert (caught.value.reason, fake.orders) == (Reason.UNSUPPORTED, [])


@virtual
async def test_a_keysend_whose_order_got_lost_is_not_sent_again_after_its_time_and_ends_as_too_late(
    make: Make,
) -> None:
    source, fake = make(ConnectionResetError("lost"), tracks=[NEW])
    with pytest.raises(KitestringError) as caught:
        await source.pay(SEND, 5)
    assert caught.value.reason is Reason.PAYMENT_IN_FLIGHT
    await asyncio.sleep(400)
    with pytest.raises(KitestringError) as ended:
        await source.pay(SEND, 60)
    assert len(fake.orders) == 1
    assert (ended.value.reason, "too late" in ended.value.message) == (Reason.PAYMENT_FAILED, True)


# ---------------------------------------------------------------- several payments


async def test_several_invoices_are_paid_and_each_is_told_for_itself(tmp_path: Path) -> None:
    async with Wallet.open(f"sandbox://{tmp_path / 'sandbox.db'}?latency_ms=0") as wallet:
        with World(tmp_path / "sandbox.db") as world:
            one, bare, bad = world.invoice(sat(5)), world.invoice(None), world.invoice(sat(6), behaviour=Behaviour.FAIL)
        asked: list[str | tuple[str, Msat]] = [
            one,
            (bare, sat(7)),
            bad,
            "lnbc1",
            bare,
            invoice(network="bitcoin"),
            invoice(at=1_600_000_000),
        ]
        ends = await wallet.pay_many(asked)
        told = [str(int(end.amount)) if isinstance(end, Receipt) else end.reason.value for end in ends]
        assert told == [
            "5000", "7000", "payment_failed", "malformed", "malformed", "wrong_network", "expired_invoice",
        ]  # fmt: skip
        assert [end.bolt11 for end in ends if isinstance(end, Receipt)] == [one, bare]
        again = await wallet.pay_many([one])
        assert again == ends[:1]
        with pytest.raises(KitestringError, match="at most 100"):
            await wallet.pay_many([one] * 101)
        with pytest.raises(TypeError):
            await wallet.pay_many([(bare, 7)])  # type: ignore[list-item]  # a bare number
        with pytest.raises(TypeError):
            await wallet.pay_many([one], max_fee=7)  # type: ignore[arg-type]  # as above


@virtual
async def test_what_breaks_in_one_of_several_is_no_word_about_the_others(make: Make) -> None:
    source, _ = make()

    async def broken(*_: object) -> object:
        raise ZeroDivisionError

    source.pay = broken  # type: ignore[method-assign,assignment]  # a fault of our own
    with pytest.raises(ZeroDivisionError):
        await source.pay_many([SEND], 5)
