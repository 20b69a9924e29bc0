"""One hold invoice until its end: the deadline, a node that is away, and what the node itself has done."""

from __future__ import annotations

import asyncio
import gc

import pytest

from kitestring.base.commands import CancelHold, SettleHold
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.invoices import Decision, InvoiceState
from kitestring.base.money import Msat
from kitestring.base.node import InvoiceStatus, NodeInvoiceState
from kitestring.base.outcomes import HoldEnded, TransactionState
from kitestring.engine import hold_places
from kitestring.engine.hold_pursuit import CANCEL_BEFORE_BLOCKS, LATE_S, LOOK_S, TELL_AGAIN_S, WARN_BEFORE_BLOCKS
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.crossings import Crossings, KilledError
from tests.kit.engine.holding import (
    ENDED,
    HASH,
    PREIMAGE,
    SETTLED,
    accepted,
    alarms,
    cancel,
    held,
    hold,
    settle,
    stored,
    till,
)
from tests.kit.engine.node import BLOCK_S
from tests.kit.engine.rig import AMOUNT, Life, Rig

OTHER = "03" + "cd" * 32
HERE = "02" + "ab" * 32

# ------------------------------------------------------------ the deadline


@virtual
async def test_the_owner_is_told_before_the_deadline_and_then_it_is_cancelled_while_there_is_time(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        invoice = await held(rig, min_cltv_delta=40)
        deadline = invoice.settle_deadline or 0
        await rig.clock.sleep((40 - WARN_BEFORE_BLOCKS - 1) * BLOCK_S)
        assert await alarms(rig) == []
        await rig.clock.sleep(2 * BLOCK_S)
        (warning,) = await alarms(rig)
        assert f"{HASH} goes back at block {deadline}" in warning
        assert warning.endswith("nobody has settled it yet")
        assert (await stored(rig)).state is InvoiceState.ACCEPTED
        await rig.clock.sleep((WARN_BEFORE_BLOCKS - CANCEL_BEFORE_BLOCKS) * BLOCK_S)
        ended = await stored(rig)
        assert (ended.state, ended.decision) == (InvoiceState.CANCELED, Decision.CANCEL)
        assert life.node.height < deadline - CANCEL_BEFORE_BLOCKS + 2
        assert life.node._made[HASH].state == "canceled"
        assert "it was cancelled in time" in (await alarms(rig))[1]
        assert len(await alarms(rig)) == 2
        refused = await settle(rig)
        assert (refused.reason, "cancelled" in refused.message) == (Reason.CONFLICT, True)


@virtual
async def test_a_warning_is_not_repeated_by_the_next_start(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig, min_cltv_delta=40)
        await rig.clock.sleep((40 - WARN_BEFORE_BLOCKS + 1) * BLOCK_S)
        assert len(await alarms(rig)) == 1
    async with life.service() as rig:
        await rig.clock.sleep(BLOCK_S)
        assert len(await alarms(rig)) == 1


@pytest.mark.parametrize("blocks", [30, 50])
@virtual
async def test_a_deadline_that_came_near_or_passed_while_the_service_was_dead_is_heeded_at_once(
    life: Life, blocks: int
) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig, min_cltv_delta=40)
    await life.clock.sleep(blocks * BLOCK_S)
    async with life.service() as rig:
        await rig.clock.sleep(120)
        assert (await stored(rig)).state is InvoiceState.CANCELED
        assert life.node.held() == {}
        assert await rig.available("shop") == 0
        assert len(await alarms(rig)) >= 1
        assert (await settle(rig)).reason is Reason.CONFLICT


@virtual
async def test_what_is_decided_to_settle_is_never_cancelled_by_its_deadline_and_the_owner_is_told(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig, min_cltv_delta=40)
        never = rig.node.settle_invoice

        async def away(_: str) -> InvoiceStatus:
            raise TimeoutError("no answer")

        life.node.replace("settle_invoice", away)
        await rig.handle("s1", "till", SettleHold(payment_hash=HASH, preimage=PREIMAGE))
        await rig.clock.sleep(35 * BLOCK_S)
        assert (await stored(rig)).state is InvoiceState.ACCEPTED
        _, warning = await alarms(rig)
        assert warning.endswith("the node could not be told yet to settle it")
        life.node.replace("settle_invoice", never)
        assert await rig.answer("s1") == SETTLED


