"""The fee of the service itself: decided with the claim, taken if the payment settles, and told to whoever asked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.commands import GetBalance, PayInvoice
from kitestring.base.destinations import Keysend
from kitestring.base.errors import Reason
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Paid, Refused
from kitestring.engine.limits import Limits
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT, Life, Rig

#: 2 sat at least, and 1 %: of 50 sat that is 2 sat, of 1,000 sat it is 10.
TAKES = Limits(service_floor_msat=sat(2), service_bps=100)
OURS = 2_000
ROUTING = 1_000
FUNDED = 10_000_000
ALICE = "a1" * 32


@pytest.fixture(autouse=True)
def _takes(life: Life) -> None:
    life.limits = TAKES


async def users(rig: Rig, **more: Any) -> None:
    """A user with an account and an app, and the owner's own app."""
    await rig.account("alice", FUNDED)
    await rig.grant("app", account="alice", **more)
    await rig.grant("owners")


def bill(rig: Rig, **script: Any) -> tuple[str, str]:
    return rig.life.node.outside_invoice(Script(**{"fee": ROUTING} | script))


async def spendable(rig: Rig, grant: str) -> int:
    found = await rig.engine.ask(grant, GetBalance())
    assert not isinstance(found, Refused), found
    return int(found.balance_msat)  # type: ignore[union-attr]  # what a balance is asked for


async def earned(rig: Rig) -> int:
    return int((await rig.store.totals()).service_fees_msat)


@virtual
async def test_a_payment_of_a_user_pays_the_owner_and_says_both_fees(life: Life) -> None:
    async with life.service() as rig:
        await users(rig)
        owner = await spendable(rig, "owners")
        invoice = bill(rig)
        await rig.pay("r1", "app", invoice, AMOUNT)
        paid = await rig.answer("r1")
        assert (paid.fee_msat, paid.service_fee_msat, paid.fees_msat) == (ROUTING, OURS, ROUTING + OURS)
        assert await rig.available("alice") == await spendable(rig, "app") == FUNDED - AMOUNT - ROUTING - OURS
        await rig.clock.sleep(60)
        assert (await spendable(rig, "owners"), await earned(rig)) == (owner + OURS, OURS)
        await rig.pay("again", "app", invoice, AMOUNT)
        assert await rig.answer("again") == replace(paid, is_old=True)
        assert await earned(rig) == OURS
    life.audit()


@virtual
async def test_a_payment_of_the_owner_costs_routing_alone(life: Life) -> None:
    async with life.service() as rig:
        await users(rig)
        await rig.pay("r1", "owners", bill(rig), AMOUNT)
        paid = await rig.answer("r1")
        assert (paid.fees_msat, await earned(rig)) == (ROUTING, 0)
    life.audit()


@virtual
async def test_a_payment_inside_costs_nothing_even_where_its_budget_has_no_room_for_a_fee(life: Life) -> None:
    async with life.service() as rig:
        await users(rig, budgets=(Budget.total(Msat(AMOUNT)),), per_payment_msat=Msat(AMOUNT))
        await rig.pay("r1", "app", await rig.invoice("i1", "owners", AMOUNT), AMOUNT, max_fee_msat=Msat(0))
        paid = await rig.answer("r1")
        assert (paid.internal, paid.fees_msat) == (True, 0)
        assert (await rig.available("alice"), await earned(rig)) == (FUNDED - AMOUNT, 0)
    life.audit()


@virtual
async def test_a_keysend_that_leaves_costs_the_fee_too(life: Life) -> None:
    async with life.service() as rig:
        await users(rig)
        key = life.node.outside_key(Script(fee=ROUTING))
        command = PayInvoice(destination=Keysend(key), payment_hash="", amount_msat=Msat(AMOUNT), network="regtest")
        await rig.handle("r1", "app", command)
        assert (await rig.answer("r1")).fees_msat == ROUTING + OURS
        assert await earned(rig) == OURS
    life.audit()


@virtual
async def test_a_proven_failure_costs_nothing(life: Life) -> None:
    async with life.service() as rig:
        await users(rig, budgets=(Budget.total(sat(100)),))
        await rig.pay("r1", "app", bill(rig, fails="no_route"), AMOUNT)
        assert (await rig.answer("r1")).reason is Reason.PAYMENT_FAILED
        assert (await rig.available("alice"), await earned(rig)) == (FUNDED, 0)
        assert await rig.store.budget_used("app", 0) == 0
    life.audit()


@virtual
async def test_a_setting_that_changes_meanwhile_changes_nothing_for_what_is_under_way(life: Life) -> None:
    async with life.service() as rig:
        await users(rig)
        hanging = bill(rig, settles_after_s=300)
        await rig.pay("r1", "app", hanging, AMOUNT)
        held = await rig.store.payment_by_hash(rig.context.node.node_id, hanging[1])
        assert (held.service_fee_msat, held.reserved_msat) == (OURS, AMOUNT + 10_000 + OURS)
    life.limits = Limits(service_floor_msat=sat(500))
    async with life.service() as rig:
        assert (await rig.answer("r1")).fees_msat == ROUTING + OURS
        assert await earned(rig) == OURS
        await rig.pay("r2", "app", bill(rig), AMOUNT)
        assert (await rig.answer("r2")).fees_msat == ROUTING + 500_000
    life.audit()


