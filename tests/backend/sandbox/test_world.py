"""Everybody else in the sandbox: pays what may be paid, is paid, and keeps the node's books beside it."""

import asyncio
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from kitestring.backend.sandbox.payments import Behaviour
from kitestring.backend.sandbox.world import MAX_AHEAD_S, World
from kitestring.base.destinations import Keysend
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.base.node import PayOrder
from kitestring.base.payments import Failed, FailureReason, InFlight, Settled
from kitestring.codec import bolt11
from tests.kit.backend.sandbox import an_invoice, make, make_world, new_file
from tests.kit.backend.sides import order
from tests.kit.changed import replace
from tests.kit.clock import WalkingClock


async def test_outsiders_pay_while_the_node_is_dead(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock)
    await node.open()
    made = await node.make_invoice(an_invoice())
    await node.close()
    with make_world(tmp_path, clock) as world:
        preimage = world.pay(made.bolt11)
    again = make(tmp_path, clock)
    await again.open()
    settlement = await anext(aiter(again.settlements(b"")))
    assert (settlement.payment_hash, settlement.preimage) == (made.payment_hash, preimage)
    assert (settlement.received_msat, settlement.cursor) == (5000, f"1 {made.payment_hash}".encode())
    await again.close()


async def test_the_outside_world_pays_only_what_may_be_paid(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock, latency_ms=0)
    await node.open()
    with make_world(tmp_path, clock) as world:
        paid, cancelled = await node.make_invoice(an_invoice()), await node.make_invoice(an_invoice())
        amountless, brief = await node.make_invoice(an_invoice(None)), await node.make_invoice(an_invoice(expiry_s=1))
        huge = await node.make_invoice(an_invoice(int(sat(200_000_000))))
        await node.cancel_invoice(cancelled.payment_hash)
        clock.ms += 1000
        world.pay(paid.bolt11)
        refusals: list[tuple[Callable[[], object], str]] = [
            (lambda: world.pay(paid.bolt11), "paid already"),
            (lambda: world.pay(cancelled.bolt11), "cancelled"),
            (lambda: world.pay(brief.bolt11), "expired"),
            (lambda: world.pay(amountless.bolt11), "no amount"),
            (lambda: world.pay(amountless.bolt11, Msat(0)), "less than"),
            (lambda: world.pay(huge.bolt11), "full"),
            (lambda: world.pay(world.invoice(sat(1))), "of another sandbox world"),
            (lambda: world.pay("lnbcrt1"), "short|checksum|invoice|bech32|cut off"),
            (lambda: world.release("00" * 32), "in flight"),
        ]
        for attempt, sentence in refusals:
            with pytest.raises(KitestringError, match=sentence):
                attempt()
        assert (await node.lookup_invoice(brief.payment_hash)).state == "canceled"
        assert (world.books().received_msat, world.books().balanced) == (5000, True)
    await node.close()