@virtual
async def test_a_height_that_nobody_tells_keeps_nobody_from_settling(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)

        async def silent() -> object:
            raise TimeoutError("no answer")

        life.node.replace("info", silent)
        rig.engine._gate._info = None
        assert await settle(rig) == SETTLED


# ------------------------------------------------------------ a node that is away, or ill


@virtual
async def test_a_decision_is_carried_out_as_soon_as_the_node_is_back(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        life.node.offline = True
        await rig.handle("c1", "till", CancelHold(payment_hash=HASH))
        await rig.clock.sleep(600)
        assert rig.told("c1") == []
        life.node.offline = False
        assert await rig.answer("c1") == ENDED


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (SettleHold(payment_hash=HASH, preimage=PREIMAGE), f"to settle the payment held for {HASH}"),
        (CancelHold(payment_hash=HASH), f"to give back the payment held for {HASH}"),
    ],
)
@pytest.mark.parametrize("is_other", [True, False])
@virtual
async def test_a_decision_that_the_node_cannot_be_told_for_long_is_told_to_the_owner_once(
    life: Life, decision: SettleHold | CancelHold, words: str, is_other: bool
) -> None:
    """Also where another node answers: then the height is not known, by which a deadline would be told."""
    async with life.service() as rig:
        await till(rig)
        invoice = await held(rig)
        if is_other:
            life.node.there = OTHER
        else:
            life.node.offline = True
        await rig.handle("d1", "till", decision)
        await rig.clock.sleep(LATE_S - 60)
        assert not any("could not be told" in one for one in await alarms(rig))
        await rig.clock.sleep(3_600)
        (told,) = [one for one in await alarms(rig) if "could not be told" in one]
        assert words in told
        assert f"before block {invoice.settle_deadline}" in told
        life.node.offline, life.node.there = False, HERE
        life.node.node_id = HERE
        assert await rig.answer("d1") == (SETTLED if isinstance(decision, SettleHold) else ENDED)


