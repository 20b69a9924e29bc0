"""Questions to the owner: what is shown is decided, once, and nobody is told more than is true."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from kitestring.base.approvals import (
    DECIDE_WITHIN_S,
    GATE_S,
    REFUSED_S,
    Approval,
    ApprovalKind,
    ApprovalState,
    Ruling,
)
from kitestring.base.budgets import Budget
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Granted, Paid, Refused
from kitestring.base.payments import InFlight, NeverSeen, Unknown
from kitestring.base.transactions.answers import Denied, Finished, Stale
from kitestring.base.transactions.approvals import AskOwner, Decide
from kitestring.base.transactions.requests import ForgetRefusals
from kitestring.engine.approvals import MAX_OF_ALL, MAX_OF_CALLER
from tests.kit.clock import virtual
from tests.kit.engine.crossings import Crossings
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT, Life, Rig, is_paid
from tests.kit.ledger.values import reply

ALICE, BOB = "a1" * 32, "b2" * 32
WEEK = Budget.rolling(Msat(4 * AMOUNT), 604_800)
K1 = "c4" * 32


def payable(rig: Rig, **script: Any) -> tuple[str, str]:
    """An invoice that costs no fee, unless ``script`` says more of it."""
    return rig.life.node.outside_invoice(Script(**{"fee": 0} | script))


async def reason_of(decision: Any) -> Reason:
    with pytest.raises(KitestringError) as told:
        await decision
    return told.value.reason


@virtual
async def test_a_stranger_waits_for_the_owner_and_nothing_is_held_meanwhile(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        invoice = payable(rig)
        await rig.debit("r1", ALICE, invoice)
        await rig.clock.sleep(60)
        assert rig.told("r1") == []
        assert await rig.state(invoice[1]) == ""
        assert (await rig.store.totals()).pending_msat == 0
        await rig.decide(Ruling.AS_ASKED)
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert await rig.store.grants_of("debits", ALICE) == []
    life.audit()


@virtual
async def test_a_question_outlives_a_crash_and_is_decided_afterwards(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        invoice = payable(rig)
        await rig.debit("r1", ALICE, invoice)
    async with life.service() as rig:
        await rig.debit("r1", ALICE, invoice)  # the relay shows it again
        assert len(await rig.store.approvals(limit=9)) == 1
        await rig.decide(Ruling.BUDGET, budget=WEEK)
        assert is_paid(await rig.answer("r1"), invoice[1])
        (grant,) = await rig.store.grants_of("debits", ALICE)
        assert await rig.store.budget_used(grant.grant_id, 0) == AMOUNT
        for number in range(3):
            await rig.debit(f"n{number}", ALICE, payable(rig))
            await rig.answer(f"n{number}")
        assert await rig.store.budget_used(grant.grant_id, 0) == 4 * AMOUNT
        await rig.debit("over", ALICE, payable(rig))
        over = await rig.answer("over")
        assert over.reason is Reason.OVER_BUDGET
        assert "range" not in over.details  # there is nothing left to name
    life.audit()


@virtual
async def test_it_is_decided_once_whatever_the_door(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.debit("r1", ALICE, payable(rig))
        (asked,) = await rig.store.approvals(limit=9)
        told = await asyncio.gather(
            rig.decide(Ruling.AS_ASKED, asked.approval_id, key="one"),
            rig.decide(Ruling.DENY, asked.approval_id, key="two", by="other"),
            return_exceptions=True,
        )
        (done,) = (one for one in told if isinstance(one, Approval))
        (late,) = (one for one in told if isinstance(one, KitestringError))
        assert (late.reason, late.details["state"]) == (Reason.ALREADY_USED, done.state.value)
        again = await rig.decide(Ruling.AS_ASKED, asked.approval_id, key=done.decided_as)
        assert again == done
        await rig.answer("r1")
        assert len(life.node.paid_out()) == (1 if done.state is ApprovalState.APPROVED else 0)
    life.audit()


@virtual
async def test_what_has_changed_since_it_was_shown_is_not_decided(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        first, second = payable(rig), payable(rig)
        await rig.debit("r1", ALICE, first)
        (shown,) = await rig.store.approvals(limit=9)
        await rig.debit("r2", ALICE, second, 2 * AMOUNT)
        assert (await rig.answer("r1")).message == "superseded by a newer request of the same key"
        assert await reason_of(rig.decide(Ruling.AS_ASKED, shown.approval_id)) is Reason.ALREADY_USED
        assert await reason_of(rig.decide(Ruling.AS_ASKED, version=7)) is Reason.BUSY
        assert rig.told("r2") == []
    life.audit()


@virtual
async def test_the_same_request_sent_anew_waits_for_the_same_answer(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        invoice = payable(rig)
        expires_at = rig.clock.now() + 900
        await rig.debit("r1", ALICE, invoice, expires_at=expires_at)
        await rig.debit("r2", ALICE, invoice, expires_at=expires_at)
        assert len(await rig.store.approvals(limit=9)) == 1
        await rig.decide(Ruling.AS_ASKED)
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert is_paid(await rig.answer("r2"), invoice[1])
        await rig.debit("r3", ALICE, invoice, expires_at=expires_at)
        assert is_paid(await rig.answer("r3"), invoice[1])
        assert len(life.node.paid_out()) == 1
    life.audit()


@virtual
async def test_nobody_has_decided_in_time(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.debit("r1", ALICE, payable(rig), k1="")
        (asked,) = await rig.store.approvals(limit=9)
        await rig.clock.sleep(DECIDE_WITHIN_S + 10)
        assert (await rig.answer("r1")).reason is Reason.UNDECIDED
        assert await reason_of(rig.decide(Ruling.AS_ASKED, asked.approval_id)) is Reason.ALREADY_USED
        assert life.node.paid_out() == {}
    life.audit()


@virtual
async def test_a_question_ends_with_its_invoice_and_by_no_clock_later_than_it_should(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.debit("r1", ALICE, payable(rig), expires_at=rig.clock.now() + 120)
        await rig.clock.sleep(130)
        assert (await rig.answer("r1")).reason is Reason.UNDECIDED
        await rig.debit("r2", ALICE, payable(rig))
        await rig.clock.sleep(10)
        life.clock.skew_s -= 86_400  # our clock is set back: nobody waits a day for that
        await rig.clock.sleep(DECIDE_WITHIN_S + 10)
        assert (await rig.answer("r2")).reason is Reason.UNDECIDED
    life.audit()


@virtual
async def test_no_is_told_at_once_and_a_blocked_key_is_not_asked_about_again(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.debit("r1", ALICE, payable(rig))
        done = await rig.decide(Ruling.BLOCK, note="spam")
        assert (done.state, done.decision) == (ApprovalState.DENIED, "block")
        assert (await rig.answer("r1")).reason is Reason.NOT_PERMITTED
        await rig.debit("r2", ALICE, payable(rig))
        assert (await rig.answer("r2")).reason is Reason.NOT_PERMITTED
        assert await rig.store.approvals(limit=9) == []
        assert [block.caller for block in await rig.store.blocks()] == [ALICE]
    life.audit()


@virtual
async def test_a_block_does_not_touch_the_payment_of_another_request_that_is_under_way(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        slow = payable(rig, answers=["lost"], settles_after_s=30)
        await rig.debit("r1", ALICE, slow)
        await rig.decide(Ruling.AS_ASKED)
        await rig.debit("r2", ALICE, payable(rig))
        await rig.decide(Ruling.BLOCK)
        assert (await rig.answer("r2")).reason is Reason.NOT_PERMITTED
        assert is_paid(await rig.answer("r1"), slow[1])
    life.audit()


@virtual
async def test_an_approval_that_money_does_not_cover_decides_nothing_and_says_why(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("purse", AMOUNT + 20_000)
        await rig.pointer(account_id="purse")
        await rig.allow("till", BOB, account_id="purse")
        await rig.debit("r1", ALICE, payable(rig))
        await rig.debit("r2", BOB, payable(rig))
        await rig.answer("r2")
        assert await reason_of(rig.decide(Ruling.AS_ASKED)) is Reason.INSUFFICIENT_FUNDS
        small = Budget.total(Msat(AMOUNT - 1))
        assert await reason_of(rig.decide(Ruling.BUDGET, budget=small)) is Reason.OVER_BUDGET
        assert await rig.store.grants_of("debits", ALICE) == []
        assert rig.told("r1") == []
        await rig.decide(Ruling.DENY)
        assert (await rig.answer("r1")).reason is Reason.NOT_PERMITTED
    life.audit()


@virtual
async def test_an_approved_payment_that_fails_tells_so_with_the_nodes_proof(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer(sessions="any")
        invoice = payable(rig, fails="no_route")
        await rig.debit("r1", ALICE, invoice, k1=K1)
        await rig.decide(Ruling.AS_ASKED)
        assert (await rig.answer("r1")).reason is Reason.PAYMENT_FAILED
        await rig.debit("r2", ALICE, payable(rig), k1=K1)  # the word is free again
        await rig.decide(Ruling.AS_ASKED)
        await rig.answer("r2")
        await rig.debit("r3", ALICE, payable(rig), k1=K1)
        assert (await rig.answer("r3")).reason is Reason.ALREADY_USED
    life.audit()


@virtual
@pytest.mark.parametrize(
    ("verdict", "told"), [(Ruling.AS_ASKED, None), (Ruling.ALWAYS, None), (Ruling.BUDGET, Msat(AMOUNT))]
)
async def test_a_crash_between_the_decision_and_its_answer_changes_nothing_of_what_is_told(
    life: Life, verdict: Ruling, told: Msat | None
) -> None:
    """The smaller budget that the owner gave is named after the crash as it is before it."""
    less = Budget.rolling(Msat(AMOUNT), 604_800)
    async with life.service() as rig:
        await rig.pointer()
        await rig.debit("live", BOB, budget=WEEK)
        await rig.decide(verdict, budget=less)
        live = await rig.answer("live")
        await rig.debit("late", ALICE, budget=WEEK)
        (asked,) = await rig.store.approvals(limit=9)
        rig.store.waiting = AsyncMock(return_value=[])  # it comes while the decision is on its way to the disk
        rig.engine._approvals._finish = AsyncMock()  # type: ignore[method-assign]  # and then the machine stops
        await rig.decide(verdict, asked.approval_id, budget=less)
        assert rig.told("late") == []
    async with life.service() as rig:
        after = await rig.answer("late")
        assert after == live
        assert (after.budget and after.budget.limit_msat) == told
    life.audit()


@virtual
async def test_a_crash_between_the_decision_and_the_node_pays_once(life: Life) -> None:
    crossings = Crossings(at="before pay")
    async with life.service(crossings) as rig:
        await rig.pointer()
        invoice = payable(rig)
        await rig.debit("r1", ALICE, invoice)
        await rig.decide(Ruling.BUDGET, budget=WEEK)
        await rig.clock.sleep(5)
    async with life.service() as rig:
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert len(life.node.paid_out()) == 1
        (grant,) = await rig.store.grants_of("debits", ALICE)
        assert await rig.store.budget_used(grant.grant_id, 0) == AMOUNT
    life.audit()


@virtual
async def test_the_owners_word_stands_above_the_cap_on_one_payment(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer(per_payment_msat=Msat(AMOUNT // 2))
        await rig.debit("r1", ALICE, payable(rig))
        await rig.decide(Ruling.AS_ASKED)
        assert isinstance(await rig.answer("r1"), Paid)
        await rig.debit("r2", BOB, payable(rig))
        assert await reason_of(rig.decide(Ruling.BUDGET, budget=WEEK)) is Reason.OVER_BUDGET  # that would go on
    life.audit()


# ------------------------------------------------------------ the right to take


@virtual
async def test_a_budget_that_is_asked_for_is_given_as_asked_or_as_the_owner_likes(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.debit("r1", ALICE, budget=WEEK)
        await rig.decide(Ruling.AS_ASKED)
        assert await rig.answer("r1") == Granted()
        less = Budget.rolling(Msat(AMOUNT), 604_800)
        await rig.debit("r2", BOB, budget=WEEK)
        await rig.decide(Ruling.BUDGET, budget=less)
        assert await rig.answer("r2") == Granted(less)
        assert [g.budgets for key in (ALICE, BOB) for g in await rig.store.grants_of("debits", key)] == [
            (WEEK,),
            (less,),
        ]
    life.audit()


@virtual
async def test_a_larger_budget_is_asked_for_again_and_the_old_one_stays_meanwhile(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.allow("till", ALICE, WEEK)
        await rig.debit("small", ALICE, budget=Budget.rolling(Msat(AMOUNT), 86_400))  # 350,000 a week: more
        assert rig.told("small") == []
        await rig.debit("same", ALICE, budget=WEEK)
        assert await rig.answer("same") == Granted()
        larger = Budget.rolling(Msat(5 * AMOUNT), 604_800)
        await rig.debit("larger", ALICE, budget=larger)
        assert isinstance(await rig.answer("small"), Refused)  # superseded
        await rig.debit("p1", ALICE, payable(rig))
        await rig.answer("p1")
        await rig.decide(Ruling.AS_ASKED)
        assert await rig.answer("larger") == Granted()
        (grant,) = await rig.store.grants_of("debits", ALICE)
        assert (grant.budgets, grant.version) == ((larger,), 2)
        assert await rig.store.budget_used(grant.grant_id, 0) == AMOUNT  # what was used goes on to count
    life.audit()


@virtual
async def test_full_access_is_given_by_that_very_word_alone(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.debit("r1", ALICE)
        assert (await rig.store.approvals(limit=1))[0].kind is ApprovalKind.BUDGET
        assert await reason_of(rig.decide(Ruling.AS_ASKED)) is Reason.MALFORMED
        await rig.decide(Ruling.ALWAYS)
        assert await rig.answer("r1") == Granted()
        (grant,) = await rig.store.grants_of("debits", ALICE)
        assert grant.budgets == ()
    life.audit()


# ------------------------------------------------------------ the gate


@virtual
async def test_strangers_close_the_gate_to_strangers_alone_and_it_opens_again(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.allow("till", BOB, WEEK)
        for number in range(MAX_OF_ALL + 40):
            await rig.debit(f"r{number}", f"{number:064x}", payable(rig))
        assert len(await rig.store.approvals(limit=999)) == MAX_OF_ALL
        refused = await rig.answer(f"r{MAX_OF_ALL + 39}")
        assert (refused.reason, refused.details["retry_after"]) == (Reason.RATE_LIMITED, rig.clock.now() + GATE_S)
        assert await rig.store.request(f"r{MAX_OF_ALL + 39}") is None
        await rig.debit("known", BOB, budget=Budget.rolling(Msat(10**9), 604_800))
        assert len(await rig.store.approvals(limit=999)) == MAX_OF_ALL + 1
        await rig.clock.sleep(GATE_S + 10)
        await rig.debit("late", ALICE, payable(rig))
        assert len(await rig.store.approvals(limit=999)) == 1
    life.audit()


@virtual
async def test_one_key_asks_so_often_and_no_more(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        for number in range(MAX_OF_CALLER + 1):
            await rig.debit(f"r{number}", ALICE, payable(rig))
        assert (await rig.answer(f"r{MAX_OF_CALLER}")).reason is Reason.RATE_LIMITED
        assert rig.told(f"r{MAX_OF_CALLER - 1}") == []
    life.audit()


@virtual
async def test_a_larger_week_that_is_counted_in_another_way_keeps_what_was_used(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        grant = await rig.allow("till", ALICE, Budget.weekly(Msat(2 * AMOUNT)))
        await rig.debit("p1", ALICE, payable(rig))
        await rig.answer("p1")
        await rig.debit("larger", ALICE, budget=WEEK)  # any seven days in a row, where the owner's begins on Monday
        await rig.decide(Ruling.AS_ASKED)
        assert await rig.answer("larger") == Granted()
        for number in range(3):
            await rig.debit(f"n{number}", ALICE, payable(rig))
            assert isinstance(await rig.answer(f"n{number}"), Paid)
        await rig.debit("over", ALICE, payable(rig))
        assert (await rig.answer("over")).reason is Reason.OVER_BUDGET
        assert await rig.store.budget_used(grant, 0) == 4 * AMOUNT
    life.audit()


@virtual
async def test_who_has_taken_without_anybodys_yes_is_a_stranger_at_the_gate(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer("open", strangers="budget", budgets=(WEEK,))
        await rig.pointer()
        await rig.debit("taken", ALICE, payable(rig), pointer="open")
        await rig.answer("taken")
        for name, is_known in (("first", False), ("second", True)):
            await rig.debit(name, ALICE, payable(rig))
            (asked,) = await rig.store.approvals(limit=9)
            assert asked.is_known is is_known
            await rig.decide(Ruling.AS_ASKED)
            await rig.answer(name)
    life.audit()


@virtual
async def test_a_blocked_key_gets_no_yes_to_what_it_had_asked_elsewhere(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer("till")
        await rig.pointer("shop")
        await rig.debit("r1", ALICE, payable(rig))
        await rig.debit("r2", ALICE, budget=WEEK, pointer="shop")
        at_till, at_shop = (await rig.store.approvals(limit=9))[:2]
        await rig.decide(Ruling.BLOCK, at_till.approval_id)
        assert await reason_of(rig.decide(Ruling.AS_ASKED, at_shop.approval_id)) is Reason.NOT_PERMITTED
        assert await rig.store.grants_of("debits", ALICE) == []
        assert rig.told("r2") == []
        await rig.decide(Ruling.DENY, at_shop.approval_id)
        assert (await rig.answer("r2")).reason is Reason.NOT_PERMITTED
    life.audit()


@virtual
@pytest.mark.parametrize("back_s", [3_600, 400 * 86_400])
async def test_a_question_of_an_earlier_life_that_is_dated_ahead_of_the_clock_is_over(back_s: int, life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.debit("r1", ALICE, payable(rig))
        await rig.debit("r2", BOB, payable(rig))
        await rig.clock.sleep(10)
        life.clock.skew_s = -back_s
        await rig.clock.sleep(10)
        asked, other = await rig.store.approvals(limit=9)  # this process knows how long they have waited
    async with life.service() as rig:
        assert await reason_of(rig.decide(Ruling.AS_ASKED, asked.approval_id)) is Reason.UNDECIDED
        assert (await rig.answer("r1")).reason is Reason.UNDECIDED
        assert (await rig.answer("r2")).reason is Reason.UNDECIDED
        assert await rig.store.payment(other.approval_id) is None
        assert life.node.paid_out() == {}
    life.audit()


@virtual
async def test_what_a_question_asks_for_is_kept_once_however_many_wait_for_it(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        invoice = payable(rig, fails="no_route")
        for number in range(3):
            await rig.debit(f"r{number}", ALICE, invoice)
        (asked,) = await rig.store.approvals(limit=9)
        assert {one.command for one in await rig.store.waiting(asked.approval_id)} == {b""}
        await rig.decide(Ruling.AS_ASKED)
        for number in range(3):
            assert (await rig.answer(f"r{number}")).reason is Reason.PAYMENT_FAILED
    life.audit()


@virtual
async def test_a_budget_has_all_that_was_given_also_after_another_was_taken_away(life: Life) -> None:
    once = Budget.total(Msat(2 * AMOUNT))
    async with life.service() as rig:
        await rig.pointer()
        grant = await rig.allow("till", ALICE, once)
        await rig.debit("r1", ALICE, payable(rig))
        await rig.answer("r1")
        await rig.debit("more", ALICE, budget=once)
        await rig.change(grant, budgets=())
        await rig.decide(Ruling.AS_ASKED)
        assert await rig.answer("more") == Granted()
        for number in range(2):
            await rig.debit(f"n{number}", ALICE, payable(rig))
            assert isinstance(await rig.answer(f"n{number}"), Paid)
        await rig.debit("over", ALICE, payable(rig))
        assert (await rig.answer("over")).reason is Reason.OVER_BUDGET
    life.audit()


@virtual
async def test_a_grant_that_has_expired_meanwhile_is_no_yes(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        grant = await rig.allow("till", ALICE, WEEK, expires_at=rig.clock.now() + 60)
        await rig.debit("more", ALICE, budget=Budget.rolling(Msat(9 * AMOUNT), 604_800))
        await rig.clock.sleep(61)
        assert await reason_of(rig.decide(Ruling.AS_ASKED)) is Reason.CONNECTION_ENDED
        assert rig.told("more") == []
        await rig.change(grant, expires_at=None)
        await rig.decide(Ruling.AS_ASKED)
        assert await rig.answer("more") == Granted()
    life.audit()


@virtual
async def test_who_may_have_been_paid_in_an_earlier_life_hears_no_from_nobody(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        for name, caller in (("denied", ALICE), ("expired", BOB), ("superseded", "c3" * 32)):
            await rig.debit(name, caller, payable(rig))
        await rig.debit("budget", "d4" * 32, budget=WEEK)
        await rig.clock.sleep(10)
    life.is_witnessed = False
    async with life.service() as rig:
        await rig.clock.sleep(5)
        await rig.decide(Ruling.DENY)
        await rig.debit("new", "c3" * 32, payable(rig))
        await rig.clock.sleep(DECIDE_WITHIN_S + 10)
        said = {message.request_id: message.plaintext for message in life.delivered}
        assert {name for name, words in said.items() if words} == {"budget", "new"}
        for name in ("denied", "expired", "superseded"):  # and no later copy asks once more
            assert (await rig.store.messages(name))[0].plaintext == b""
    life.audit()


@virtual
@pytest.mark.parametrize(
    ("answer", "is_told"),
    [(InFlight(), False), (Unknown("the node is away"), False), (NeverSeen(0), True)],
    ids=["in flight", "unknown", "never seen"],
)
async def test_a_no_to_a_question_of_an_earlier_life_is_told_if_the_node_has_no_payment_of_it(
    life: Life, answer: Any, is_told: bool
) -> None:
    """A witness knows of each no that was told, and not of what was paid."""
    async with life.service() as rig:
        await rig.pointer()
        await rig.debit("denied", ALICE, payable(rig))
        await rig.clock.sleep(10)
    async with life.service() as rig:
        await rig.clock.sleep(5)
        backend: Any = rig.context.backend
        backend.lookup_payment = AsyncMock(return_value=answer)
        await rig.decide(Ruling.DENY)
        await rig.clock.sleep(5)
        assert [bool(message.plaintext) for message in await rig.store.messages("denied")] == [is_told]
    life.audit()


# ------------------------------------------------------------ what is mistaken, late, or overtaken


@virtual
async def test_a_word_about_no_question_or_without_its_amount_or_on_a_pointer_that_is_gone_decides_nothing(
    life: Life,
) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.debit("r1", ALICE, payable(rig))
        assert await reason_of(rig.decide(Ruling.DENY, "nothing")) is Reason.UNKNOWN_TARGET
        assert await reason_of(rig.decide(Ruling.BUDGET)) is Reason.MALFORMED
        await rig.change("till", revoked_at=rig.clock.now())
        assert await reason_of(rig.decide(Ruling.AS_ASKED)) is Reason.UNKNOWN_TARGET
        assert [one.state for one in await rig.store.approvals(limit=9)] == [ApprovalState.OPEN]
    life.audit()


def before_the_next(rig: Rig, kind: type, *answers: Any) -> list[Any]:
    """Let the ledger answer transactions of this kind with ``answers`` first, each without doing anything."""
    apply, left = rig.store.apply, list(answers)

    async def answering(tx: Any) -> Any:
        return left.pop(0) if left and isinstance(tx, kind) else await apply(tx)

    rig.store.apply = answering
    return left


@virtual
async def test_a_question_that_is_overtaken_is_asked_anew_and_not_for_ever(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        before_the_next(rig, AskOwner, Stale())
        await rig.debit("r1", ALICE, payable(rig))
        assert len(await rig.store.approvals(limit=9)) == 1
        left = before_the_next(rig, AskOwner, *[Stale()] * 99)
        await rig.debit("r2", BOB, payable(rig))
        assert (await rig.answer("r2")).reason is Reason.BUSY
        left.clear()
        before_the_next(rig, AskOwner, Finished((reply("r3", "told before"),)))
        rig.context.deliver = heard = Mock()
        await rig.debit("r3", BOB, payable(rig))
        ((message,),) = heard.call_args.args
        assert message.plaintext == b"told before"


@virtual
@pytest.mark.parametrize(
    ("answer", "reason"), [(Denied(Reason.NOT_PERMITTED), Reason.NOT_PERMITTED), (Stale(), Reason.BUSY)]
)
async def test_a_decision_that_is_overtaken_says_so(life: Life, answer: Any, reason: Reason) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.debit("r1", ALICE, payable(rig))
        before_the_next(rig, Decide, answer)
        assert await reason_of(rig.decide(Ruling.DENY)) is reason
        assert (await rig.decide(Ruling.DENY)).state is ApprovalState.DENIED
    life.audit()


@virtual
async def test_of_two_who_decide_at_once_one_is_told_what_the_other_has_said(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.debit("r1", ALICE, budget=WEEK)
        words = [rig.decide(Ruling.DENY), rig.decide(Ruling.AS_ASKED)]
        done = await asyncio.gather(*words, return_exceptions=True)
        decided = [one for one in done if isinstance(one, Approval)]
        refused = [one for one in done if isinstance(one, KitestringError)]
        assert (len(decided), [one.reason for one in refused]) == (1, [Reason.ALREADY_USED])
    life.audit()


@virtual
async def test_questions_that_cannot_be_ended_now_are_ended_later(life: Life, caplog: pytest.LogCaptureFixture) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.debit("r1", ALICE, payable(rig))
        approvals = rig.store.approvals
        rig.store.approvals = AsyncMock(side_effect=KitestringError(Reason.INTERNAL, "the disk is gone"))
        await rig.clock.sleep(DECIDE_WITHIN_S + 60)
        assert "questions to the owner are not ended yet: the disk is gone" in caplog.text
        rig.store.approvals = approvals
        assert (await rig.answer("r1")).reason is Reason.UNDECIDED
    life.audit()


# ------------------------------------------------------------ what is left of a no


async def forget(rig: Rig) -> None:
    """What is done every few minutes."""
    await rig.delivery.flush()
    await rig.store.apply(ForgetRefusals(rig.clock.now(), 0))


@virtual
async def test_of_a_stranger_without_a_yes_a_refusal_is_left_that_answers_copies_and_goes(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.debit("denied", ALICE, payable(rig))
        asked = await rig.decide(Ruling.BLOCK, note="rude")
        sent_at = rig.clock.now()
        await rig.debit("expired", BOB, payable(rig))
        await rig.clock.sleep(DECIDE_WITHIN_S + 10)
        names = ("denied", "expired")
        told = {name: await rig.answer(name) for name in names}
        assert [one.reason for one in told.values()] == [Reason.NOT_PERMITTED, Reason.UNDECIDED]
        await forget(rig)
        for name in names[1:]:
            await rig.debit(name, BOB, payable(rig))
            assert rig.told(name) == [told[name]] * 2
        life.audit()
        await rig.clock.sleep(REFUSED_S + 10)
        await forget(rig)
        assert [await rig.store.request(name) for name in names] == [None, None]
        ended = await rig.store.approvals(limit=9, ended=True)
        assert {one.state for one in ended} == {ApprovalState.DENIED, ApprovalState.EXPIRED}
        assert asked in ended
        assert [(block.caller, block.note) for block in await rig.store.blocks()] == [(ALICE, "rude")]
        await rig.debit("expired", BOB, payable(rig), age_s=rig.clock.now() - sent_at)
        assert rig.told("expired")[-1].reason is Reason.STALE_REQUEST
        assert life.node.sends == []
    life.audit()


@virtual
async def test_an_end_that_a_crash_has_kept_from_being_told_is_told_and_goes_too(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.debit("r1", ALICE, payable(rig))
        (asked,) = await rig.store.approvals(limit=9)
        now = rig.clock.now()
        await rig.store.apply(Decide(asked.approval_id, 1, ApprovalState.DENIED, now, "owner", "ctl:x", "deny"))
    async with life.service() as rig:
        assert (await rig.answer("r1")).reason is Reason.NOT_PERMITTED
        life.audit()
        await rig.clock.sleep(REFUSED_S + 10)
        await forget(rig)
        assert await rig.store.request("r1") is None
    life.audit()