async def test_many_payments_both_ways_keep_the_books_balanced(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock, opening_msat=sat(1000))
    await node.open()
    kinds = list(Behaviour)
    with make_world(tmp_path, clock) as world:
        orders: list[PayOrder] = []
        for number in range(60):
            text = world.invoice(sat(number + 1), behaviour=kinds[number % len(kinds)])
            orders.append(order(text, timeout_s=number % 3))
            world.pay((await node.make_invoice(an_invoice(number + 1))).bolt11)
        answers = await asyncio.gather(*map(node.pay, orders), return_exceptions=True)
        assert any(isinstance(answer, Failed) and answer.reason == "insufficient_funds" for answer in answers)
        assert world.books().balanced
        clock.ms += 3_600_000
        for _ in range(2):
            world.pay((await node.make_invoice(an_invoice(1000))).bolt11)
        books = world.books()
        assert (books.balanced, books.received_msat) == (True, 60 * 61 // 2 + 2000)
        assert (await node.balance()).spendable_msat == books.balance_msat
    await node.close()


def test_every_invoice_is_real(tmp_path: Path) -> None:
    with World(new_file(tmp_path)) as world:
        invoice = bolt11.decode(world.invoice(Msat(1001), "snow ☃"))
        assert (invoice.network, invoice.amount_msat, invoice.description) == ("regtest", 1001, "snow ☃")


async def test_what_the_outside_sees_is_what_became_of_each_payment(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock)
    await node.open()
    with make_world(tmp_path, clock) as world:
        for behaviour in (Behaviour.SETTLE, Behaviour.FAIL, Behaviour.HANG):
            await node.pay(order(world.invoice(sat(1), behaviour=behaviour), timeout_s=1))
        preimage = world.pay((await node.make_invoice(an_invoice(5_000))).bolt11, Msat(6_000))
        seen = [(one.direction, one.state, int(one.amount_msat), int(one.fee_msat)) for one in world.payments()]
        assert seen == [
            ("out", "settled", 1_000, 501), ("out", "failed", 1_000, 0), ("out", "open", 1_000, 501),
            ("in", "settled", 6_000, 0),
        ]  # fmt: skip
        assert [bool(one.preimage) for one in world.payments()] == [True, False, False, True]
        assert world.payments()[3].preimage == preimage
        books = world.books()
        assert (books.received_msat, books.sent_msat, books.fees_msat, books.held_msat) == (6_000, 1_000, 501, 1_501)
        assert books.balanced
        assert not replace(books, balance_msat=books.balance_msat + 1).balanced
    await node.close()


def test_only_what_is_in_flight_can_be_released(tmp_path: Path) -> None:
    with (
        World(new_file(tmp_path)) as world,
        pytest.raises(KitestringError, match="no payment with this hash") as caught,
    ):
        world.release("ab" * 32)
    assert caught.value.reason is Reason.UNKNOWN_TARGET


def test_an_invoice_that_cannot_be_read_is_malformed(tmp_path: Path) -> None:
    with World(new_file(tmp_path)) as world, pytest.raises(KitestringError) as caught:
        world.pay("lnbcrt1qqqq")
    assert caught.value.reason is Reason.MALFORMED


async def test_the_world_tells_which_key_was_paid_and_what_it_was_sent(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock, latency_ms=0)
    await node.open()
    with make_world(tmp_path, clock) as world:
        key, preimage = world.node(), "5e" * 32
        assert key != world.node()
        payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
        await node.pay(PayOrder(Keysend(key, preimage, ((65_536, "00ff"),)), payment_hash, Msat(1_000), Msat(1_000), 5))
        (paid,) = world.payments()
        assert (paid.node_key, paid.records, paid.preimage) == (key, ((65_536, "00ff"),), preimage)
        assert world.books().balanced
    await node.close()


async def test_each_invoice_of_an_outsider_says_what_became_of_it(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock)
    await node.open()
    with make_world(tmp_path, clock) as world:
        fates = (Behaviour.SETTLE, Behaviour.FAIL, Behaviour.HANG, Behaviour.LATE)
        for fate in fates:
            text = world.invoice(sat(1), behaviour=fate, delay_ms=5_000 if fate is Behaviour.LATE else None)
            await node.pay(order(text, timeout_s=1))
        bare, brief = world.invoice(None), world.invoice(sat(2), expiry_s=1)
        clock.ms += 1_000
        seen = [(one.state.value, one.amount_msat, int(one.fee_msat), bool(one.preimage)) for one in world.invoices(9)]
        assert seen == [
            ("expired", 2_000, 0, False), ("unpaid", None, 0, False), ("in_flight", 1_000, 501, False),
            ("held", 1_000, 501, False), ("failed", 1_000, 0, False), ("settled", 1_000, 501, True),
        ]  # fmt: skip
        assert [one.bolt11 for one in world.invoices(2)] == [brief, bare]
        (found,) = world.invoices(9, bolt11.decode(bare).payment_hash)
        assert (found.bolt11, found.payment_hash) == (bare, bolt11.decode(bare).payment_hash)
    await node.close()


async def test_what_is_held_ends_once_and_as_it_is_told(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock)
    await node.open()
    with make_world(tmp_path, clock) as world:
        kept, refused = (order(world.invoice(sat(1), behaviour=Behaviour.HANG), timeout_s=1) for _ in range(2))
        with pytest.raises(KitestringError, match="nobody has paid it yet"):
            world.release(kept.payment_hash)
        for one in (kept, refused):
            assert await node.pay(one) == InFlight()
        world.release(kept.payment_hash)
        world.release(refused.payment_hash, settle=False)
        assert isinstance(await node.lookup_payment(kept.payment_hash), Settled)
        end = await node.lookup_payment(refused.payment_hash)
        assert isinstance(end, Failed)
        assert (end.reason, end.evidence) == (FailureReason.REFUSED, "sandbox: the payee refused the payment")
        for one, ended in ((kept, "settled"), (refused, "failed")):
            with pytest.raises(KitestringError, match=f"has {ended} already") as caught:
                world.release(one.payment_hash, settle=False)
            assert caught.value.reason is Reason.CONFLICT
        assert (world.books().balanced, world.books().held_msat) == (True, 0)
    await node.close()


async def test_a_world_that_is_put_ahead_lets_invoices_expire_and_what_is_slow_end(tmp_path: Path) -> None:
    clock = WalkingClock()
    node = make(tmp_path, clock)
    await node.open()
    before = await node.info()
    with make_world(tmp_path, clock) as world:
        slow = order(world.invoice(sat(1), behaviour=Behaviour.LATE, delay_ms=3_000_000), timeout_s=1)
        assert await node.pay(slow) == InFlight()
        made, theirs = await node.make_invoice(an_invoice(expiry_s=600)), world.invoice(sat(1), expiry_s=600)
        world.put_ahead(3_000)
        assert isinstance(await node.lookup_payment(slow.payment_hash), Settled)
        with pytest.raises(KitestringError, match="has expired"):
            world.pay(made.bolt11)
        late = await node.pay(order(theirs))
        assert isinstance(late, Failed)
        assert late.reason is FailureReason.EXPIRED
        after = await node.info()
        assert 3_000 <= after.told_at - before.told_at <= 3_001 + slow.timeout_s
        assert after.block_height > before.block_height
        assert world.books().balanced
        for seconds in (-1, MAX_AHEAD_S):
            with pytest.raises(KitestringError, match="goes ahead only"):
                world.put_ahead(seconds)
    await node.close()
