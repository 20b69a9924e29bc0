"""The owner's commands about questions: what is shown, what is decided, and what the owner is told of the end."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.owner.params import npub
from kitestring.app.service.owner_wire import decode_control
from kitestring.base.approvals import Approval, ApprovalState
from kitestring.base.budgets import Budget
from kitestring.base.enrolments import account_id_of
from kitestring.base.errors import Reason
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Refused
from tests.kit.app.desk import Office
from tests.kit.changed import replace
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT

ALICE = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
BOB = "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"
WEEK = Budget.rolling(sat(5_000), 604_800)


async def ask(office: Office, name: str = "r1", caller: str = ALICE, **more: Any) -> tuple[str, tuple[str, str]]:
    """A payment that waits for the owner: the id of the question, and the invoice."""
    if await office.store.grant("till") is None:
        await office.rig.pointer("till")
    invoice = office.rig.life.node.outside_invoice(Script(**{"fee": 0} | more))
    await office.rig.debit(name, caller, invoice, description="tea")
    return (await open_question(office)).approval_id, invoice


async def ask_for_budget(office: Office, budget: Budget | None) -> str:
    await office.rig.pointer("till")
    await office.rig.debit("r1", ALICE, budget=budget)
    return (await open_question(office)).approval_id


async def open_question(office: Office) -> Approval:
    """The newest one that waits."""
    found: list[Approval] = await office.store.approvals(limit=99)
    return found[-1]


# ------------------------------------------------------------ look


async def test_a_question_is_shown_with_what_the_owner_needs_to_judge_it(office: Office) -> None:
    question, (_, payment_hash) = await ask(office)
    (row,) = (await office.run("approvals"))["approvals"]
    now = office.desk.clock.now()
    assert (row["id"], row["version"], row["kind"], row["state"]) == (question, 1, "payment", "open")
    assert (row["caller"], row["npub"]) == (ALICE, npub(ALICE))
    assert (row["pointer_id"], row["pointer"]) == ("till", "till")
    assert (row["asked_at"], row["expires_at"]) == (now, now + 600)
    assert (row["amount_msat"], row["max_fee_msat"]) == (AMOUNT, max(10_000, AMOUNT // 100))
    assert (row["budget"], row["grant"], row["payment_hash"]) == (None, None, payment_hash)
    assert row["invoice_description"] == "tea"
    assert row["dealings"] == {"payments": 0, "cost_msat": 0, "last_at": None}
    assert (row["decided_at"], row["decided_by"], row["decision"]) == (None, None, None)
    assert (await office.run("approvals", ended=True))["approvals"] == []


async def test_past_dealings_and_what_the_key_may_take_already_are_shown(office: Office) -> None:
    question, _ = await ask(office)
    await office.run("approve", id=question)
    await office.rig.allow("till", ALICE, Budget.daily(sat(5)), fee_cap_msat=Msat(7_000))
    await office.rig.debit("r2", ALICE, budget=WEEK)
    (row,) = (await office.run("approvals"))["approvals"]
    assert row["dealings"] == {"payments": 1, "cost_msat": AMOUNT, "last_at": office.desk.clock.now()}
    asked = {name: value for name, value in row["budget"].items() if value is not None}
    assert asked == {"limit_msat": 5_000_000, "period": "rolling", "length_s": 604_800}
    assert (row["amount_msat"], row["max_fee_msat"]) == (None, None)
    assert [one["left_msat"] for one in row["grant"]["budgets"]] == [5_000]
    assert (await office.run("approvals", id=question))["approvals"][0]["max_fee_msat"] == 7_000


async def test_a_part_of_an_id_is_enough_where_it_is_one(office: Office) -> None:
    first, _ = await ask(office)
    for part in (first[:6], first[-6:], first):
        assert [row["id"] for row in (await office.run("approvals", id=part))["approvals"]] == [first]
    short = await office.refused("approvals", id=first[:5])
    assert (short.reason, "at least 6" in short.message) == (Reason.MALFORMED, True)
    absent = await office.refused("approvals", id="nothing")
    assert (absent.reason, "kitestring approvals" in absent.message) == (Reason.UNKNOWN_TARGET, True)


async def test_a_part_of_two_ids_is_none_and_both_are_named(office: Office) -> None:
    first, _ = await ask(office)
    asked = await office.store.approval(first)
    twins = [replace(asked, approval_id=f"abcdef{number}") for number in (1, 2)]

    async def approvals(*, limit: int, ended: bool = False) -> list[Approval]:
        return [] if ended else twins[:limit]

    office.store.approvals = approvals
    refused = await office.refused("approvals", id="abcdef")
    assert (refused.reason, refused.details["ids"]) == (Reason.MALFORMED, ["abcdef1", "abcdef2"])


async def test_the_beginning_of_an_id_that_was_superseded_decides_nothing_about_the_one_after_it(
    office: Office,
) -> None:
    first, _ = await ask(office)
    second, (_, payment_hash) = await ask(office, "r2")
    shared = first[:8]
    assert second.startswith(shared), "ids begin with their time"
    refused = await office.refused("approve", id=shared)
    assert (refused.reason, refused.details["ids"]) == (Reason.MALFORMED, [second, first])
    assert await office.rig.state(payment_hash) == ""
    assert (await office.run("approve", "k2", id=second[-6:]))["outcome"] == "paid"


# ------------------------------------------------------------ approve


async def test_a_payment_is_made_once_and_the_owner_is_told_of_its_end(office: Office) -> None:
    question, (_, payment_hash) = await ask(office)
    done = await office.run("approve", id=question[:8], verdict="once")
    assert (done["outcome"], done["fee_msat"], done["service_fee_msat"], done["why"]) == ("paid", 0, 0, None)
    assert (done["id"], done["state"], done["decided_by"]) == (question, "approved", "owner")
    assert done["decided_at"] == office.desk.clock.now()
    assert await office.rig.state(payment_hash) == "settled"
    assert "preimage" not in done
    assert await office.store.grants_of("debits", ALICE) == []
    assert [row["id"] for row in (await office.run("approvals", ended=True))["approvals"]] == [question]


async def test_not_paid_is_said_only_with_the_proof_of_the_node(office: Office) -> None:
    question, (_, payment_hash) = await ask(office, fails="no_route")
    done = await office.run("approve", id=question)
    assert (done["outcome"], done["state"]) == ("not_paid", "approved")
    assert done["why"] == (await office.store.payment(question)).evidence
    assert await office.rig.state(payment_hash) == "failed"


async def test_a_payment_that_has_not_ended_is_open(office: Office) -> None:
    question, (_, payment_hash) = await ask(office, settles_after_s=None)
    done = await office.run("approve", id=question, wait_s=0)
    assert (done["outcome"], done["why"]) == ("open", None)
    office.rig.life.node.release(payment_hash)
    await office.has_state(payment_hash, "settled")
    assert (await office.run("approve", id=question, wait_s=0))["outcome"] == "paid"


async def test_a_budget_is_given_and_the_payment_is_the_first_of_it(office: Office) -> None:
    question, _ = await ask(office)
    week = {"verdict": "budget", "budget_msat": 5_000_000, "period": "week"}
    done = await office.run("approve", id=question, **week)
    assert done["outcome"] == "paid"
    (budget,) = done["grant"]["budgets"]
    assert (budget["limit_msat"], budget["period"], budget["used_msat"]) == (5_000_000, "week", AMOUNT)


async def test_a_budget_is_granted_as_it_was_asked_for(office: Office) -> None:
    question = await ask_for_budget(office, WEEK)
    once = await office.refused("approve", id=question, verdict="once")
    assert "asks for no payment" in once.message
    done = await office.run("approve", id=question)
    assert (done["outcome"], done["amount_msat"]) == ("granted", None)
    assert [(row["limit_msat"], row["length_s"]) for row in done["grant"]["budgets"]] == [(5_000_000, 604_800)]


async def test_full_access_is_given_by_its_own_word_alone(office: Office) -> None:
    question = await ask_for_budget(office, None)
    refused = await office.refused("approve", id=question)
    assert (refused.reason, "always" in refused.message) == (Reason.MALFORMED, True)
    assert (await open_question(office)).state is ApprovalState.OPEN
    done = await office.run("approve", "k2", id=question, verdict="always")
    assert (done["outcome"], done["grant"]["budgets"]) == ("granted", [])


async def test_what_was_shown_is_what_is_decided(office: Office) -> None:
    question, _ = await ask(office)
    assert (await office.refused("approve", id=question, version=2)).reason is Reason.BUSY
    assert (await office.run("approve", "k2", id=question, version=1))["outcome"] == "paid"
    late = await office.refused("deny", "k3", id=question)
    assert (late.reason, late.details) == (Reason.ALREADY_USED, {"state": "approved", "decided_by": "owner"})


async def test_a_repeated_command_gets_the_same_answer_and_its_key_is_good_for_nothing_else(office: Office) -> None:
    first, _ = await ask(office)
    done = await office.run("approve", id=first)
    assert await office.run("approve", id=first) == done
    assert (await office.refused("approve", id=first, verdict="always")).reason is Reason.ALREADY_USED
    other, (_, payment_hash) = await ask(office, "r2", BOB)
    reused = await office.refused("approve", id=other)
    assert (reused.reason, "another `approve`" in reused.message) == (Reason.ALREADY_USED, True)
    assert await office.rig.state(payment_hash) == ""
    assert len(office.rig.life.node.paid_out()) == 1


@pytest.mark.parametrize(
    "params",
    [{"verdict": "budget"}, {"budget_msat": 1_000}, {"verdict": "budget", "budget_msat": 1_000, "period": "rolling"}],
)
async def test_a_verdict_that_does_not_fit_its_budget_decides_nothing(office: Office, params: dict[str, Any]) -> None:
    question, _ = await ask(office)
    assert (await office.refused("approve", id=question, **params)).reason is Reason.MALFORMED
    assert (await open_question(office)).state is ApprovalState.OPEN


async def test_who_may_not_pay_without_bounds_says_no_yes(office: Office) -> None:
    question, _ = await ask(office)
    for changes in ({"methods": frozenset({"manage"})}, {"methods": frozenset(), "budgets": (WEEK,)}):
        await office.set_owner(**changes)
        refused = await office.refused("approve", id=question)
        assert (refused.reason, "`approve`" in refused.message) == (Reason.NOT_PERMITTED, True)
    await office.set_owner(methods=frozenset({"manage"}))
    assert (await office.run("deny", "k2", id=question))["outcome"] == "denied"


# ------------------------------------------------------------ deny and block


async def test_who_asked_is_told_no_and_nothing_is_paid(office: Office) -> None:
    question, (_, payment_hash) = await ask(office)
    done = await office.run("deny", id=question)
    assert (done["outcome"], done["state"], done["decision"]) == ("denied", "denied", "deny")
    (message,) = await office.store.messages("r1")
    told = decode_control(message.plaintext)
    assert isinstance(told, Refused)
    assert (told.reason, await office.rig.state(payment_hash)) == (Reason.NOT_PERMITTED, "")
    assert (await office.run("blocked"))["blocked"] == []


async def test_a_key_is_blocked_before_it_has_asked_for_anything(office: Office) -> None:
    made = await office.run("block", key=npub(ALICE), note="spam")
    assert (made["caller"], made["blocked"]) == (ALICE, True)
    assert (await office.run("block", "k2", key=ALICE))["blocked"] is False
    (row,) = (await office.run("blocked"))["blocked"]
    assert (row["caller"], row["note"]) == (ALICE, "spam")
    await office.rig.enroll("r1", ALICE)
    assert await office.rig.store.account(account_id_of(ALICE)) is None
    assert (await office.refused("block", "k3", key="npub1nobody")).reason is Reason.MALFORMED
    assert (await office.refused("block", "k4", key=BOB, note="two\nlines")).reason is Reason.MALFORMED


async def test_a_blocked_key_asks_no_more_until_it_is_unblocked(office: Office) -> None:
    question, _ = await ask(office)
    assert "name --block too" in (await office.refused("deny", id=question, note="spam")).message
    done = await office.run("deny", "k2", id=question, block=True, note="spam")
    assert done["outcome"] == "blocked"
    (row,) = (await office.run("blocked"))["blocked"]
    assert row == {"caller": ALICE, "npub": npub(ALICE), "blocked_at": office.desk.clock.now(), "note": "spam"}
    await office.rig.debit("r2", ALICE, office.rig.life.node.outside_invoice())
    assert await office.store.approvals(limit=9) == []
    free = await office.run("unblock", "k3", key=npub(ALICE))
    assert (free["caller"], free["unblocked"]) == (ALICE, True)
    assert (await office.run("unblock", "k4", key=ALICE))["unblocked"] is False
    await office.rig.debit("r3", ALICE, office.rig.life.node.outside_invoice())
    assert len(await office.store.approvals(limit=9)) == 1
    assert (await office.refused("unblock", "k5", key="npub1nobody")).reason is Reason.MALFORMED


TEN_EUR = {"verdict": "budget", "currency": "EUR", "budget_minor": 1_000, "period": "day"}


async def test_a_yes_within_euros_that_is_said_again_has_its_answer_whatever_is_known_of_the_rate(
    office: Office,
) -> None:
    question, (_, payment_hash) = await ask(office)
    prices = prices_of(office)
    first = await office.run("approve", id=question, **TEN_EUR)
    prices.clear()
    again = await office.run("approve", id=question, **TEN_EUR)
    assert (first["outcome"], again["outcome"]) == ("paid", "paid")
    assert await office.rig.state(payment_hash) == "settled"
    other = await office.refused("approve", id=question, **{**TEN_EUR, "budget_minor": 2_000})
    assert other.reason is Reason.ALREADY_USED


async def test_a_first_yes_within_euros_decides_nothing_while_their_rate_is_not_known(office: Office) -> None:
    question, (_, payment_hash) = await ask(office)
    prices_of(office).clear()
    refused = await office.refused("approve", id=question, **TEN_EUR)
    assert (refused.reason, await office.rig.state(payment_hash)) == (Reason.UNAVAILABLE, "")
    assert (await open_question(office)).state is ApprovalState.OPEN


def prices_of(office: Office) -> dict[str, int]:
    """The rates of commands and payments, as they are changed by a test."""
    rates: Any = office.desk.rates
    office.rig.context.rates = rates
    prices: dict[str, int] = rates.prices
    return prices
