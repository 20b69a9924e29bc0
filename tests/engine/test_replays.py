"""The same invoice twice, the same request twice: one payment, one answer."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from kitestring.base.errors import Reason
from kitestring.base.grants import Budget
from kitestring.base.money import Msat
from kitestring.base.node import NodeBalance
from kitestring.base.outcomes import Refused
from kitestring.engine.limits import Limits
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT, Life, is_paid

# ------------------------------------------------------------ the same invoice


@virtual
async def test_the_same_invoice_twice_by_one_grant_joins_and_then_gets_the_same_preimage(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", budget=Budget.total(Msat(70_000)))
        invoice = life.node.outside_invoice(Script(settles_after_s=10))
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.pay("r2", "app", invoice, AMOUNT)
        first, second = await rig.answer("r1"), await rig.answer("r2")
        await rig.pay("r3", "app", invoice, AMOUNT)
        assert first == second == await rig.answer("r3")
        assert is_paid(first, invoice[1])
        assert life.node.sends == [invoice[1]]


@virtual
async def test_another_grant_gets_invoice_taken_and_no_preimage(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        await rig.grant("other")
        invoice = life.node.outside_invoice(Script(settles_after_s=10))
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.pay("r2", "other", invoice, AMOUNT)
        assert await rig.answer("r2") == Refused(Reason.INVOICE_TAKEN)
        await rig.answer("r1")
        await rig.pay("r3", "other", invoice, AMOUNT)
        assert await rig.answer("r3") == Refused(Reason.INVOICE_TAKEN)


@virtual
async def test_who_joined_a_payment_that_fails_hears_the_same_failure(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=10, fails="no_route"))
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.pay("r2", "app", invoice, AMOUNT)
        assert (await rig.answer("r1")).reason is (await rig.answer("r2")).reason is Reason.PAYMENT_FAILED


@virtual
async def test_an_expired_invoice_is_refused_but_a_paid_one_answers_with_its_preimage(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        expires_at = rig.clock.now() + 60
        await rig.pay("r1", "app", invoice, AMOUNT, expires_at=expires_at)
        paid = await rig.answer("r1")
        await rig.clock.sleep(120)
        await rig.pay("r2", "app", invoice, AMOUNT, expires_at=expires_at)
        assert await rig.answer("r2") == paid
        await rig.pay("r3", "app", life.node.outside_invoice(), AMOUNT, expires_at=expires_at)
        assert (await rig.answer("r3")).reason is Reason.MALFORMED


@virtual
async def test_a_paid_invoice_answers_also_while_the_node_is_away(life: Life) -> None:
    life.limits = Limits(view_age_s=0)
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        await rig.pay("r1", "app", invoice, AMOUNT)
        paid = await rig.answer("r1")
        await rig.clock.sleep(60)
        life.node.offline = True
        await rig.pay("r2", "app", invoice, AMOUNT)
        assert await rig.answer("r2") == paid
        await rig.pay("r3", "app", life.node.outside_invoice(), AMOUNT)
        assert (await rig.answer("r3")).reason is Reason.UNAVAILABLE


# ------------------------------------------------------------ the same request


@virtual
async def test_a_refused_request_is_stored_and_a_replay_does_not_execute(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", methods="make_invoice")
        invoice = life.node.outside_invoice()
        await rig.pay("r1", "app", invoice, AMOUNT)
        refused = await rig.answer("r1")
        assert refused.reason is Reason.NOT_PERMITTED
        await rig.change("app", methods=frozenset({"pay_invoice"}))
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert rig.told("r1") == [refused, refused]
        assert life.node.sends == []


@virtual
async def test_a_replay_after_the_end_gets_the_stored_reply(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.answer("r1")
        stored = [m for m in life.delivered if m.request_id == "r1"]
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert [m for m in life.delivered if m.request_id == "r1"] == [*stored, *stored]
        assert life.node.sends == [invoice[1]]


@pytest.mark.parametrize("meanwhile", ["revoked", "node away", "full house", "expired grant"])
def test_a_replay_of_a_payment_under_way_is_never_answered_with_a_refusal(life: Life, meanwhile: str) -> None:
    @virtual
    async def story() -> None:
        life.limits = Limits(view_age_s=0, open_payments=1 if meanwhile == "full house" else 100)
        async with life.service() as rig:
            await rig.grant("app", expires_at=rig.clock.now() + 30)
            invoice = life.node.outside_invoice(Script(settles_after_s=60))
            await rig.pay("r1", "app", invoice, AMOUNT)
            if meanwhile == "revoked":
                await rig.change("app", revoked_at=rig.clock.now())
            await rig.clock.sleep(50 if meanwhile == "expired grant" else 5)
            life.node.offline = meanwhile == "node away"
            await rig.pay("r1", "app", invoice, AMOUNT)
            assert rig.told("r1") == []
            life.node.offline = False
            assert is_paid(await rig.answer("r1"), invoice[1])
            assert len(rig.told("r1")) == 1

    story()


@virtual
async def test_two_copies_of_one_request_at_the_same_moment_are_one(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=5))
        await asyncio.gather(*(rig.pay("r1", "app", invoice, AMOUNT) for _ in range(3)))
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert life.node.sends == [invoice[1]]


@virtual
async def test_a_copy_that_would_be_refused_does_not_end_the_one_that_is_being_claimed(life: Life) -> None:
    life.limits = Limits(view_age_s=0)
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=5))
        balance, calls = life.node.balance, itertools.count()

        async def only_once() -> NodeBalance:
            if next(calls):
                raise ConnectionResetError("the node does not answer a second time")
            await rig.clock.sleep(2)
            return await balance()

        async def copy(after_s: float) -> None:
            await rig.clock.sleep(after_s)
            await rig.pay("r1", "app", invoice, AMOUNT)

        life.node.replace("balance", only_once)
        await asyncio.gather(copy(0), copy(1))
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert len(rig.told("r1")) == 1


@virtual
async def test_a_refusal_that_comes_after_a_copy_was_claimed_is_not_told(life: Life) -> None:
    """The refused copy looked before the other one was claimed: its refusal is not stored, so it is nobody's answer."""
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=10))
        await rig.pay("r1", "app", invoice, AMOUNT)

        async def not_yet_claimed(_: str) -> None:
            return None

        await rig.change("app", revoked_at=rig.clock.now())
        rig.store.request = not_yet_claimed
        await rig.pay("r1", "app", invoice, AMOUNT)
        del rig.store.request
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert [message.request_id for message in life.delivered] == ["r1"]
