"""The fee of the service, as the owner and the app are told of it: both books agree with the balances."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from kitestring.app.owner.approvals import show_question
from kitestring.base.budgets import Budget
from kitestring.base.money import Msat, sat
from kitestring.engine.limits import Limits
from tests.kit.app.desk import Office
from tests.kit.app.house import House
from tests.kit.clock import virtual
from tests.kit.engine.node import Script

AMOUNT, ROUTING, OURS, FUNDED = 50_000, 1_000, 2_000, 1_000_000
TAKES = Limits(service_floor_msat=Msat(OURS), service_bps=100)
ALICE = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


@virtual
async def test_an_app_and_the_owner_see_what_was_taken(tmp_path: Path) -> None:
    house = House(tmp_path, limits=TAKES)
    async with house.service() as service:
        await service.account("alice", FUNDED)
        app = await service.connect("app", account="alice", budget_msat=FUNDED)
        text = house.node.outside_bolt11(AMOUNT, Script(fee=ROUTING))

        async def ask(method: str, **params: Any) -> Any:
            return (await app.first(app.send(method, params)))["result"]

        assert (await ask("pay_invoice", invoice=text))["fees_paid"] == ROUTING + OURS
        (entry,) = (await ask("list_transactions"))["transactions"]
        assert entry["fees_paid"] == (await ask("lookup_invoice", invoice=text))["fees_paid"] == ROUTING + OURS
        left = FUNDED - AMOUNT - ROUTING - OURS
        assert (await ask("get_balance"))["balance"] == left
        assert (await ask("get_budget"))["used_budget"] == FUNDED - left
        ((kind, told),) = app.notifications()
        assert (kind, told["fees_paid"]) == ("payment_sent", ROUTING + OURS)

        (row,) = (await service.command("transactions", account="alice"))["transactions"]
        shown = await service.command("lookup", payment_hash=row["payment_hash"])
        for one in (row, shown):
            assert (one["fee_msat"], one["service_fee_msat"]) == (ROUTING, OURS)
        info = await service.command("info")
        assert (info["spent_msat"], info["service_fees_msat"]) == (AMOUNT + ROUTING, OURS)
        assert info["sub_accounts_msat"] == left
        balance = await service.command("balance")
        assert [one["available_msat"] for one in balance["accounts"]] == [left]
        # The owner has the node's money and owes the accounts theirs: what alice has lost to the service is his.
        assert balance["balance_msat"] == int((await house.node.balance()).spendable_msat) - left
        (budget,) = (await service.command("connection_show", name="app"))["budgets"]
        assert budget["used_msat"] == FUNDED - left
    assert house.violations() == []
    assert await house.differences() == []


@virtual
async def test_an_app_that_allows_too_little_is_told_what_the_fee_is(tmp_path: Path) -> None:
    house = House(tmp_path, limits=TAKES)
    async with house.service() as service:
        await service.account("alice", FUNDED)
        app = await service.connect("app", account="alice")
        reply = await app.first(app.pay(house.node.outside_bolt11(AMOUNT, Script(fee=0)), max_fee=OURS - 1))
        assert reply["error"] == {
            "code": "FEE_LIMIT_EXCEEDED",
            "message": "the service fee is 2 sat, which is more than the 1.999 sat of fees that are allowed",
        }
        exact = await app.first(app.pay(house.node.outside_bolt11(AMOUNT, Script(fee=0)), max_fee=OURS))
        assert exact["result"]["fees_paid"] == OURS


async def test_who_is_asked_about_a_payment_sees_the_fee_in_what_it_may_cost(office: Office) -> None:
    config = dataclasses.replace(office.desk.config, limits=TAKES)
    office.desk = dataclasses.replace(office.desk, config=config)
    await office.rig.account("alice", FUNDED)
    await office.rig.pointer("till", account_id="alice")
    await office.rig.debit("r1", ALICE, office.rig.life.node.outside_invoice(), AMOUNT)
    (asked,) = await office.store.approvals(limit=9)
    assert (await show_question(office.desk, asked))["service_fee_msat"] == OURS
    await office.rig.debit("r2", "b2" * 32, budget=Budget.total(sat(5)))
    other = (await office.store.approvals(limit=9))[-1]
    assert (await show_question(office.desk, other))["service_fee_msat"] is None
