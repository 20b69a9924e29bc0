"""What an earlier life may have answered is not begun once more while nobody outside vouches for the ledger."""

from __future__ import annotations

import pytest

from kitestring.base.destinations import Bolt11
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.node import PayOrder
from kitestring.base.outcomes import Refused
from kitestring.engine.context import Incoming
from kitestring.engine.earlier import EarlierLife
from kitestring.engine.node import ANSWER_LIMIT_S
from tests.kit.changed import replace
from tests.kit.clock import ManualClock, VirtualClock, virtual
from tests.kit.engine.crossings import Crossings
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT, NWC, Life, Rig, is_paid

#: Longer than an order may be sent, and an order be on its way.
LONG_S = 1_000


@pytest.mark.parametrize("step_s", [0, -3_600, 3_600])
@virtual
async def test_only_what_is_dated_before_the_start_may_have_been_answered_wherever_the_clock_is(
    step_s: int,
) -> None:
    clock = VirtualClock()
    earlier = EarlierLife(clock, lambda: False)
    await clock.sleep(100)
    clock.skew_s = step_s
    begun_at = clock.now() - 100
    assert [earlier.may_have_answered(begun_at + after) for after in (-1, 0, 50)] == [True, False, False]


def test_a_witness_that_comes_late_counts_from_then_on() -> None:
    heard: list[bool] = []
    earlier = EarlierLife(ManualClock(), lambda: bool(heard))
    assert (earlier.may_be_sent, earlier.may_have_answered(0)) == (False, True)
    heard.append(True)
    assert (earlier.may_be_sent, earlier.may_have_answered(0)) == (True, False)


async def claimed_and_killed(life: Life) -> tuple[str, str]:
    """A payment that was claimed, and whose order was never given to the node."""
    crossings = Crossings(at="before pay")
    async with life.service(crossings) as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        await rig.pay("r1", "app", invoice, AMOUNT)
        await crossings.killed.wait()
    return invoice


@virtual
async def test_an_order_of_an_earlier_life_is_not_sent_unwitnessed_and_ends_with_a_proof(life: Life) -> None:
    await claimed_and_killed(life)
    life.is_witnessed = False
    async with life.service() as rig:
        answer = await rig.answer("r1")
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.PAYMENT_FAILED
        assert life.node.sends == []
    life.audit()


@pytest.mark.parametrize("after_s", [0, 60])
def test_it_is_sent_as_soon_as_a_witness_is_heard(life: Life, after_s: int) -> None:
    @virtual
    async def story() -> None:
        invoice = await claimed_and_killed(life)
        life.is_witnessed = False
        async with life.service() as rig:
            await rig.clock.sleep(after_s)
            life.is_witnessed = True
            assert is_paid(await rig.answer("r1"), invoice[1])
            assert life.node.sends == [invoice[1]]

    story()


async def asked_before(rig: Rig, invoice: tuple[str, str], amount: int = AMOUNT) -> None:
    """A request that is dated before the start of this life, and that the ledger does not know."""
    now = rig.clock.now()
    command, sent_at = rig.paying(invoice, amount), now - 100
    await rig.engine.handle(Incoming("r1", "nwc", "app", command, NWC, sent_at, refused_until=now + LONG_S))


@virtual
async def test_a_request_from_before_the_start_is_looked_for_at_the_node_and_not_sent(life: Life) -> None:
    life.is_witnessed = False
    async with life.service() as rig:
        await rig.grant("app")
        await asked_before(rig, life.node.outside_invoice())
        assert isinstance(await rig.answer("r1"), Refused)
        assert life.node.sends == []


@virtual
async def test_what_an_earlier_life_has_paid_of_it_is_told(life: Life) -> None:
    """The restored ledger has forgotten a payment that the node has made."""
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        text, payment_hash = invoice
        await life.node.pay(PayOrder(Bolt11(text), payment_hash, Msat(AMOUNT), Msat(AMOUNT), 60))
    life.is_witnessed = False
    async with life.service() as rig:
        await asked_before(rig, invoice)
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert life.node.sends == [invoice[1]]
    life.audit()


async def forgotten(life: Life) -> tuple[str, str]:
    """An invoice that an earlier life has had the node pay, and that the ledger does not know."""
    async with life.service() as rig:
        await rig.grant("app")
    text, payment_hash = life.node.outside_invoice()
    await life.node.pay(PayOrder(Bolt11(text), payment_hash, Msat(AMOUNT), Msat(AMOUNT), 60))
    return text, payment_hash


