"""How a connection stands: in one word, and in the figures that its app is told by get_budget."""

from __future__ import annotations

import pytest

from kitestring.app.owner.connection_standing import state_of
from kitestring.base.commands import GetBudget
from kitestring.base.grants import Grant
from kitestring.base.outcomes import BudgetState
from tests.app.owner.test_connection_edits import asks_to_pay
from tests.kit.app.desk import Office
from tests.kit.changed import replace
from tests.kit.engine.node import Script

NOW = 1_000
GRANT = Grant(grant_id="a", name="a", wire="nwc")


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "active"),
        ({"expires_at": NOW + 1}, "active"),
        ({"paused_at": 1}, "paused"),
        ({"expires_at": NOW}, "expired"),
        ({"expires_at": NOW, "paused_at": 1}, "expired"),
        ({"revoked_at": 1, "expires_at": NOW, "paused_at": 1}, "revoked"),
    ],
)
def test_the_end_that_goes_furthest_is_the_state(changes: dict[str, int], state: str) -> None:
    assert state_of(replace(GRANT, **changes), NOW) == state


async def test_the_owner_and_the_app_are_told_the_same_figures(office: Office) -> None:
    made = await office.run(
        "connect", name="app", methods=["pay_invoice", "get_budget"], budget_msat=10**9, period="day"
    )
    week = {"limit_msat": 9 * 10**8, "period": "week", "length_s": 0}
    await office.run("connection_edit", "k2", name="app", budgets=[*made["budgets"], week])
    await office.has_state(await asks_to_pay(office, "r1", Script(fee=2_000)), "settled")
    told = await office.rig.engine.ask(made["connection_id"], GetBudget())
    assert isinstance(told, BudgetState)
    (row,) = (await office.run("connections"))["connections"]
    shown = await office.run("connection_show", name="app")
    for one in (row, shown):
        assert (one["spent_msat"], one["left_msat"], one["renews_at"]) == (
            int(told.used_msat), int(told.left_msat or 0), told.renews_at,
        )  # fmt: skip
    assert told.budget is not None
    assert told.budget.period == "week", "the one with the least left"
    assert [one["used_msat"] for one in shown["budgets"]] == [0 + int(told.used_msat)] * 2


async def test_what_has_no_budget_has_no_figures(office: Office) -> None:
    await office.run("connect", name="app", methods=["get_info"])
    row = await office.run("connection_show", name="app")
    assert row["spent_msat"] is row["left_msat"] is row["renews_at"] is None
    assert row["budgets"] == []
