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
from kitestring.base.records import BUNDLE
from kitestring.base.transactions.answers import More
from kitestring.base.transactions.payments import ClaimBundle
from kitestring.base.transactions.requests import ForgetRefusals
from kitestring.engine.context import Incoming
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT, NWC, Life, Rig

COST = AMOUNT + 1_000
#: The keys of the app with the link of before, and of that with the link of now.
THIEF, OWNER_APP = "ee" * 32, "0a" * 32


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
        await rig.grant("keys", methods="pay_keysend")
        await rig.handle("c", "keys", bundle(*bills(rig, Script(), Script())))
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


@virtual
async def test_what_the_app_before_has_asked_for_is_not_begun_after_its_link_was_exchanged(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", caller=THIEF)
        command = bundle(*bills(rig, Script(), Script(), Script()))
        await _claims_only(rig, 1)
        await rig.handle("b", "app", command, app=THIEF)
        await rig.until(lambda: _has_one_paid(rig))
        await rig.change("app", caller=OWNER_APP)
    await life.clock.sleep(50)
    async with life.service() as rig:
        assert words(await answers(rig, 3)) == ["ok", "connection_ended", "connection_ended"]
        assert len(life.node.sends) == 1
        await rig.handle("c", "app", bundle(*bills(rig, Script(), Script())), app=OWNER_APP)
        assert words(await answers(rig, 2, "c")) == ["ok", "ok"]
    life.audit()


async def _has_one_paid(rig: Rig) -> bool:
    return len(rig.life.node.paid_out()) == 1


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
async def test_with_a_clock_that_was_set_back_what_was_not_begun_in_time_is_not_begun(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        command = bundle(*bills(rig, Script(), Script()))
        await _claims_only(rig, 1)
        await rig.handle("b", "app", command)
        await rig.answer("b/0")
    await life.clock.sleep(3_000)
    life.clock.skew_s = -3_600
    async with life.service() as rig:
        assert (words(await answers(rig, 2)), len(life.node.sends)) == (["ok", "payment_failed"], 1)


@virtual
async def test_a_clock_that_is_set_back_while_the_disk_is_full_gives_no_more_time(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        full = KitestringError(Reason.INTERNAL, "the disk is full")
        rig.store.broken["ClaimPayment"] = [full] * 9
        await rig.handle("b", "app", bundle(*bills(rig, Script())))
        life.clock.skew_s = -50
        assert words(await answers(rig, 1)) == ["payment_failed"]
        assert life.node.sends == []


@virtual
async def test_a_disk_that_is_full_for_a_while_leaves_no_payment_out(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        full = KitestringError(Reason.INTERNAL, "the disk is full")
        rig.store.broken["ClaimPayment"] = [full, full]
        rig.store.broken["EndBundle"] = [full]
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


# ------------------------------------------------------------ what is kept


async def ask(rig: Rig, name: str, command: Bundle, grant_id: str = "app") -> None:
    """As an app asks: in a request whose age refuses it after some minutes. It is carried out to its end."""
    now = rig.clock.now()
    await rig.engine.handle(Incoming(name, "nwc", grant_id, command, NWC, now, refused_until=now + 360))
    await rig.until(lambda: _is_finished(rig))
    await rig.delivery.flush()


async def kept(rig: Rig, *names: str) -> list[str]:
    return [name for name in names if await rig.store.request(name) is not None]


async def forget(rig: Rig) -> None:
    """What is done every few minutes, to its end."""
    while isinstance(await rig.store.apply(ForgetRefusals(rig.clock.now(), 0)), More):
        pass


@virtual
async def test_what_is_refused_is_kept_as_long_as_other_refusals_and_said_again_till_then(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", budgets=(Budget.total(Msat(1)),))
        command = bundle(*bills(rig, Script()), Unread("malformed", "no"))
        await ask(rig, "b", command)
        assert words(await answers(rig, 2)) == ["over_budget", "malformed"]
        life.delivered.clear()
        await life.clock.sleep(300)
        await forget(rig)
        assert await rig.engine.known("b")
        assert [message.request_id for message in life.delivered] == ["b/0", "b/1"]
        await ask(rig, "b", command)
        assert await kept(rig, "b", "b/0", "b/1") == ["b", "b/0", "b/1"]
        assert await rig.store.request("b") == replace(
            await rig.store.request("b"), command=b"", reply_to=b"", payment_id=BUNDLE
        )
        life.audit()
        await life.clock.sleep(100)
        await forget(rig)
        assert await kept(rig, "b", "b/0", "b/1") == []
    life.audit()


@virtual
async def test_what_is_passed_over_in_it_closes_nothing_to_anybody_else(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", budgets=(Budget.total(Msat(1)),))
        await rig.grant("other")
        (theirs,) = bills(rig, Script())
        asked_at = rig.clock.now()
        await life.clock.sleep(10)
        life.is_witnessed = False
        now = rig.clock.now()
        asked = Incoming("b", "nwc", "app", bundle(*bills(rig, Script())), NWC, now - 60, refused_until=now + 300)
        await rig.engine.handle(asked)
        await rig.until(lambda: _is_finished(rig))
        assert rig.told("b/0") == []
        await life.clock.sleep(60)
        await forget(rig)
        assert await kept(rig, "b", "b/0") == ["b", "b/0"]
        life.is_witnessed = True
        await rig.engine.handle(Incoming("o", "nwc", "other", theirs, NWC, asked_at, refused_until=asked_at + 360))
        assert isinstance(await rig.answer("o"), Paid)


@virtual
async def test_what_was_claimed_stays_with_its_answers_and_without_what_was_asked(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        command = bundle(*bills(rig, Script()), Unread("malformed", "no"))
        await ask(rig, "b", command)
        await life.clock.sleep(400)
        await forget(rig)
        assert await kept(rig, "b", "b/0", "b/1") == ["b", "b/0"]
        assert (await rig.store.request("b")).command == b""
        life.delivered.clear()
        assert await rig.engine.known("b")
        assert [message.request_id for message in life.delivered] == ["b/0"]
    life.audit()


@virtual
async def test_a_flood_keeps_no_more_than_a_number_of_refusals_and_closes_the_past_to_its_sender_alone(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.engine.answers.MAX_REFUSALS", 10)
    monkeypatch.setattr("kitestring.engine.bundles.MAX_REFUSALS", 10)
    monkeypatch.setattr("kitestring.ledger.apply.refusals.FORGET_OLDEST", 4)
    async with life.service() as rig:
        await rig.grant("app", budgets=(Budget.total(Msat(1)),))
        await rig.grant("other")
        asked_at, (theirs,) = rig.clock.now(), bills(rig, Script())
        command = bundle(*bills(rig, Script(), Script(), Script()))
        for number in range(8):
            await life.clock.sleep(1)
            await ask(rig, f"b{number}", command)
        names = [name for number in range(8) for name in (f"b{number}", *(f"b{number}/{part}" for part in range(3)))]
        assert len(await kept(rig, *names)) <= 10
        await rig.engine.handle(Incoming("o", "nwc", "other", theirs, NWC, asked_at, refused_until=asked_at + 360))
        assert isinstance(await rig.answer("o"), Paid)
        await rig.change("app", budgets=())
        await rig.engine.handle(Incoming("b0", "nwc", "app", command, NWC, asked_at + 1, refused_until=asked_at + 361))
        assert len(life.node.sends) == 1
    life.audit()


@virtual
async def test_who_may_not_pay_at_all_is_refused_before_anything_else_is_stored(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("reader", methods="get_balance")
        await ask(rig, "b", bundle(*bills(rig, Script(), Script()), Unread("malformed", "no")), "reader")
        assert rig.told("b") == [Refused(Reason.NOT_PERMITTED, "this connection has no permission for pay_invoice")]
        assert await kept(rig, "b", "b/0", "b/1", "b/2") == ["b"]
        assert not [tx for tx in rig.store.applied if isinstance(tx, ClaimBundle)]
        await life.clock.sleep(400)
        await forget(rig)
        assert await kept(rig, "b") == []
    life.audit()
