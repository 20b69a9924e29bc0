"""A connection that is changed: its link stays, what is used stays used, and nobody gives by it what he lacks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kitestring.app.owner.connections import MAX_EXPIRY_S, preset_methods
from kitestring.app.service.relay_word import RelayWord
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from tests.kit.app.desk import RELAY, Office
from tests.kit.changed import replace
from tests.kit.clock import EPOCH
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT
from tests.kit.waiting import until

DAY = {"limit_msat": 100_000, "period": "day", "length_s": 0}
WEEK = {"limit_msat": 5_000_000, "period": "week", "length_s": 0}
LITTLE = {**DAY, "limit_msat": 7_000}
MADE: dict[str, Any] = {
    "name": "alice", "budget_msat": 100_000, "period": "day", "per_payment_msat": 90_000, "expires_at": EPOCH + 600,
    "methods": ["pay_invoice"],
}  # fmt: skip


async def stored(office: Office) -> Grant:
    grant: Grant
    (grant,) = [grant for grant in await office.store.grants() if grant.wire == "nwc"]
    return grant


async def asks_to_pay(office: Office, request_id: str, script: Script | None = None) -> str:
    """The app of the connection asks for a payment, whose hash is returned."""
    invoice = office.node.outside_invoice(script or Script())
    await office.rig.pay(request_id, (await stored(office)).grant_id, invoice, AMOUNT)
    return invoice[1]


async def refused_as(office: Office, request_id: str) -> str:
    """The reason for which a request of the app was refused; "" where it was answered otherwise."""

    async def is_told() -> bool:
        return bool(told())

    def told() -> list[bytes]:
        return [message.plaintext for message in office.rig.life.delivered if message.request_id == request_id]

    await until(is_told, pause_s=0.001)
    outcome: dict[str, Any] = msgspec.json.decode(told()[0])["outcome"]
    return str(outcome.get("reason", ""))


async def used(office: Office) -> list[int]:
    return [row["used_msat"] for row in (await office.run("connection_show", name="alice"))["budgets"]]


def plain(budget: dict[str, Any]) -> dict[str, Any]:
    """A budget of sats as it is asked for."""
    assert (budget["currency"], budget["limit_minor"]) == (None, None)
    return {"limit_msat": budget["limit_msat"], "period": budget["period"], "length_s": budget["length_s"] or 0}


@pytest.mark.parametrize(
    ("asked", "field", "before", "after"),
    [
        ({"budgets": [WEEK]}, "budgets", [DAY], [WEEK]),
        ({"budgets": [WEEK, LITTLE]}, "budgets", [DAY], [WEEK, LITTLE]),
        ({"budgets": []}, "budgets", [DAY], []),
        ({"per_payment_msat": 9_000}, "per_payment_msat", 90_000, 9_000),
        ({"per_payment_msat": None}, "per_payment_msat", 90_000, None),
        ({"fee_cap_msat": 3_000}, "fee_cap_msat", None, 3_000),
        ({"expires_at": EPOCH + 90}, "expires_at", EPOCH + 600, EPOCH + 90),
        ({"expires_in_s": 60}, "expires_at", EPOCH + 600, EPOCH + 60),
        ({"expires_at": None}, "expires_at", EPOCH + 600, None),
        ({"methods": ["get_info"]}, "methods", ["pay_invoice"], ["get_info"]),
        ({"preset": "pay"}, "methods", ["pay_invoice"], sorted(preset_methods("pay"))),
        ({"new_name": "bob"}, "name", "alice", "bob"),
        ({"show_balance": "full"}, "show_balance", "budget", "full"),
        ({"show_history": "account"}, "show_history", "own", "account"),
    ],
)
async def test_what_is_asked_for_is_changed_and_nothing_else(
    office: Office, asked: dict[str, Any], field: str, before: object, after: object
) -> None:
    await office.run("connect", **MADE)
    was = await stored(office)
    told = await office.run("connection_edit", "k2", name="alice", **asked)
    changed = told["changed"].pop(field)
    if field == "budgets":
        changed = {name: [plain(one) for one in listed] for name, listed in changed.items()}
    assert (changed, told["changed"]) == ({"before": before, "after": after}, {})
    grant = await stored(office)
    stored_as = {"show_balance": "shown_balance", "show_history": "shown_history"}.get(field, field)
    assert grant == replace(was, version=2, **{stored_as: getattr(grant, stored_as)})
    assert office.announced == [was.grant_id] * 2
    shown = await office.run("connection_show", name=grant.name)
    assert told == {**shown, "changed": told["changed"]}
    assert (was.version, shown["version"]) == (1, 2)
    rows = [plain(row) for row in shown["budgets"]]
    assert (rows if field == "budgets" else shown[field]) == after


async def test_several_changes_are_one_commit(office: Office) -> None:
    await office.run("connect", **MADE)
    told = await office.run("connection_edit", "k2", name="alice", new_name="bob", budgets=[LITTLE], fee_cap_msat=1)
    assert list(told["changed"]) == ["name", "budgets", "fee_cap_msat"]
    grant = await stored(office)
    assert (grant.name, grant.version) == ("bob", 2)
    assert (await office.run("connect", "k3", name="alice"))["created"], "the old name is free"


async def test_the_link_of_an_edited_connection_stays_as_it_was(office: Office) -> None:
    made = await office.run("connect", **MADE)
    office.relays_say(RelayWord(RELAY, True))
    office.relays_live(RELAY)
    told = await office.run("connection_edit", "k2", name="alice", preset="full")
    assert told["relays"] == [{"relay": RELAY, "listening": True, "announced": True, "words": None}]
    assert made["nwc_uri"] not in str(told)
    assert (await office.run("link", "k3", name="alice"))["nwc_uri"] == made["nwc_uri"]


async def test_of_two_who_edit_at_once_the_second_is_told_and_changes_nothing(office: Office) -> None:
    await office.run("connect", **MADE)
    seen = (await office.run("connection_show", name="alice"))["version"]
    await office.run("connection_edit", "k2", name="alice", budgets=[WEEK], version=seen)
    before = await stored(office)
    refused = await office.refused("connection_edit", "k3", name="alice", budgets=[LITTLE], version=seen)
    assert (refused.reason, refused.details) == (Reason.CONFLICT, {"version": 2})
    assert "has changed meanwhile (version 2, you saw 1)" in refused.message
    assert await stored(office) == before
    assert (await office.run("connection_edit", "k4", name="alice", budgets=[LITTLE], version=2))["changed"]
    alone = await office.refused("connection_edit", "k5", name="alice", version=3)
    assert "say what to change" in alone.message


async def test_an_edit_is_undone_by_another_one(office: Office) -> None:
    await office.run("connect", **MADE)
    was = await stored(office)
    everything: dict[str, Any] = {
        "budgets": [],
        "per_payment_msat": None,
        "expires_at": None,
        "preset": "full",
        "show_balance": "full",
        "show_history": "account",
    }
    told = (await office.run("connection_edit", "k2", name="alice", **everything))["changed"]
    back = {field: change["before"] for field, change in told.items()}
    await office.run("connection_edit", "k3", name="alice", **back)
    assert await stored(office) == replace(was, version=3, budgets=(await stored(office)).budgets)
    assert [budget.terms for budget in (await stored(office)).budgets] == [budget.terms for budget in was.budgets]


@pytest.mark.parametrize(("first", "other"), [("app", "read-only"), ("read-only", "app")])
async def test_another_preset_leaves_the_history_as_it_is(office: Office, first: str, other: str) -> None:
    made = await office.run("connect", name="alice", preset=first)
    told = await office.run("connection_edit", "k2", name="alice", preset=other)
    assert (told["preset"], told["show_history"]) == (other, made["show_history"])
    assert "show_history" not in told["changed"]


async def test_what_is_so_already_changes_nothing(office: Office) -> None:
    await office.run("connect", **MADE)
    same = {"budgets": [DAY], "per_payment_msat": 90_000, "methods": ["pay_invoice"], "new_name": "alice"}
    assert (await office.run("connection_edit", "k2", name="alice", **same))["changed"] == {}
    assert ((await stored(office)).version, len(office.announced)) == (1, 1)


async def test_an_edit_that_is_repeated_with_its_key_is_done_once_also_after_the_next_one(office: Office) -> None:
    await office.run("connect", **MADE)
    first = await office.run("connection_edit", "k2", name="alice", new_name="bob", expires_in_s=60)
    office.rig.clock.advance(30)
    await office.run("connection_edit", "k3", name="bob", new_name="alice")
    assert await office.run("connection_edit", "k2", name="alice", new_name="bob", expires_in_s=60) == first
    assert ((await stored(office)).name, (await stored(office)).version) == ("alice", 3)
    reused = await office.refused("connection_edit", "k2", name="alice", new_name="eve")
    assert reused.reason is Reason.ALREADY_USED


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({}, "say what to change, such as --budget 5000/week"),
        ({"expires_at": EPOCH}, "this end has passed: run `kitestring revoke alice`"),
        ({"expires_at": EPOCH + MAX_EXPIRY_S + 1}, "within a hundred years"),
        ({"expires_at": EPOCH + 60, "expires_in_s": 60}, "not both"),
        ({"methods": ["fly"]}, "'fly' is no method"),
        ({"methods": []}, "needs a method"),
        ({"methods": ["get_info"], "preset": "full"}, "not both"),
        ({"preset": "pay", "budgets": []}, "the preset pay needs a budget"),
        ({"budgets": [DAY, LITTLE]}, "the same period"),
        ({"budgets": [{**DAY, "length_s": 60}]}, "has a length"),
        ({"new_name": "owner"}, "the owner's own"),
        ({"new_name": ""}, "new name must not be empty"),
        ({"new_name": "x" * 300}, "new name has at most 64 characters"),
        ({"new_name": "two\nlines"}, "one line without white space around it"),
        ({"new_name": "shop\u202e"}, "a character that nobody sees (U+202E)"),
        ({"new_name": "a\nb"}, "one line"),
        ({"new_name": "shop"}, "the name 'shop' is taken by another connection (account owner, made on"),
        ({"account": "bob"}, "no parameter 'account'"),
    ],
)
async def test_a_change_that_cannot_be_is_refused_in_a_sentence_and_changes_nothing(
    office: Office, asked: dict[str, Any], word: str
) -> None:
    await office.run("connect", **MADE)
    await office.run("connect", "k2", name="shop")
    before = await office.store.grants()
    assert word in (await office.refused("connection_edit", "k3", name="alice", **asked)).message
    assert await office.store.grants() == before


async def test_what_is_not_there_any_more_is_not_edited(office: Office) -> None:
    assert (await office.refused("connection_edit", name="bob", budgets=[])).reason is Reason.UNKNOWN_TARGET
    await office.run("connect", "k2", **MADE)
    await office.run("revoke", "k3", name="alice")
    assert (await office.refused("connection_edit", "k4", name="alice", budgets=[])).reason is Reason.UNKNOWN_TARGET


async def test_the_preset_that_pays_takes_the_budget_that_is_there_or_comes_with_it(office: Office) -> None:
    await office.run("connect", name="alice", preset="full", budget_msat=None)
    assert "needs a budget" in (await office.refused("connection_edit", "k2", name="alice", preset="pay")).message
    assert (await office.run("connection_edit", "k3", name="alice", preset="pay", budgets=[DAY]))["changed"]
    assert (await office.run("connection_edit", "k4", name="alice", preset="read-only"))["changed"]
    assert (await office.run("connection_edit", "k5", name="alice", preset="pay"))["changed"]


@pytest.mark.parametrize(
    ("asked", "limits"),
    [
        ({"preset": "app"}, [10_000_000]),
        ({"preset": "pay"}, [10_000_000]),
        ({"methods": ["pay_keysend"]}, [10_000_000]),
        ({"preset": "app", "budgets": [LITTLE]}, [7_000]),
        ({"preset": "full", "budgets": []}, []),
        ({"methods": ["make_invoice"]}, []),
    ],
)
async def test_what_begins_to_pay_gets_the_budget_of_a_new_one_unless_its_owner_says_another(
    office: Office, asked: dict[str, Any], limits: list[int]
) -> None:
    await office.run("connect", name="till", preset="receive-only")
    told = await office.run("connection_edit", "k2", name="till", **asked)
    assert [one["limit_msat"] for one in told["budgets"]] == limits
    assert ("budgets" in told["changed"]) is bool(limits)


async def test_what_may_pay_without_a_limit_is_given_none_by_another_change(office: Office) -> None:
    await office.run("connect", name="alice", budget_msat=None)
    assert not (await office.run("connection_edit", "k2", name="alice", preset="full"))["budgets"]


async def test_a_connection_that_has_expired_goes_on_with_a_later_end(office: Office) -> None:
    await office.run("connect", **MADE)
    office.rig.clock.advance(601)
    await asks_to_pay(office, "r1")
    assert await refused_as(office, "r1") == "connection_ended"
    await office.run("connection_edit", "k2", name="alice", expires_in_s=60)
    await office.has_state(await asks_to_pay(office, "r2"), "settled")


@pytest.mark.parametrize(
    ("rights", "asked", "lacks"),
    [
        ({"manage"}, {"budgets": [LITTLE]}, "pay_invoice needs the right to spend"),
        ({"manage", "spend"}, {"methods": ["pay_invoice", "make_invoice"]}, "make_invoice needs the right to receive"),
        ({"manage", "spend"}, {"budgets": [WEEK]}, ""),
        ({"manage", "read"}, {"methods": ["get_balance"]}, ""),
    ],
)
async def test_nobody_leaves_a_connection_with_more_than_he_may_do_himself(
    office: Office, rights: set[str], asked: dict[str, Any], lacks: str
) -> None:
    await office.run("connect", **MADE)
    before = await stored(office)
    await office.set_owner(methods=frozenset(rights))
    if not lacks:
        assert (await office.run("connection_edit", "k2", name="alice", **asked))["changed"]
        return
    refused = await office.refused("connection_edit", "k2", name="alice", **asked)
    assert (refused.reason, refused.message) == (
        Reason.NOT_PERMITTED, f"`connection_edit` with {lacks}: the grant owner does not have it",
    )  # fmt: skip
    assert await stored(office) == before


# ------------------------------------------------------------ money


async def test_a_lowered_budget_refuses_the_next_payment_and_what_was_spent_stays_counted(office: Office) -> None:
    await office.run("connect", **MADE)
    await office.has_state(await asks_to_pay(office, "r1", Script(fee=1_000)), "settled")
    spent = AMOUNT + 1_000
    await office.run("connection_edit", "k2", name="alice", budgets=[{**DAY, "limit_msat": spent + 1_000}])
    assert await used(office) == [spent]
    await asks_to_pay(office, "r2")
    assert await refused_as(office, "r2") == "over_budget"
    await office.run("connection_edit", "k3", name="alice", budgets=[WEEK, {**DAY, "limit_msat": 10 * spent}])
    assert await used(office) == [0, spent]
    await office.has_state(await asks_to_pay(office, "r3", Script(fee=1_000)), "settled")
    assert await used(office) == [spent, 2 * spent]


async def test_a_payment_that_is_under_way_ends_as_it_was_claimed_and_counts_in_the_lowered_budget(
    office: Office,
) -> None:
    await office.run("connect", **MADE)
    hanging = await asks_to_pay(office, "r1", Script(settles_after_s=None, fee=1_000))
    await office.has_state(hanging, "dispatched")
    (held,) = await used(office)
    assert held > AMOUNT
    told = await office.run(
        "connection_edit", "k2", name="alice", budgets=[{**DAY, "limit_msat": 1_000}], per_payment_msat=1_000,
    )  # fmt: skip
    (stands,) = told["budgets"]
    assert (stands["used_msat"], stands["left_msat"]) == (held, 0)
    await asks_to_pay(office, "r2")
    assert await refused_as(office, "r2") == "over_budget"
    office.node.release(hanging)
    await office.has_state(hanging, "settled")
    assert await used(office) == [AMOUNT + 1_000]


async def test_an_edit_that_takes_paying_away_leaves_the_payment_under_way_alone(office: Office) -> None:
    await office.run("connect", **MADE)
    hanging = await asks_to_pay(office, "r1", Script(settles_after_s=None))
    await office.has_state(hanging, "dispatched")
    await office.run("connection_edit", "k2", name="alice", preset="read-only", expires_in_s=1)
    await asks_to_pay(office, "r2")
    assert await refused_as(office, "r2") == "not_permitted"
    office.node.release(hanging)
    await office.has_state(hanging, "settled")