@virtual
async def test_what_the_node_has_given_back_before_anybody_decided_is_told_to_the_owner(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        await life.node.cancel_invoice(HASH)
        await rig.clock.sleep(120)
        assert (await stored(rig)).state is InvoiceState.CANCELED
        (alarm,) = await alarms(rig)
        assert alarm.endswith("before anybody has decided about it")


@virtual
async def test_what_the_node_has_given_back_before_it_was_told_to_settle_is_no_money(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        life.node.offline = True
        await rig.handle("s1", "till", SettleHold(payment_hash=HASH, preimage=PREIMAGE))
        life.node._made[HASH].state = NodeInvoiceState.CANCELED
        life.node.offline = False
        assert (await rig.answer("s1")).reason is Reason.CONFLICT
        assert await rig.available("shop") == 0
        (alarm,) = await alarms(rig)
        assert alarm.endswith("before it was to be settled")


@virtual
async def test_what_the_node_has_settled_although_it_was_to_be_cancelled_is_credited(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        life.node.offline = True
        await rig.handle("c1", "till", CancelHold(payment_hash=HASH))
        life.node.offline = False
        await life.node.settle_invoice(PREIMAGE)  # by the owner's own hand
        refused = await rig.answer("c1")
        assert (refused.reason, "was settled" in refused.message) == (Reason.CONFLICT, True)
        assert await rig.available("shop") == AMOUNT


@virtual
async def test_a_node_that_says_what_does_not_fit_is_asked_again_and_not_all_the_time(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        said = [NodeInvoiceState.OPEN, NodeInvoiceState.ACCEPTED, NodeInvoiceState.OPEN]
        settles = life.node.settle_invoice

        async def odd(preimage: str) -> InvoiceStatus:
            if said:
                return InvoiceStatus(said.pop(), received_msat=Msat(AMOUNT), settle_deadline=9_999)
            return await settles(preimage)

        life.node.replace("settle_invoice", odd)
        assert await settle(rig) == SETTLED


@virtual
async def test_a_settlement_of_less_than_was_asked_for_is_the_owners_and_is_looked_at_again_only_now_and_then(
    life: Life,
) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        asked = 0

        async def little(_: str) -> InvoiceStatus:
            nonlocal asked
            asked += 1
            return InvoiceStatus(NodeInvoiceState.SETTLED, received_msat=Msat(1), settled_at=5, preimage=PREIMAGE)

        life.node.replace("settle_invoice", little)
        await rig.handle("s1", "till", SettleHold(payment_hash=HASH, preimage=PREIMAGE))
        await rig.clock.sleep(600)
        assert await rig.available("shop") == 0
        assert 2 <= asked < 30


@virtual
async def test_whatever_breaks_off_is_carried_on(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        errors: list[Exception] = [ZeroDivisionError("a bug"), KitestringError(Reason.INTERNAL, "the disk is full")]
        invoice = rig.store.invoice

        async def broken(invoice_id: str) -> object:
            if errors:
                raise errors.pop()
            return await invoice(invoice_id)

        rig.store.invoice = broken
        assert await settle(rig) == SETTLED


# ------------------------------------------------------------ many


@virtual
async def test_a_process_that_ends_right_before_the_node_is_asked_leaves_no_question_behind(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends all tasks, those too that have not begun. A question that is made and never asked is a warning."""
    take = hold_places.HoldPlaces.take

    def last(places: hold_places.HoldPlaces, invoice_id: str) -> bool:
        asyncio.get_running_loop().call_soon(end, asyncio.all_tasks())
        return take(places, invoice_id)

    def end(older: set[asyncio.Task[object]]) -> None:
        for task in asyncio.all_tasks() - older:
            task.cancel()

    async with life.service() as rig:
        await till(rig)
        monkeypatch.setattr(hold_places.HoldPlaces, "take", last)
        await hold(rig)
        await rig.clock.sleep(1)
        assert "track_invoice" not in life.node.calls
        gc.collect()


@virtual
async def test_of_more_than_are_followed_the_state_is_looked_up(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold_places, "MAX_FOLLOWED", 1)
    async with life.service() as rig:
        await till(rig)
        await hold(rig)
        await rig.clock.sleep(1)
        other = "ab" * 32
        await hold(rig, "h2", payment_hash=other)
        assert life.node.pay_in(other)
        await accepted(rig, other)
        assert life.node.calls.count("track_invoice") == 1
        assert await cancel(rig, payment_hash=other) == HoldEnded(other, TransactionState.EXPIRED)
        assert life.node.pay_in(HASH)
        await accepted(rig)


@virtual
async def test_streams_go_around_so_that_none_of_many_waits_for_ever(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold_places, "MAX_FOLLOWED", 2)
    tracked: list[str] = []
    tracks = life.node.track_invoice

    async def seen(payment_hash: str, state: NodeInvoiceState) -> InvoiceStatus:
        tracked.append(payment_hash)
        return await tracks(payment_hash, state)

    life.node.replace("track_invoice", seen)
    hashes = [f"{number:064x}" for number in range(6)]
    async with life.service() as rig:
        await till(rig)
        for number, payment_hash in enumerate(hashes):
            await hold(rig, f"h{number}", payment_hash=payment_hash, expiry_s=86_400)
        await rig.clock.sleep(10 * LOOK_S)
        turns = [tracked.count(payment_hash) for payment_hash in hashes]
        assert sum(turns) <= 22
        assert max(turns) - min(turns) <= 1, turns
        assert await cancel(rig, payment_hash=hashes[0]) == replace(ENDED, payment_hash=hashes[0])


@virtual
async def test_many_look_ups_do_not_come_all_together_and_a_decision_does_not_wait_for_them(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold_places, "MAX_FOLLOWED", 0)
    monkeypatch.setattr(hold_places, "MAX_LOOKS", 3)
    now, most = 0, 0
    looks = life.node.lookup_invoice

    async def slow(payment_hash: str) -> InvoiceStatus:
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            await life.clock.sleep(50)
            return await looks(payment_hash)
        finally:
            now -= 1

    async with life.service() as rig:
        await till(rig)
        invoice = await held(rig)
        for task in rig.engine._loops:
            task.cancel()
        life.node.replace("lookup_invoice", slow)
        for number in range(20):
            await hold(rig, f"h{number + 2}", payment_hash=f"{number:064x}")
        await rig.clock.sleep(60)
        began = rig.clock.monotonic()
        assert await settle(rig) == SETTLED
        assert rig.clock.monotonic() - began < 1
        assert (most, invoice.state) == (3, InvoiceState.ACCEPTED)


@pytest.mark.parametrize("many", [True, False])
@virtual
async def test_a_node_that_is_behind_the_ledger_is_not_asked_all_the_time(
    life: Life, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    """It was put back to before the payment: it calls open what it holds."""
    if many:
        monkeypatch.setattr(hold_places, "MAX_FOLLOWED", 0)
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        asked = 0

        async def behind(*_: object) -> InvoiceStatus:
            nonlocal asked
            asked += 1
            assert asked < 1_000, "a hot loop"
            return InvoiceStatus(NodeInvoiceState.OPEN)

        life.node.replace("track_invoice", behind)
        life.node.replace("lookup_invoice", behind)
        await rig.clock.sleep(600)
        assert 2 <= asked < 30
        assert (await stored(rig)).state is InvoiceState.ACCEPTED


# ------------------------------------------------------------ a node that does not know it any more


@virtual
async def test_what_the_node_has_forgotten_is_not_ended_before_its_deadline_and_the_owner_is_told(life: Life) -> None:
    """It may be settled there, or held: that nobody knows it proves nothing."""
    async with life.service() as rig:
        await till(rig)
        invoice = await held(rig, min_cltv_delta=40)
        life.node.forget_invoices()
        await rig.handle("s1", "till", SettleHold(payment_hash=HASH, preimage=PREIMAGE))
        await rig.clock.sleep(3_600)
        assert ((await stored(rig)).state, rig.told("s1")) == (InvoiceState.ACCEPTED, [])
        (alarm,) = await alarms(rig)
        assert f"does not know the hold invoice of {HASH} any more" in alarm
        await rig.clock.sleep(40 * BLOCK_S)
        assert (await rig.answer("s1")).reason is Reason.CONFLICT
        assert life.node.height >= (invoice.settle_deadline or 0)
        assert [one for one in await alarms(rig) if "does not know" in one] == [alarm, alarm]
    life.audit()


@virtual
async def test_what_the_node_has_forgotten_meanwhile_is_credited_when_it_says_settled_after_all(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        made = life.node._made
        life.node.forget_invoices()
        await rig.handle("s1", "till", SettleHold(payment_hash=HASH, preimage=PREIMAGE))
        await rig.clock.sleep(600)
        life.node._made = made  # it was put back
        assert await rig.answer("s1") == SETTLED
        assert await rig.available("shop") == AMOUNT


@virtual
async def test_what_was_to_go_back_has_ended_when_the_node_does_not_know_it_any_more(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        life.node.forget_invoices()
        assert await cancel(rig) == ENDED


# ------------------------------------------------------------ another node


@virtual
async def test_one_of_another_node_waits_for_it(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
    life.node.exchange("03" + "cd" * 32)
    async with life.service() as rig:
        await rig.clock.sleep(600)
        assert rig.engine._holds.tasks == set()
        (invoice,) = await rig.store.holds()
        assert invoice.state is InvoiceState.ACCEPTED
        assert (await cancel(rig)).reason is Reason.UNKNOWN_TARGET
    life.node.exchange("02" + "ab" * 32)
    async with life.service() as rig:
        assert await settle(rig) == SETTLED


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (SettleHold(payment_hash=HASH, preimage=PREIMAGE), "was to be settled, but it is held by node 02abab"),
        (CancelHold(payment_hash=HASH), "was to go back, but it is held by node 02abab"),
        (None, "cannot be settled or cancelled from here, but it is held by node 02abab"),
    ],
)
@virtual
async def test_the_owner_is_told_what_is_to_be_done_at_a_node_that_holds_a_payment_and_not_at_every_start(
    life: Life, decision: SettleHold | CancelHold | None, words: str
) -> None:
    async with life.service() as rig:
        await till(rig)
        invoice = await held(rig, min_cltv_delta=1_008)
        life.node.offline = True
        if decision is not None:
            await rig.handle("d1", "till", decision)
    life.node.offline = False
    life.node.exchange(OTHER)
    for starts in range(1, 4):
        for _ in range(2):
            async with life.service() as rig:
                await rig.clock.sleep(60)
                told = [one for one in await alarms(rig) if words in one]
                assert len(told) == starts
                assert f"before block {invoice.settle_deadline}" in told[0]
                assert "put that node back" in told[0]
        await life.clock.sleep(TELL_AGAIN_S)
    life.node.exchange(HERE)
    async with life.service() as rig:
        if decision is None:
            assert await settle(rig) == SETTLED
        else:
            assert await rig.answer("d1") == (SETTLED if isinstance(decision, SettleHold) else ENDED)
    life.audit()


@virtual
async def test_one_that_was_left_is_followed_as_soon_as_its_node_is_back(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await hold(rig, expiry_s=600, min_cltv_delta=1_008)
    assert life.node.pay_in(HASH)
    life.node.exchange(OTHER)
    async with life.service() as rig:
        await rig.clock.sleep(2 * 86_400)
        (left,) = await rig.store.invoices(InvoiceState.LEFT)
        assert left.payment_hash == HASH
    life.node.exchange(HERE)
    async with life.service() as rig:
        await accepted(rig)
        assert await settle(rig) == SETTLED
    life.audit()


# ------------------------------------------------------------ killed


DEATHS = [
    "before DecideHold", "after DecideHold", "before settle_invoice", "after settle_invoice", "before Credit",
    "after Credit", "before HoldPayment", "after HoldPayment",
]  # fmt: skip


@pytest.mark.parametrize("label", DEATHS)
@virtual
async def test_a_settlement_is_carried_on_wherever_the_process_was_killed(life: Life, label: str) -> None:
    async with life.service() as rig:
        await till(rig)
        await hold(rig)
    assert life.node.pay_in(HASH)
    crossings = Crossings(at=label)
    async with life.service(crossings) as rig:
        try:
            await rig.until(lambda: _is(rig, InvoiceState.ACCEPTED, crossings))
            await rig.handle("s1", "till", SettleHold(payment_hash=HASH, preimage=PREIMAGE))
            await rig.clock.sleep(300)
        except KilledError:
            pass
        assert crossings.killed.is_set()
    async with life.service() as rig:
        await accepted_or_more(rig)
        await rig.handle("s1", "till", SettleHold(payment_hash=HASH, preimage=PREIMAGE))
        assert await rig.answer("s1") == SETTLED
        await rig.clock.sleep(300)
        assert await rig.available("shop") == AMOUNT
        assert (await stored(rig)).state is InvoiceState.SETTLED


@pytest.mark.parametrize("label", ["after DecideHold", "before cancel_invoice", "after cancel_invoice",
                                   "before EndHold", "after EndHold"])  # fmt: skip
@virtual
async def test_a_cancellation_is_carried_on_wherever_the_process_was_killed(life: Life, label: str) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
    crossings = Crossings(at=label)
    async with life.service(crossings) as rig:
        try:
            await rig.handle("c1", "till", CancelHold(payment_hash=HASH))
            await rig.clock.sleep(300)
        except KilledError:
            pass
        assert crossings.killed.is_set()
    async with life.service() as rig:
        await rig.clock.sleep(300)
        assert (await stored(rig)).state is InvoiceState.CANCELED
        assert life.node.held() == {}
        await rig.handle("c1", "till", CancelHold(payment_hash=HASH))
        assert await rig.answer("c1") == ENDED


async def _is(rig: Rig, state: InvoiceState, crossings: Crossings) -> bool:
    return crossings.killed.is_set() or (await stored(rig)).state is state


async def accepted_or_more(rig: Rig) -> None:
    async def is_it() -> bool:
        return (await stored(rig)).state is not InvoiceState.OPEN

    await rig.until(is_it)
