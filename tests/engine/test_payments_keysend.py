"""A payment to a key without an invoice: paid once for each request, whatever repeats, crashes, or is lost."""

from __future__ import annotations

import asyncio
import itertools
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.commands import PayInvoice
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Paid
from kitestring.base.records import StopCause
from kitestring.base.transactions.service import SetSpending
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT, Life, Rig, is_paid

SPENDS = "pay_keysend pay_invoice make_invoice"
RECORDS = ((65_536, "00ff"), (70_000, ""))


def sent(key: str, amount: int = AMOUNT, preimage: str = "", **more: Any) -> PayInvoice:
    payment_hash = sha256(bytes.fromhex(preimage)).hexdigest() if preimage else ""
    more.setdefault("destination", Keysend(key, preimage, RECORDS))
    return PayInvoice(payment_hash=payment_hash, amount_msat=Msat(amount), **more)


async def paid(rig: Rig, request_id: str, command: PayInvoice, grant: str = "app") -> Paid:
    await rig.handle(request_id, grant, command)
    answer = await rig.answer(request_id)
    assert isinstance(answer, Paid), answer
    return answer


@virtual
async def test_a_key_is_paid_with_a_preimage_that_is_stored_before_the_node_is_asked(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", methods=SPENDS)
        key = life.node.outside_key(Script(settles_after_s=5))
        await rig.handle("r1", "app", sent(key))
        (open_payment,) = await rig.store.open_payments()
        assert isinstance(open_payment.destination, Keysend)
        assert sha256(bytes.fromhex(open_payment.destination.preimage)).hexdigest() == open_payment.payment_hash
        answer = await rig.answer("r1")
        assert is_paid(answer, open_payment.payment_hash)
        assert (answer.preimage, answer.fee_msat) == (open_payment.destination.preimage, 1_000)
        assert life.node.keysends == {open_payment.payment_hash: open_payment.destination}
        assert open_payment.destination.records == RECORDS
        assert life.node.paid_out() == {open_payment.payment_hash: AMOUNT + 1_000}
    life.audit()


@virtual
async def test_each_request_is_a_payment_of_its_own_and_a_repeated_one_is_none(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", methods=SPENDS)
        command = sent(life.node.outside_key())
        first = await paid(rig, "r1", command)
        assert (await paid(rig, "r2", command)).payment_hash != first.payment_hash
        await asyncio.gather(*(rig.handle("r1", "app", command) for _ in range(5)))
        assert rig.told("r1") == [first, *[first] * (len(rig.told("r1")) - 1)]
        assert len(life.node.paid_out()) == 2


@virtual
async def test_a_ledger_that_was_put_back_finds_the_payment_of_a_repeated_request_at_the_node(tmp_path: Path) -> None:
    """The preimage follows from the request: what was paid by it in a life that nobody remembers is not paid again."""
    now, put_back = Life(tmp_path / "now.db"), Life(tmp_path / "old.db", numbers=itertools.count(1_000))
    key = now.node.outside_key()
    async with now.service() as rig:
        await rig.grant("app", methods=SPENDS)
        sent_at = rig.clock.now()
        before = await paid(rig, "r1", sent(key))
    put_back.node, put_back.clock, put_back.is_witnessed = now.node, now.clock, False
    await put_back.clock.sleep(10)
    async with put_back.service() as rig:
        await rig.grant("app", methods=SPENDS)
        rig.clock = _Earlier(rig.clock, sent_at)
        again = await paid(rig, "r1", sent(key))
        assert (again.payment_hash, again.preimage) == (before.payment_hash, before.preimage)
        assert len(now.node.paid_out()) == 1
        assert len(now.node.sends) == 1


class _Earlier:
    """A clock whose requests are as old as the first life's."""

    def __init__(self, clock: Any, sent_at: int) -> None:
        self._clock, self._sent_at = clock, sent_at

    def now(self) -> int:
        return self._sent_at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)


@virtual
async def test_a_lost_answer_is_looked_up_by_the_hash_and_survives_a_restart(life: Life) -> None:
    key = life.node.outside_key(Script(settles_after_s=3, answers=["lost"]))
    async with life.service() as rig:
        await rig.grant("app", methods=SPENDS)
        await rig.handle("r1", "app", sent(key))
    async with life.service() as rig:
        answer = await rig.answer("r1")
        assert is_paid(answer, answer.payment_hash)
        assert list(life.node.paid_out()) == [answer.payment_hash]
        assert await rig.store.open_payments() == []
    life.audit()


@virtual
async def test_a_failure_is_told_and_the_next_request_is_a_new_attempt(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", methods=SPENDS)
        key = life.node.outside_key(Script(fails="no_route"))
        await rig.handle("r1", "app", sent(key))
        assert (await rig.answer("r1")).reason is Reason.PAYMENT_FAILED
        life.node.scripts[key] = Script()
        await paid(rig, "r2", sent(key))
        await rig.handle("r1", "app", sent(key))
        assert [one.reason for one in rig.told("r1")] == [Reason.PAYMENT_FAILED] * len(rig.told("r1"))
        assert len(life.node.paid_out()) == 1


@virtual
async def test_a_preimage_of_the_callers_own_makes_two_requests_one_payment(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", methods=SPENDS)
        await rig.grant("other", methods=SPENDS)
        key, preimage = life.node.outside_key(), "5e" * 32
        command = sent(key, preimage=preimage)
        first = await paid(rig, "r1", command)
        assert first.preimage == preimage
        assert await paid(rig, "r2", command) == replace(first, is_old=True)
        await rig.handle("r3", "other", command)
        assert (await rig.answer("r3")).reason is Reason.INVOICE_TAKEN
        assert len(life.node.paid_out()) == 1


@pytest.mark.parametrize("other", ["another key", "other records", "an invoice"])
def test_who_has_the_preimage_of_one_payment_is_not_told_that_another_was_made(life: Life, other: str) -> None:
    @virtual
    async def story() -> None:
        async with life.service() as rig:
            await rig.grant("app", methods=SPENDS)
            key, preimage = life.node.outside_key(), "5e" * 32
            await paid(rig, "r1", sent(key, preimage=preimage))
            destinations = {
                "another key": Keysend(life.node.outside_key(), preimage, RECORDS),
                "other records": Keysend(key, preimage, RECORDS[:1]),
                "an invoice": Bolt11("lnbcrt-with-this-hash"),
            }
            more = {"network": "regtest", "expires_at": rig.clock.now() + 600} if other == "an invoice" else {}
            command = sent(key, preimage=preimage, destination=destinations[other], **more)
            await rig.handle("r2", "app", command)
            assert (await rig.answer("r2")).reason is Reason.INVOICE_TAKEN
            assert len(life.node.paid_out()) == 1

    story()


@virtual
async def test_what_is_sent_to_the_node_itself_stays_in_the_books_and_is_the_owners(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("purse", 2 * AMOUNT)
        await rig.grant("app", account="purse", methods=SPENDS)
        before = await rig.engine.node_view()
        totals = await rig.store.totals()
        answer = await paid(rig, "r1", sent(rig.context.node.node_id))
        assert (answer.internal, answer.fee_msat) == (True, 0)
        assert is_paid(answer, answer.payment_hash)
        assert await rig.available("purse") == AMOUNT
        after = await rig.store.totals()
        assert (after.spent_msat, after.sub_accounts_msat) == (totals.spent_msat, totals.sub_accounts_msat - AMOUNT)
        assert (await rig.engine.node_view()).spendable_msat == before.spendable_msat
        assert not {"pay", "cancel_invoice", "lookup_payment"} & set(life.node.calls)
    life.audit()


@virtual
async def test_a_crash_before_the_books_are_moved_moves_them_at_the_next_start(life: Life) -> None:
    async with life.service(start=False) as rig:
        await rig.account("purse", AMOUNT)
        await rig.grant("app", account="purse", methods=SPENDS)
        await rig.handle("r1", "app", sent(rig.context.node.node_id))
    async with life.service() as rig:
        assert (await rig.answer("r1")).internal
        assert await rig.available("purse") == 0
    life.audit()


@virtual
async def test_what_stops_other_payments_stops_these(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("poor", 0)
        await rig.grant("without", methods="pay_invoice")
        await rig.grant("poor", account="poor", methods=SPENDS)
        await rig.grant("small", methods=SPENDS, budgets=(Budget.total(Msat(AMOUNT - 1)),))
        await rig.grant("app", methods=SPENDS)
        key, own = life.node.outside_key(), rig.context.node.node_id
        for grant, to, reason in (
            ("without", key, Reason.NOT_PERMITTED),
            ("without", own, Reason.NOT_PERMITTED),
            ("poor", key, Reason.INSUFFICIENT_FUNDS),
            ("poor", own, Reason.INSUFFICIENT_FUNDS),
            ("small", key, Reason.OVER_BUDGET),
            ("small", own, Reason.OVER_BUDGET),
        ):
            await rig.handle(f"{grant} {to}", grant, sent(to))
            assert (await rig.answer(f"{grant} {to}")).reason is reason, (grant, to)
        await rig.store.apply(SetSpending(True, "drift", rig.clock.now(), StopCause.DRIFT))
        for to in (key, own):
            await rig.handle(f"stopped {to}", "app", sent(to))
            assert (await rig.answer(f"stopped {to}")).reason is Reason.SPENDING_STOPPED
        assert life.node.sends == []
    life.audit()


@virtual
async def test_a_fee_cap_of_the_caller_is_the_most_that_the_node_is_allowed(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", methods=SPENDS)
        answer = await paid(rig, "r1", sent(life.node.outside_key(), max_fee_msat=Msat(1_234)))
        assert life.node.fee_caps == {answer.payment_hash: 1_234}
