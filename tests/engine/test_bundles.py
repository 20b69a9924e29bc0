"""Several payments in one request: each is claimed, limited and answered for itself; a crash leaves none out."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.commands import Bundle, Part, PayInvoice, Unread
from kitestring.base.destinations import Keysend
from kitestring.base.errors import KitestringError, NotStoredError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Paid, Refused
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT, NWC, Life, Rig

COST = AMOUNT + 1_000


def bundle(*payments: PayInvoice | Unread) -> Bundle:
    return Bundle(parts=tuple(Part(one, NWC) for one in payments))


def bills(rig: Rig, *scripts: Script) -> list[PayInvoice]:
    return [rig.paying(rig.life.node.outside_invoice(script), AMOUNT) for script in scripts]


async def answers(rig: Rig, number: int, name: str = "b") -> list[Any]:
    return [await rig.answer(f"{name}/{part}") for part in range(number)]


def words(outcomes: list[Any]) -> list[str]:
    return ["ok" if isinstance(one, Paid) else one.reason.value for one in outcomes]


@virtual
async def test_every_payment_is_made_and_answered_for_itself(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        first, failing, slow = bills(rig, Script(), Script(fails="no_route"), Script(settles_after_s=40))
        key = PayInvoice(destination=Keysend(life.node.outside_key()), payment_hash="", amount_msat=Msat(AMOUNT))
        unread = Unread("wrong_network", "this invoice is for bitcoin")
        await rig.handle("b", "app", bundle(first, failing, unread, slow, key))
        await rig.until(lambda: _is_finished(rig))
        told = await answers(rig, 5)
        assert words(told) == ["ok", "payment_failed", "wrong_network", "ok", "ok"]
        assert told[2] == Refused(Reason.WRONG_NETWORK, "this invoice is for bitcoin")
        assert len(life.node.paid_out()) == 3
        (parent,) = await rig.store.messages("b")
        assert (parent.plaintext, parent.event) == (b"", b"")
    life.audit()


async def _is_finished(rig: Rig) -> bool:
    return not await rig.store.running_requests()


@virtual
async def test_budget_and_slots_are_those_of_each_payment(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", budgets=(Budget.total(Msat(2 * AMOUNT + 20_000)),))
        await rig.handle("b", "app", bundle(*bills(rig, Script(), Script(), Script())))
        assert words(await answers(rig, 3)) == ["ok", "ok", "over_budget"]
        await rig.grant("none", methods="make_invoice")
        await rig.handle("c", "none", bundle(*bills(rig, Script(), Script())))
        assert words(await answers(rig, 2, "c")) == ["not_permitted", "not_permitted"]
        await rig.grant("over", revoked_at=rig.clock.now())
        await rig.handle("d", "over", bundle(*bills(rig, Script())))
        assert (await rig.answer("d")).reason is Reason.CONNECTION_ENDED
    life.audit()


@virtual
async def test_two_of_the_same_invoice_are_one_payment_with_two_answers(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        (one,) = bills(rig, Script(settles_after_s=3))
        await rig.handle("b", "app", bundle(one, one))
        first, second = await answers(rig, 2)
        assert first == second
        assert len(life.node.sends) == 1


@virtual
async def test_the_same_request_again_is_answered_with_all_stored_answers_and_pays_nothing(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        command = bundle(*bills(rig, Script(), Script(fails="no_route")))
        await rig.handle("b", "app", command)
        before = await answers(rig, 2)
        await rig.until(lambda: _is_finished(rig))
        life.delivered.clear()
        await rig.handle("b", "app", command)
        assert await answers(rig, 2) == before
        life.delivered.clear()
        assert await rig.engine.known("b")
        assert [message.request_id for message in life.delivered] == ["b/0", "b/1"]
        assert len(life.node.sends) == 2


@virtual
async def test_a_crash_in_the_middle_carries_on_the_rest_each_with_its_own_deadline(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        command = bundle(*bills(rig, Script(settles_after_s=5), Script(), Script()))
        await _claims_only(rig, 1)
        await rig.handle("b", "app", command)
        await rig.until(lambda: _has_one(rig))
    await life.clock.sleep(50)
    async with life.service() as rig:
        assert words(await answers(rig, 3)) == ["ok", "ok", "ok"]
        await rig.until(lambda: _is_finished(rig))
        ends = [(await _payment(rig, part)).send_until for part in range(3)]
        assert ends[0] < ends[1] == ends[2]
        assert len(life.node.sends) == 3
    life.audit()


async def _claims_only(rig: Rig, number: int) -> None:
    """The ledger takes so many claims, and then no more in this life."""
    apply = rig.store.apply
    taken: list[Any] = []

    async def some(tx: Any) -> Any:
        if type(tx).__name__ == "ClaimPayment":
            if len(taken) >= number:
                raise NotStoredError(Reason.INTERNAL, "the disk is full")
            taken.append(tx)
        return await apply(tx)

    rig.store.apply = some


async def _has_one(rig: Rig) -> bool:
    return len(await rig.store.open_payments()) == 1


async def _payment(rig: Rig, part: int) -> Any:
    request = await rig.store.request(f"b/{part}")
    return await rig.store.payment(request.payment_id)


@virtual
async def test_what_was_not_begun_in_time_is_not_begun_any_more(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        command = bundle(*bills(rig, Script(), Script()))
        await _claims_only(rig, 1)
        await rig.handle("b", "app", command)
        await rig.answer("b/0")
    await life.clock.sleep(121)
    async with life.service() as rig:
        told = await answers(rig, 2)
        assert (words(told), told[1].details) == (["ok", "payment_failed"], {"reason": "too_late"})
        assert len(life.node.sends) == 1
    life.audit()


@virtual
async def test_a_disk_that_is_full_for_a_while_leaves_no_payment_out(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        full = KitestringError(Reason.INTERNAL, "the disk is full")
        rig.store.broken["ClaimPayment"] = [full, full]
        rig.store.broken["Answer"] = [full]
        await rig.handle("b", "app", bundle(*bills(rig, Script(), Script())))
        assert words(await answers(rig, 2)) == ["ok", "ok"]
        await rig.until(lambda: _is_finished(rig))


@virtual
async def test_a_bundle_that_cannot_be_stored_is_not_begun_and_is_known_by_its_payments(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        (one,) = bills(rig, Script())
        command = bundle(one, Unread("malformed", "no"))
        rig.store.broken["ClaimBundle"] = [NotStoredError(Reason.INTERNAL, "the disk is full")]
        with pytest.raises(NotStoredError):
            await rig.handle("b", "app", command)
        assert not await rig.engine.has_paid("r1", command)
        assert life.node.sends == []
        await rig.handle("b", "app", command)
        await answers(rig, 2)
        assert await rig.engine.has_paid("r1", command)
