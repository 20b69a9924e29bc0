"""The desk of the running service: commands reach the engine with the caller's grant, and answers come back."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.home.config import Config
from kitestring.app.owner.offline import LedgerDesk
from kitestring.base.approvals import ApprovalState, OwnersWord, Ruling
from kitestring.base.budgets import Budget
from kitestring.base.commands import MakeInvoice, PayInvoice
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Invoiced, Paid, Refused
from kitestring.base.payments import State
from kitestring.base.records import Payment
from kitestring.base.transactions.owner import SaveGrant
from kitestring.engine.limits import Limits
from tests.kit.app.desk import real_desk
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import Life, Rig


def order(rig: Rig) -> PayInvoice:
    text, payment_hash = rig.life.node.outside_invoice()
    return PayInvoice(
        destination=Bolt11(text), payment_hash=payment_hash, amount_msat=Msat(1_000), network="regtest",
        expires_at=rig.clock.now() + 60,
    )  # fmt: skip


@virtual
async def test_a_repeated_command_whose_answer_is_stored_gets_it_at_once(life: Life) -> None:
    async with life.service(start=False) as rig:
        opened, command = real_desk(rig), order(rig)
        assert isinstance(await opened.pay("ctl:1", "owner", command, 75), Paid)
        rig.clock.skew_s = 3_600
        again_at = rig.clock.monotonic()
        assert isinstance(await opened.pay("ctl:1", "owner", command, 75), Paid)
        assert rig.clock.monotonic() == again_at


@virtual
async def test_a_payment_is_charged_to_the_grant_of_its_caller_and_needs_its_right(life: Life) -> None:
    async with life.service(start=False) as rig:
        opened = real_desk(rig)
        budget = Budget.daily(Msat(2_100))
        for name, right in (("payer", "spend"), ("payee", "receive")):
            grant = Grant(grant_id=name, name=name, wire="owner", methods=frozenset({right}), budgets=(budget,))
            await rig.write(SaveGrant(grant))
        assert isinstance(await opened.pay("ctl:1", "payer", order(rig), 75), Paid)
        over, wrong = [await opened.pay(f"ctl:2{name}", name, order(rig), 75) for name in ("payer", "payee")]
        assert isinstance(over, Refused)
        assert isinstance(wrong, Refused)
        assert (over.reason, wrong.reason) == (Reason.OVER_BUDGET, Reason.NOT_PERMITTED)
        command = MakeInvoice(amount_msat=Msat(1_000))
        assert isinstance(await opened.make_invoice("ctl:3", "payee", command, 75), Invoiced)
        assert isinstance(await opened.balance("payee"), Refused)


@virtual
async def test_a_payment_that_is_not_unknown_is_not_resolved(life: Life) -> None:
    async with life.service(start=False) as rig:
        with pytest.raises(KitestringError) as refused:
            await real_desk(rig).resolve_payment("nothing", "why")
        assert refused.value.reason is Reason.INTERNAL


ALICE = "a1" * 32


async def question(rig: Rig, **script: Any) -> tuple[str, str]:
    """A payment that waits for the owner: the id of the question, and the payment hash."""
    await rig.pointer()
    invoice = rig.life.node.outside_invoice(Script(**script))
    await rig.debit("r1", ALICE, invoice)
    (asked,) = await rig.store.approvals(limit=9)
    return asked.approval_id, invoice[1]


def yes(approval_id: str, key: str = "ctl:1") -> OwnersWord:
    return OwnersWord(approval_id=approval_id, version=1, verdict=Ruling.AS_ASKED, by="owner", key=key)


def state_of(payment: Payment | None) -> State | None:
    return None if payment is None else payment.state


@virtual
async def test_who_decides_is_told_of_the_end_of_the_payment_as_soon_as_it_has_come(life: Life) -> None:
    async with life.service() as rig:
        opened = real_desk(rig)
        approval_id, _ = await question(rig, settles_after_s=7.0)
        begun = rig.clock.monotonic()
        decided, payment = await opened.decide(yes(approval_id), 75)
        assert (decided.state, state_of(payment)) == (ApprovalState.APPROVED, State.SETTLED)
        assert 7 <= rig.clock.monotonic() - begun < 75


@virtual
async def test_who_decides_waits_no_longer_than_he_says_and_may_ask_again(life: Life) -> None:
    async with life.service() as rig:
        opened = real_desk(rig)
        approval_id, payment_hash = await question(rig, settles_after_s=None)
        begun = rig.clock.monotonic()
        _, payment = await opened.decide(yes(approval_id), 5)
        assert state_of(payment) is State.DISPATCHED
        assert rig.clock.monotonic() - begun == pytest.approx(5, abs=0.1)
        rig.life.node.release(payment_hash)
        _, payment = await opened.decide(yes(approval_id), 75)
        assert state_of(payment) is State.SETTLED
        begun = rig.clock.monotonic()
        assert state_of((await opened.decide(yes(approval_id), 75))[1]) is State.SETTLED
        assert rig.clock.monotonic() == begun


@virtual
async def test_a_decision_without_a_payment_is_waited_for_by_nobody(life: Life) -> None:
    async with life.service() as rig:
        opened = real_desk(rig)
        approval_id, payment_hash = await question(rig)
        begun = rig.clock.monotonic()
        no = OwnersWord(approval_id=approval_id, version=1, verdict=Ruling.DENY, by="owner", key="ctl:1")
        assert (await opened.decide(no, 75))[1] is None
        assert (await rig.state(payment_hash), rig.clock.monotonic()) == ("", begun)
        with pytest.raises(KitestringError) as told:
            await opened.decide(yes(approval_id, "ctl:2"), 75)
        assert told.value.reason is Reason.ALREADY_USED


@virtual
async def test_the_most_that_routing_costs_is_that_of_the_settings_unless_the_grant_has_its_own(life: Life) -> None:
    async with life.service(start=False) as rig:
        opened, command = real_desk(rig), order(rig)
        limits = opened.config.limits
        assert opened.fee_cap(command, None) == limits.fee_min_msat
        assert opened.fee_cap(command, Grant(grant_id="g", name="g", wire="debits", fee_cap_msat=Msat(7))) == Msat(7)


@virtual
async def test_the_fee_of_the_service_is_shown_the_same_with_and_without_a_running_service(life: Life) -> None:
    shop = Grant(grant_id="g", name="g", wire="debits", account_id="shop")
    async with life.service(start=False) as rig:
        opened, command = real_desk(rig), order(rig)
        opened = dataclasses.replace(opened, config=Config(Path("/nowhere"), limits=Limits(service_floor_msat=sat(7))))
        offline = LedgerDesk(opened.config, opened.service_id, rig.store, ())
        for desk in (opened, offline):
            assert desk.service_fee(command, shop) == sat(7)
            assert desk.service_fee(command, None) == desk.service_fee(command, replace(shop, account_id="owner")) == 0
