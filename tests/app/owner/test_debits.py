"""The owner's commands about debit grants: what a key may take without asking, looked at, changed and ended."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.owner.params import npub
from kitestring.base.budgets import Budget
from kitestring.base.errors import Reason
from kitestring.base.money import Msat, sat
from tests.kit.app.desk import Office
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT

#: Keys that are points of the curve.
ALICE = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
BOB = "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"
WEEK = Budget.weekly(sat(5_000))


async def allow(office: Office, *budgets: Budget, caller: str = ALICE, **more: Any) -> str:
    if await office.store.grant("till") is None:
        await office.rig.pointer("till")
    return await office.rig.allow("till", caller, *budgets, **more)


async def taken(office: Office) -> int:
    """Alice takes once; what that has cost in msat."""
    invoice = office.rig.life.node.outside_invoice(Script(fee=1_000))
    await office.rig.debit("r1", ALICE, invoice)
    await office.has_state(invoice[1], "settled")
    return AMOUNT + 1_000


async def test_grants_are_shown_with_what_is_left_of_each_budget(office: Office) -> None:
    grant_id = await allow(office, WEEK, Budget(sat(9_000), "never", 0, 1))
    await allow(office, caller=BOB)
    cost = await taken(office)
    alice, bob = (await office.run("debit_grants"))["grants"]
    assert (alice["grant_id"], alice["npub"], alice["pointer"]) == (grant_id, npub(ALICE), "till")
    week, total = alice["budgets"]
    assert (week["used_msat"], week["left_msat"]) == (cost, 5_000_000 - cost)
    assert (total["used_msat"], total["renews_at"]) == (cost, None)
    assert week["renews_at"] > office.desk.clock.now()
    assert (alice["last_paid_at"], bob["last_paid_at"]) == (office.desk.clock.now(), None)
    assert (bob["budgets"], bob["expires_at"]) == ([], None)
    assert (await office.run("debit_grants", pointer="till"))["grants"] == [alice, bob]
    await office.rig.pointer("other")
    assert (await office.run("debit_grants", pointer="other"))["grants"] == []


@pytest.mark.parametrize("typed", ["till-79be", "79be", ALICE, "till-7", "l-79be", npub(ALICE)])
async def test_a_grant_is_found_by_its_id_its_name_its_key_or_a_part_of_the_id(office: Office, typed: str) -> None:
    await allow(office)
    await allow(office, caller=BOB)
    assert (await office.run("debit_show", grant=typed))["caller"] == ALICE


async def test_what_could_be_several_grants_is_none_and_they_are_named(office: Office) -> None:
    await office.rig.pointer("counter")
    for caller in (ALICE, BOB):
        await office.rig.allow("counter", caller)
    refused = await office.refused("debit_show", grant="counter")
    assert (refused.reason, refused.details["ids"]) == (Reason.MALFORMED, ["counter-79be", "counter-c604"])
    assert "counter-79be, counter-c604" in refused.message
    await office.rig.pointer("other")
    await office.rig.allow("other", ALICE)
    assert (await office.refused("debit_show", grant=ALICE)).reason is Reason.MALFORMED
    absent = await office.refused("debit_show", grant="nobody")
    assert (absent.reason, "kitestring debit grants" in absent.message) == (Reason.UNKNOWN_TARGET, True)


async def test_a_grant_gets_several_budgets_and_what_is_used_stays_used(office: Office) -> None:
    await allow(office, WEEK)
    cost = await taken(office)
    budgets = [{"limit_msat": 500_000, "period": "day"}, {"limit_msat": 2_000_000, "period": "week"}]
    changed = await office.run("debit_edit", grant="79be", budgets=budgets)
    day, week = changed["budgets"]
    assert (changed["changed"], day["used_msat"]) == (True, 0)
    assert week["used_msat"] == cost
    stored = await office.store.grant("till-79be")
    assert [(one.period, one.budget_id) for one in stored.budgets] == [("day", 1), ("week", 0)]
    assert (stored.version, office.announced) == (2, ["till-79be"])


async def test_what_is_left_out_stays_and_null_takes_a_limit_away(office: Office) -> None:
    now = office.desk.clock.now()
    await allow(office, WEEK, per_payment_msat=Msat(9_000), expires_at=now + 50)
    named = await office.run("debit_edit", grant="79be", name="the shop", expires_in_s=3_600)
    assert (named["name"], named["expires_at"], named["per_payment_msat"]) == ("the shop", now + 3_600, 9_000)
    bare = await office.run(
        "debit_edit", "k2", grant="the shop", per_payment_msat=None, expires_at=None, budgets=[]
    )  # the owner says so himself
    assert (bare["budgets"], bare["per_payment_msat"], bare["expires_at"]) == ([], None, None)
    assert (await office.run("debit_edit", "k3", grant="the shop", name="the shop"))["changed"] is False


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"expires_at": 5}, "has passed"),
        ({"expires_at": 2**35, "expires_in_s": 5}, "not both"),
        ({"name": "a\nb"}, "one line"),
        ({"budgets": [{"limit_msat": 1, "period": "day", "length_s": 7}]}, "has a length"),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused(office: Office, params: dict[str, Any], word: str) -> None:
    await allow(office, WEEK)
    assert word in (await office.refused("debit_edit", grant="79be", **params)).message


async def test_who_may_not_pay_changes_no_grant_and_may_end_it(office: Office) -> None:
    await allow(office, WEEK)
    await office.set_owner(methods=frozenset({"manage", "read"}))
    assert (await office.refused("debit_edit", grant="79be", name="mine")).reason is Reason.NOT_PERMITTED
    ended = await office.run("debit_revoke", grant="79be")
    assert (ended["caller"], ended["revoked_at"]) == (ALICE, office.desk.clock.now())
    assert (await office.run("debit_grants"))["grants"] == []
    assert (await office.refused("debit_revoke", "k2", grant="79be")).reason is Reason.UNKNOWN_TARGET
    await office.rig.debit("r1", ALICE, office.rig.life.node.outside_invoice())
    assert len(await office.store.approvals(limit=9)) == 1, "the key may ask again"


async def test_transactions_say_who_has_taken_a_debit_and_what_it_is_charged_to(office: Office) -> None:
    grant_id = await allow(office, WEEK)
    await taken(office)
    await office.run("pay", target=office.node.outside_bolt11())
    own, debit = (await office.run("transactions"))["transactions"]
    grant = await office.desk.store.grant(grant_id)
    assert grant is not None
    assert (debit["requestor"], debit["npub"], debit["charged_to"]) == (ALICE, npub(ALICE), grant.name)
    assert (debit["connection_id"], debit["connection"]) == (grant_id, None)
    assert (own["requestor"], own["npub"], own["charged_to"]) == (None, None, None)
    assert (await office.run("lookup", payment_hash=debit["payment_hash"]))["charged_to"] == grant.name