@virtual
async def test_it_stays_held_while_unknown_goes_with_the_operators_word_and_comes_with_the_late_truth(
    life: Life,
) -> None:
    async with life.service() as rig:
        await users(rig)
        invoice = bill(rig, settles_after_s=None, answers=["lost"])
        await rig.pay("r1", "app", invoice, AMOUNT)

        async def is_unknown() -> bool:
            return await rig.state(invoice[1]) == "unknown"

        await rig.until(is_unknown)
        assert await rig.available("alice") == FUNDED - AMOUNT - 10_000 - OURS
        held = await rig.store.payment_by_hash(rig.context.node.node_id, invoice[1])
        await rig.engine.resolve(held.payment_id, "the node was lost")
        assert (await rig.available("alice"), await earned(rig)) == (FUNDED, 0)
        life.node.release(invoice[1])

        async def is_settled() -> bool:
            return await rig.state(invoice[1]) == "settled"

        await rig.until(is_settled)
        assert await rig.available("alice") == FUNDED - AMOUNT - ROUTING - OURS
        assert await earned(rig) == OURS
    life.audit()


@virtual
async def test_the_last_of_a_budget_is_spent_with_less_routing_and_never_with_less_of_the_fee(life: Life) -> None:
    async with life.service() as rig:
        await users(rig, budgets=(Budget.total(Msat(2 * AMOUNT + 2 * OURS + ROUTING)),))
        await rig.pay("r1", "app", bill(rig), AMOUNT)
        assert isinstance(await rig.answer("r1"), Paid)
        last = bill(rig, fee=0)
        await rig.pay("over", "app", last, AMOUNT + 1)
        over = await rig.answer("over")
        assert over.message == (
            "the budget of 105 sat in total does not cover 50.001 sat + 2 sat service fee: 52 sat left"
        )
        await rig.pay("r2", "app", last, AMOUNT)
        assert (await rig.answer("r2")).fees_msat == OURS
        assert life.node.fee_caps[last[1]] == 0
        assert await rig.store.budget_used("app", 0) == 2 * AMOUNT + 2 * OURS + ROUTING
    life.audit()


@virtual
async def test_an_account_that_has_the_amount_and_not_the_fee_is_refused_and_told_why(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("alice", AMOUNT + OURS - 1)
        await rig.grant("app", account="alice")
        invoice = bill(rig, fee=0)
        await rig.pay("r1", "app", invoice, AMOUNT, max_fee_msat=Msat(OURS))
        refused = await rig.answer("r1")
        assert (refused.reason, refused.message) == (
            Reason.INSUFFICIENT_FUNDS,
            (
                "the balance is too small: this needs 50 sat + 2 sat service fee; 51.999 sat can be spent; 49 sat would"
                " fit"
            ),
        )
        await rig.grant("owners")
        await rig.pay("more", "owners", await rig.invoice("i1", "app", 1), 1)
        await rig.answer("more")
        await rig.pay("r2", "app", invoice, AMOUNT, max_fee_msat=Msat(OURS))
        assert isinstance(await rig.answer("r2"), Paid)
        assert await rig.available("alice") == 0
    life.audit()


@virtual
async def test_payments_at_the_same_time_never_reserve_more_than_the_account_has_with_their_fees(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("alice", 10 * (AMOUNT + OURS + ROUTING))
        await rig.grant("app", account="alice")
        bills = [bill(rig, settles_after_s=3) for _ in range(25)]
        await asyncio.gather(
            *(rig.pay(f"r{i}", "app", one, AMOUNT, max_fee_msat=Msat(OURS + ROUTING)) for i, one in enumerate(bills))
        )
        answers = [await rig.answer(f"r{i}") for i in range(25)]
        assert sum(isinstance(answer, Paid) for answer in answers) == 10
        assert {one.reason for one in answers if isinstance(one, Refused)} == {Reason.INSUFFICIENT_FUNDS}
        assert (await rig.available("alice"), await earned(rig)) == (0, 10 * OURS)
    life.audit()


@virtual
async def test_a_debit_is_told_how_much_fits_with_the_fee_and_that_much_is_paid(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("alice", FUNDED)
        await rig.pointer(account_id="alice")
        await rig.allow("till", ALICE, Budget.total(sat(1_011)), account_id="alice")
        await rig.debit("over", ALICE, bill(rig, fee=0), 1_002_000)
        assert (await rig.answer("over")).details["range"] == {"min": 1, "max": 1_000}
        await rig.debit("most", ALICE, bill(rig, fee=0), 1_000_000)
        assert isinstance(await rig.answer("most"), Paid)
        assert await earned(rig) == 10_000
    life.audit()


@virtual
async def test_the_cap_of_one_debit_names_what_fits_under_it_with_both_fees(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("alice", FUNDED)
        await rig.pointer(account_id="alice")
        await rig.allow(
            "till", ALICE, Budget.total(sat(9_000)), account_id="alice", per_payment_msat=sat(52),
            fee_cap_msat=Msat(0),
        )  # fmt: skip
        await rig.debit("over", ALICE, bill(rig, fee=0), AMOUNT + 1_000)
        assert (await rig.answer("over")).details["range"] == {"min": 1, "max": AMOUNT // 1_000}
        await rig.debit("most", ALICE, bill(rig, fee=0), AMOUNT)
        assert isinstance(await rig.answer("most"), Paid)
    life.audit()
