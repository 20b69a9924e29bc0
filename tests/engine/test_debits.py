"""Debits: whose budget they are on (known keys, pointers, sessions), and what strangers leave behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from kitestring.base.approvals import DebitSession, Ruling
from kitestring.base.budgets import Budget
from kitestring.base.commands import DEBITS_WIRE, Debit
from kitestring.base.errors import Reason
from kitestring.base.grants import Strangers
from kitestring.base.money import Msat
from kitestring.base.outcomes import Granted, Paid, Refused
from kitestring.base.transactions.owner import SaveSession
from kitestring.engine import answers
from kitestring.engine.context import Incoming
from tests.kit.clock import virtual
from tests.kit.engine.crossings import Crossings, KilledError
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT, DEBITS, Life, Rig, is_paid

ALICE, BOB = "a1" * 32, "b2" * 32
WEEK = Budget.rolling(Msat(4 * AMOUNT), 604_800)
K1 = "c4" * 32


def payable(rig: Rig, fee: int = 0, **script: Any) -> tuple[str, str]:
    return rig.life.node.outside_invoice(Script(fee=fee, **script))


@virtual
async def test_a_known_key_is_paid_within_its_budget_without_anybody_being_asked(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer(strangers="deny")
        grant = await rig.allow("till", ALICE, WEEK)
        invoice = payable(rig, fee=1_000)
        await rig.debit("r1", ALICE, invoice)
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert await rig.store.budget_used(grant, 0) == AMOUNT + 1_000
        held = await rig.store.payment_by_hash(rig.context.node.node_id, invoice[1])
        assert (held.grant_id, held.requestor) == (grant, ALICE)
    life.audit()


@virtual
async def test_a_budget_is_used_up_to_its_last_sat_and_what_is_left_can_always_be_taken(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        grant = await rig.allow("till", ALICE, WEEK)
        await rig.debit("r1", ALICE, payable(rig), 3 * AMOUNT)
        await rig.answer("r1")
        await rig.debit("over", ALICE, payable(rig), AMOUNT + 1_000)
        over = await rig.answer("over")
        assert over.details["range"] == {"min": 1, "max": AMOUNT // 1_000}
        await rig.debit("far over", ALICE, payable(rig), 9 * AMOUNT)
        assert (await rig.answer("far over")).details["range"] == {"min": 1, "max": AMOUNT // 1_000}
        await rig.debit("rest", ALICE, payable(rig), AMOUNT)
        assert isinstance(await rig.answer("rest"), Paid)
        assert await rig.store.budget_used(grant, 0) == 4 * AMOUNT
    life.audit()


@virtual
async def test_the_edge_of_a_budget_holds_under_many_at_once(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        grant = await rig.allow("till", ALICE, Budget.total(Msat(50 * AMOUNT)))
        invoices = [payable(rig) for _ in range(200)]
        await asyncio.gather(*(rig.debit(f"r{number}", ALICE, one) for number, one in enumerate(invoices)))
        answers = [await rig.answer(f"r{number}") for number in range(200)]
        assert sum(isinstance(one, Paid) for one in answers) <= 50
        for number in range(200):  # what found no room for its fee reserve then may find it now
            await rig.debit(f"again{number}", ALICE, invoices[number])
            await rig.answer(f"again{number}")
        assert len(life.node.paid_out()) == 50
        assert await rig.store.budget_used(grant, 0) == 50 * AMOUNT
    life.audit()


@virtual
async def test_a_stranger_is_refused_and_nothing_is_stored_of_it(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer(strangers="deny")
        before = await rig.store.last_event()
        await rig.debit("r1", ALICE, payable(rig))
        assert (await rig.answer("r1")).reason is Reason.NOT_PERMITTED
        await rig.debit("r2", ALICE, payable(rig), pointer="nowhere")
        assert (await rig.answer("r2")).reason is Reason.UNKNOWN_TARGET
        await rig.debit("r3", ALICE, payable(rig), pointer="")
        assert (await rig.answer("r3")).reason is Reason.UNKNOWN_TARGET
        assert await rig.store.last_event() == before
        assert [await rig.store.request(name) for name in ("r1", "r2", "r3")] == [None] * 3
    life.audit()


@virtual
async def test_what_a_known_key_is_refused_is_refused_for_good(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.allow("till", ALICE, Budget.total(Msat(10)))
        await rig.debit("r1", ALICE, payable(rig))
        assert (await rig.answer("r1")).reason is Reason.OVER_BUDGET
        assert await rig.store.request("r1") is not None
    life.audit()


@virtual
async def test_an_invoice_with_hardly_any_life_left_is_not_begun_but_keeps_its_answer(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.allow("till", ALICE, WEEK)
        soon = rig.clock.now() + 29
        await rig.debit("short", ALICE, payable(rig), expires_at=soon)
        assert (await rig.answer("short")).reason is Reason.EXPIRED_INVOICE
        invoice = payable(rig)
        await rig.debit("r1", ALICE, invoice, expires_at=rig.clock.now() + 60)
        await rig.answer("r1")
        await rig.clock.sleep(120)
        await rig.debit("late", ALICE, invoice, expires_at=rig.clock.now() - 60)
        assert is_paid(await rig.answer("late"), invoice[1])
        await rig.debit("stranger", BOB, invoice, expires_at=rig.clock.now() + 60)
        taken = await rig.answer("stranger")
        assert (taken.reason, taken.details["reason"]) == (Reason.INVOICE_TAKEN, "invoice_already_paid")
    life.audit()


@virtual
async def test_an_invoice_under_way_is_joined_by_its_requestor_and_closed_to_others(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer(strangers="budget", budgets=(WEEK,))
        invoice = payable(rig, answers=["lost"], settles_after_s=30)
        await rig.debit("r1", ALICE, invoice)
        await rig.debit("r2", ALICE, invoice)
        await rig.debit("r3", BOB, invoice)
        taken = await rig.answer("r3")
        assert (taken.reason, taken.details["reason"]) == (Reason.INVOICE_TAKEN, "invoice_in_progress")
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert is_paid(await rig.answer("r2"), invoice[1])
        await rig.debit("r4", BOB, invoice)
        assert (await rig.answer("r4")).details["reason"] == "invoice_already_paid"
    life.audit()


@virtual
async def test_who_knows_a_pointer_with_a_budget_may_take_that_and_asks_for_no_more(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer(strangers="budget", budgets=(Budget.total(Msat(2 * AMOUNT)),))
        for name, key in (("r1", ALICE), ("r2", BOB)):
            await rig.debit(name, key, payable(rig))
            assert isinstance(await rig.answer(name), Paid)
        await rig.debit("r3", BOB, payable(rig))
        assert (await rig.answer("r3")).reason is Reason.OVER_BUDGET
        await rig.debit("r4", BOB, budget=WEEK)
        assert (await rig.answer("r4")).reason is Reason.NOT_PERMITTED
        assert await rig.store.grants_of("debits", BOB) == []
    life.audit()


@virtual
async def test_a_pointer_that_is_gone_or_a_grant_that_has_expired_pays_nothing(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.allow("till", ALICE, WEEK, expires_at=rig.clock.now() + 60)
        await rig.clock.sleep(61)
        await rig.debit("r1", ALICE, payable(rig))
        assert (await rig.answer("r1")).reason is Reason.CONNECTION_ENDED
        await rig.change("till", revoked_at=rig.clock.now())
        await rig.debit("r2", ALICE, payable(rig))
        assert (await rig.answer("r2")).reason is Reason.UNKNOWN_TARGET
        assert life.node.paid_out() == {}
    life.audit()


@virtual
async def test_the_caps_of_a_grant_hold_for_debits_as_they_do_for_apps(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.allow("till", ALICE, WEEK, per_payment_msat=Msat(AMOUNT), fee_cap_msat=Msat(0))
        await rig.debit("more", ALICE, payable(rig), AMOUNT + 1)
        more = await rig.answer("more")
        assert (more.reason, more.details["range"]) == (Reason.OVER_BUDGET, {"min": 1, "max": AMOUNT // 1_000})
        invoice = payable(rig)
        await rig.debit("free", ALICE, invoice)
        assert isinstance(await rig.answer("free"), Paid)
        held = await rig.store.payment_by_hash(rig.context.node.node_id, invoice[1])
        assert held.fee_cap_msat == 0
    life.audit()


# ------------------------------------------------------------ sessions


async def mint(rig: Rig, least: int = 1_000, most: int = AMOUNT, lasts_s: int = 300, word: str = K1) -> None:
    now = rig.clock.now()
    await rig.write(SaveSession(DebitSession("till", word, Msat(least), Msat(most), now + lasts_s, now)))


@virtual
async def test_a_session_pays_whoever_shows_it_once_and_a_failure_gives_it_back(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer(strangers="deny", sessions="minted")
        await mint(rig)
        await rig.debit("failed", ALICE, payable(rig, fails="no_route"), k1=K1)
        assert (await rig.answer("failed")).reason is Reason.PAYMENT_FAILED
        await rig.debit("r1", BOB, payable(rig), k1=K1)
        assert isinstance(await rig.answer("r1"), Paid)
        await rig.debit("r2", ALICE, payable(rig), k1=K1)
        assert (await rig.answer("r2")).reason is Reason.ALREADY_USED
    async with life.service() as rig:
        await rig.debit("r3", ALICE, payable(rig), k1=K1)
        assert (await rig.answer("r3")).reason is Reason.ALREADY_USED
    life.audit()


@virtual
async def test_a_session_has_bounds_and_an_end_and_an_invented_one_is_none(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer(strangers="deny", sessions="minted")
        await mint(rig, 2_000, 9_000)
        await rig.debit("much", ALICE, payable(rig), 9_001, k1=K1)
        much = await rig.answer("much")
        assert (much.reason, much.details["range"]) == (Reason.AMOUNT_OUT_OF_RANGE, {"min": 2, "max": 9})
        await rig.debit("invented", ALICE, payable(rig), 5_000, k1="d5" * 32)
        assert (await rig.answer("invented")).reason is Reason.UNKNOWN_TARGET
        await rig.clock.sleep(300)
        await rig.debit("late", ALICE, payable(rig), 5_000, k1=K1)
        assert (await rig.answer("late")).reason is Reason.UNKNOWN_TARGET
        assert life.node.paid_out() == {}
    life.audit()


@virtual
async def test_one_session_shown_by_two_at_once_pays_one(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer(strangers="deny", sessions="minted")
        await mint(rig)
        await asyncio.gather(*(rig.debit(f"r{n}", key, payable(rig), k1=K1) for n, key in enumerate((ALICE, BOB))))
        answers = [await rig.answer(name) for name in ("r0", "r1")]
        assert sum(isinstance(one, Paid) for one in answers) == 1
        assert [one.reason for one in answers if isinstance(one, Refused)] == [Reason.ALREADY_USED]
    life.audit()


@virtual
async def test_a_pointer_without_sessions_takes_no_word(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer(strangers="budget", budgets=(WEEK,))
        await rig.debit("r1", ALICE, payable(rig), k1=K1)
        assert (await rig.answer("r1")).reason is Reason.UNSUPPORTED
    life.audit()


# ------------------------------------------------------------ what has no payment


@virtual
async def test_what_a_key_has_already_is_answered_without_a_question(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        await rig.allow("till", ALICE)
        await rig.debit("all", ALICE)
        await rig.debit("week", ALICE, budget=WEEK)
        assert [await rig.answer(name) for name in ("all", "week")] == [Granted()] * 2
        assert await rig.store.approvals(limit=9) == []
    life.audit()


@virtual
async def test_a_budget_for_once_counts_what_is_left_of_it(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        once = Budget.total(Msat(2 * AMOUNT))
        await rig.allow("till", ALICE, once)
        await rig.debit("p1", ALICE, payable(rig))
        await rig.answer("p1")
        await rig.debit("b1", ALICE, budget=once)
        (asked,) = await rig.store.approvals(limit=9)  # half of it is gone: that would be more
        await rig.decide(Ruling.AS_ASKED, asked.approval_id)
        assert await rig.answer("b1") == Granted()
        (grant,) = await rig.store.grants_of("debits", ALICE)
        assert grant.budgets == (Budget(once.limit_msat, budget_id=1),)
        for number in range(2):
            await rig.debit(f"more{number}", ALICE, payable(rig))
            assert isinstance(await rig.answer(f"more{number}"), Paid)
        await rig.debit("over", ALICE, payable(rig))
        assert (await rig.answer("over")).reason is Reason.OVER_BUDGET
    life.audit()


@pytest.mark.parametrize("point", ["before ClaimPayment", "after ClaimPayment", "after pay", "before RecordPayment"])
def test_a_debit_that_a_crash_interrupts_is_paid_once_and_answered(life: Life, point: str) -> None:
    @virtual
    async def story() -> None:
        async with life.service(Crossings(at=point)) as rig:
            await rig.pointer(strangers="deny", sessions="minted")
            await mint(rig)
            invoice = payable(rig)
            with suppress(KilledError):
                await rig.debit("r1", ALICE, invoice, k1=K1)
            await rig.clock.sleep(5)
        async with life.service() as rig:
            await rig.debit("r1", ALICE, invoice, k1=K1)  # the relay shows it again
            assert is_paid(await rig.answer("r1"), invoice[1])
            assert list(life.node.paid_out()) == [invoice[1]]
        life.audit()

    story()


@virtual
async def test_of_what_may_have_been_paid_in_an_earlier_life_nobody_is_told_no(life: Life) -> None:
    life.is_witnessed = False
    async with life.service() as rig:
        await rig.pointer(strangers="deny")
        await rig.allow("till", BOB, Budget.total(Msat(10)))
        await rig.debit("r1", ALICE, payable(rig), age_s=20)
        await rig.debit("r2", BOB, payable(rig), age_s=20)
        await rig.clock.sleep(5)
        assert (rig.told("r1"), rig.told("r2")) == ([], [])
        assert await rig.store.request("r2") is not None  # never carried out, by no later copy
    life.audit()


@virtual
@pytest.mark.parametrize("is_asked", [False, True])
async def test_what_a_known_key_was_refused_is_refused_at_every_pointer_also_when_it_is_forgotten(
    is_asked: bool, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MAX_REFUSALS", 100)
    async with life.service() as rig:
        await rig.pointer("shop")
        await rig.pointer()
        await rig.allow("shop", ALICE, WEEK)  # what it is refused is kept with this one
        grant = "" if is_asked else await rig.allow("till", ALICE, Budget.total(Msat(10)))
        if is_asked:
            await rig.change("till", strangers="deny")
        invoice = payable(rig)
        for number in range(150):
            name, age_s = (f"r{number}", 2) if number == 0 else (f"r{number}", 1)
            await rig.debit(name, ALICE, invoice, age_s=age_s)
            assert isinstance(await rig.answer(name), Refused)
        assert await rig.store.request("r0") is None
        await rig.change(grant or "till", **({"strangers": "ask"} if is_asked else {"budgets": (WEEK,)}))
        await rig.debit("r0", ALICE, invoice, age_s=2)
        await rig.clock.sleep(5)
        assert await rig.store.approvals(limit=9) == []
        assert life.node.paid_out() == {}
    life.audit()


def meanwhile(rig: Rig, name: str, do: Callable[[], Awaitable[None]]) -> None:
    """Do it once, right after the ledger has answered this question of the engine."""
    ask = getattr(rig.store, name)

    async def asked(*values: Any) -> Any:
        setattr(rig.store, name, ask)
        found = await ask(*values)
        await do()
        return found

    setattr(rig.store, name, asked)


@virtual
@pytest.mark.parametrize("policy", ["deny", "ask"])
async def test_a_pointer_that_is_closed_while_a_stranger_is_decided_about_pays_it_nothing(
    policy: Strangers, life: Life
) -> None:
    async with life.service() as rig:
        await rig.pointer(strangers="budget", budgets=(WEEK,))
        asked = Incoming("r1", DEBITS_WIRE, "", debit_of(rig, 100 * AMOUNT), DEBITS, rig.clock.now(), author=ALICE)
        meanwhile(rig, "grants_of", lambda: rig.change("till", strangers=policy, budgets=()))
        refused = await rig.engine.handle(asked)
        assert policy == "ask" or (refused is not None and refused.reason is Reason.NOT_PERMITTED)
        assert len(await rig.store.approvals(limit=9)) == (policy == "ask")
        assert life.node.paid_out() == {}
    life.audit()


@virtual
async def test_a_pointer_that_takes_no_more_sessions_takes_none_that_is_decided_about(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer(strangers="deny", sessions="minted")
        now = rig.clock.now()
        await rig.write(SaveSession(DebitSession("till", K1, Msat(1_000), Msat(AMOUNT), now + 600, now)))
        asked = Incoming("r1", DEBITS_WIRE, "", debit_of(rig, AMOUNT, k1=K1), DEBITS, now, author=ALICE)
        meanwhile(rig, "grants_of", lambda: rig.change("till", sessions="off"))
        refused = await rig.engine.handle(asked)
        assert refused is not None
        assert refused.reason is Reason.NOT_PERMITTED
        assert life.node.paid_out() == {}
    life.audit()


@virtual
async def test_a_pointer_that_changes_all_the_time_is_busy(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer(strangers="budget", budgets=(WEEK,))
        ask = rig.store.grants_of

        async def grants_of(*values: Any) -> Any:
            found = await ask(*values)
            await rig.change("till")
            return found

        rig.store.grants_of = grants_of
        asked = Incoming("r1", DEBITS_WIRE, "", debit_of(rig, AMOUNT), DEBITS, rig.clock.now(), author=ALICE)
        refused = await rig.engine.handle(asked)
        assert refused is not None
        assert refused.reason is Reason.BUSY
        assert life.node.paid_out() == {}
    life.audit()


@virtual
async def test_a_payment_keeps_its_answer_for_its_requestor_on_whichever_grant(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer()
        invoice, slow = payable(rig), payable(rig, answers=["lost"], settles_after_s=30)
        for name, one in (("once", invoice), ("slow", slow)):
            await rig.debit(name, ALICE, one)
            await rig.decide(Ruling.AS_ASKED)
        grant = await rig.allow("till", ALICE, WEEK)
        await rig.debit("r1", ALICE, invoice)
        assert is_paid(await rig.answer("r1"), invoice[1])
        await rig.debit("r2", ALICE, slow)
        assert is_paid(await rig.answer("r2"), slow[1])
        await rig.debit("r3", ALICE, invoice, 2 * AMOUNT)
        assert (await rig.answer("r3")).reason is Reason.INVOICE_TAKEN
        await rig.change(grant, revoked_at=rig.clock.now())
        await rig.debit("r4", ALICE, invoice)
        assert is_paid(await rig.answer("r4"), invoice[1])
        assert await rig.store.budget_used(grant, 0) == 0
        assert len(life.node.paid_out()) == 2
    life.audit()


@virtual
async def test_an_invented_session_finds_out_neither_what_was_paid_nor_what_there_is(life: Life) -> None:
    async with life.service() as rig:
        await rig.pointer(strangers="deny", sessions="minted")
        await rig.allow("till", BOB, WEEK)
        invoice = payable(rig)
        await rig.debit("r1", BOB, invoice)
        await rig.answer("r1")
        for number, (one, amount) in enumerate([(invoice, AMOUNT), (payable(rig), 10**15), (payable(rig), 1_000)]):
            await rig.debit(f"s{number}", ALICE, one, amount, k1=K1)
            assert await rig.answer(f"s{number}") == Refused(Reason.UNKNOWN_TARGET)
    life.audit()


def debit_of(rig: Rig, amount: int, *, k1: str = "") -> Debit:
    return Debit(pointer_id="till", payment=rig.paying(payable(rig), amount), k1=k1)