@pytest.mark.parametrize("can", [{}, {"idempotent_by_hash": False, "authoritative_lookup": False}])
def test_what_no_witness_knows_of_is_looked_for_before_it_is_sent(life: Life, can: dict[str, bool]) -> None:
    """A witness knows what was told no, and not what the last seconds of a life have paid."""

    @virtual
    async def story() -> None:
        invoice = await forgotten(life)
        life.node.capabilities = replace(life.node.capabilities, payment_index=False, **can)
        async with life.service() as rig:
            await asked_before(rig, invoice)
            assert is_paid(await rig.answer("r1"), invoice[1])
            assert life.node.sends == [invoice[1]]
        life.audit()

    story()


@pytest.mark.parametrize("can", [{}, {"idempotent_by_hash": False, "authoritative_lookup": False}])
def test_what_was_asked_before_the_start_and_not_paid_is_sent_once_the_node_has_said_so(
    life: Life, can: dict[str, bool]
) -> None:
    @virtual
    async def story() -> None:
        life.node.capabilities = replace(life.node.capabilities, payment_index=False, **can)
        async with life.service() as rig:
            await rig.grant("app")
            invoice = life.node.outside_invoice()
            life.node.deaf = True
            await asked_before(rig, invoice)
            await rig.clock.sleep(60)
            assert life.node.sends == []
            life.node.deaf = False
            assert is_paid(await rig.answer("r1"), invoice[1])
            assert life.node.sends == [invoice[1]]
        life.audit()

    story()


@virtual
async def test_what_the_node_cannot_be_asked_about_in_time_is_not_sent(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        life.node.deaf = True
        await asked_before(rig, invoice)
        await rig.clock.sleep(LONG_S)
        life.node.deaf = False
        answer = await rig.answer("r1")
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.PAYMENT_FAILED
        assert life.node.sends == []
    life.audit()


@virtual
async def test_an_order_that_no_node_took_is_not_called_failed_while_an_earlier_one_may_be_paid(life: Life) -> None:
    """ "Not reached" is about the order of this life alone."""
    invoice = await forgotten(life)
    async with life.service() as rig:
        life.node.deaf = True
        await asked_before(rig, invoice)
        await rig.clock.sleep(LONG_S)
        assert rig.told("r1") == []
        life.node.deaf = False
        assert is_paid(await rig.answer("r1"), invoice[1])
    life.audit()


@pytest.mark.parametrize("arrives_after_s", [30, 400])
def test_a_failure_is_told_when_no_order_of_a_forgotten_life_can_arrive_any_more(
    life: Life, arrives_after_s: int
) -> None:
    """The node has not seen that order yet, and takes it after the one of this life has failed."""

    @virtual
    async def story() -> None:
        async with life.service() as rig:
            await rig.grant("app")
        text, payment_hash = life.node.outside_invoice(Script(fails="no_route"))
        async with life.service() as rig:
            await asked_before(rig, (text, payment_hash))
            await rig.clock.sleep(arrives_after_s)
            if arrives_after_s > ANSWER_LIMIT_S:
                answer = await rig.answer("r1")
                assert isinstance(answer, Refused)
                assert answer.reason is Reason.PAYMENT_FAILED
                return
            assert rig.told("r1") == []
            life.node.scripts[payment_hash] = Script()
            await life.node.pay(PayOrder(Bolt11(text), payment_hash, Msat(AMOUNT), Msat(AMOUNT), 60))
            assert is_paid(await rig.answer("r1"), payment_hash)
        life.audit()

    story()


@virtual
async def test_after_a_kill_an_order_beside_forgotten_ones_is_still_not_the_only_one(life: Life) -> None:
    crossings = Crossings(at="after pay")
    async with life.service() as rig:
        await rig.grant("app")
    text, payment_hash = life.node.outside_invoice(Script(fails="no_route"))
    async with life.service(crossings) as rig:
        await asked_before(rig, (text, payment_hash))
        await crossings.killed.wait()
    async with life.service() as rig:
        await rig.clock.sleep(30)
        assert rig.told("r1") == []
        life.node.scripts[payment_hash] = Script()
        await life.node.pay(PayOrder(Bolt11(text), payment_hash, Msat(AMOUNT), Msat(AMOUNT), 60))
        assert is_paid(await rig.answer("r1"), payment_hash)
    life.audit()


@virtual
async def test_nobody_is_told_no_of_what_an_earlier_life_may_have_paid_and_it_is_never_paid_after_that(
    life: Life,
) -> None:
    life.is_witnessed = False
    async with life.service() as rig:
        await rig.grant("app", per_payment_msat=Msat(AMOUNT - 1))
        invoice = life.node.outside_invoice()
        await asked_before(rig, invoice)
        await rig.change("app", per_payment_msat=None)
        life.is_witnessed = True
        await asked_before(rig, invoice)
        await rig.clock.sleep(LONG_S)
        assert (rig.told("r1"), life.node.sends) == ([], [])


@virtual
async def test_new_work_goes_on_unwitnessed(life: Life) -> None:
    life.is_witnessed = False
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script())
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert is_paid(await rig.answer("r1"), invoice[1])
