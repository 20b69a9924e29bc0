"""The desk of the running service: commands reach the engine with the caller's grant, and answers come back."""

from __future__ import annotations

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.commands import MakeInvoice, PayInvoice
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.outcomes import Invoiced, Paid, Refused
from kitestring.base.transactions import SaveGrant
from tests.kit.app.desk import real_desk
from tests.kit.clock import virtual
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
