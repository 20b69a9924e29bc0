"""One request, one answer: made once, stored, said again to a copy, and never a second one."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from kitestring.base.commands import MakeInvoice, freeze
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.node import NodeBalance
from kitestring.base.outcomes import Received, Refused
from kitestring.base.records import CONTROL_WIRE
from kitestring.base.transactions.requests import ForgetRefusals
from kitestring.engine.answers import Answers
from kitestring.engine.context import Incoming
from kitestring.engine.limits import Limits
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT, NWC, PAYER_OF_OFFERS, Life, is_paid
from tests.kit.ledger.values import request

GET_PAID = MakeInvoice(amount_msat=Msat(1_000))


@virtual
async def test_a_refused_request_is_stored_and_a_replay_does_not_execute(life: Life) -> None:
    async with life.service() as rig:
        seen: list[Any] = []
        rig.context.refused = lambda incoming, refused: seen.append((incoming.request_id, refused))
        await rig.grant("app", methods="make_invoice")
        invoice = life.node.outside_invoice()
        await rig.pay("r1", "app", invoice, AMOUNT)
        refused = await rig.answer("r1")
        assert refused.reason is Reason.NOT_PERMITTED
        await rig.change("app", methods=frozenset({"pay_invoice"}))
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert rig.told("r1") == [refused, refused]
        assert life.node.sends == []
        assert [(name, one.reason) for name, one in seen] == [("r1", refused.reason)], "the owner sees it once"


@virtual
async def test_a_replay_after_the_end_gets_the_stored_reply(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice()
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.answer("r1")
        stored = [m for m in life.delivered if m.request_id == "r1"]
        await rig.pay("r1", "app", invoice, AMOUNT)
        assert [m for m in life.delivered if m.request_id == "r1"] == [*stored, *stored]
        assert life.node.sends == [invoice[1]]


@pytest.mark.parametrize("meanwhile", ["revoked", "node away", "full house", "expired grant"])
def test_a_replay_of_a_payment_under_way_is_never_answered_with_a_refusal(life: Life, meanwhile: str) -> None:
    @virtual
    async def story() -> None:
        life.limits = Limits(view_age_s=0, open_payments=1 if meanwhile == "full house" else 100)
        async with life.service() as rig:
            await rig.grant("app", expires_at=rig.clock.now() + 30)
            invoice = life.node.outside_invoice(Script(settles_after_s=60))
            await rig.pay("r1", "app", invoice, AMOUNT)
            if meanwhile == "revoked":
                await rig.change("app", revoked_at=rig.clock.now())
            await rig.clock.sleep(50 if meanwhile == "expired grant" else 5)
            life.node.offline = meanwhile == "node away"
            await rig.pay("r1", "app", invoice, AMOUNT)
            assert rig.told("r1") == []
            life.node.offline = False
            assert is_paid(await rig.answer("r1"), invoice[1])
            assert len(rig.told("r1")) == 1

    story()


@virtual
async def test_two_copies_of_one_request_at_the_same_moment_are_one(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=5))
        await asyncio.gather(*(rig.pay("r1", "app", invoice, AMOUNT) for _ in range(3)))
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert life.node.sends == [invoice[1]]


@virtual
async def test_a_copy_that_would_be_refused_does_not_end_the_one_that_is_being_claimed(life: Life) -> None:
    life.limits = Limits(view_age_s=0)
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=5))
        balance, calls = life.node.balance, itertools.count()

        async def only_once() -> NodeBalance:
            if next(calls):
                raise ConnectionResetError("the node does not answer a second time")
            await rig.clock.sleep(2)
            return await balance()

        async def copy(after_s: float) -> None:
            await rig.clock.sleep(after_s)
            await rig.pay("r1", "app", invoice, AMOUNT)

        life.node.replace("balance", only_once)
        await asyncio.gather(copy(0), copy(1))
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert len(rig.told("r1")) == 1


@virtual
async def test_a_refusal_that_comes_after_a_copy_was_claimed_is_not_told(life: Life) -> None:
    """The refused copy looked before the other one was claimed: its refusal is not stored, so it is nobody's answer."""
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=10))
        await rig.pay("r1", "app", invoice, AMOUNT)

        async def not_yet_claimed(_: str) -> None:
            return None

        await rig.change("app", revoked_at=rig.clock.now())
        rig.store.request = not_yet_claimed
        await rig.pay("r1", "app", invoice, AMOUNT)
        del rig.store.request
        assert is_paid(await rig.answer("r1"), invoice[1])
        assert [message.request_id for message in life.delivered] == ["r1"]


@virtual
async def test_the_first_answer_of_a_request_stays_and_is_what_a_second_one_says(life: Life) -> None:
    async with life.service(start=False) as rig:
        answers, asked = Answers(rig.context), request("r1", grant_id="owner", command=freeze(GET_PAID))
        await answers.store(asked, Refused(Reason.RATE_LIMITED, "too many"))
        await rig.delivery.flush()
        await answers.store(asked, Refused(Reason.UNAVAILABLE, "the node is away"))
        assert await answers.known("r1")
        assert rig.told("r1") == [Refused(Reason.RATE_LIMITED, "too many")] * 3


@virtual
async def test_a_request_that_gets_silence_is_finished_with_an_empty_reply(life: Life) -> None:
    async with life.service(start=False) as rig:
        rig.context.encode = lambda *_: None
        answers, asked = Answers(rig.context), request("r1", grant_id="owner", command=freeze(GET_PAID))
        await answers.store(asked, Refused(Reason.RATE_LIMITED))
        (reply,) = await rig.store.messages("r1")
        assert (reply.kind, reply.plaintext, reply.event) == ("reply", b"", b"")
        assert await answers.known("r1")


@virtual
async def test_a_refusal_keeps_id_and_reply_until_its_time_and_what_was_asked_only_where_no_age_refuses_it(
    life: Life,
) -> None:
    async with life.service(start=False) as rig:
        answers, now, refused = Answers(rig.context), rig.clock.now(), Refused(Reason.RATE_LIMITED)
        asked = Incoming("r1", "nwc", "app", GET_PAID, NWC, now, None, now + 360)
        await answers.refuse(asked, refused)
        await answers.refuse(replace(asked, request_id="r2", wire=CONTROL_WIRE, refused_until=None), refused)
        await rig.delivery.flush()
        assert (rig.told("r1"), rig.told("r2")) == ([refused], [refused])
        kept = [await rig.store.request(name) for name in ("r1", "r2")]
        assert [one.command for one in kept] == [b"", freeze(GET_PAID)]
        await rig.store.apply(ForgetRefusals(now + 361, 0))
        assert [await rig.store.request(name) is None for name in ("r1", "r2")] == [True, False]


def test_what_is_paid_already_is_said_to_every_request_and_kept_within_bounds(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.engine.answers.MAX_ANSWER_BYTES", 1_000)

    @virtual
    async def story() -> None:
        async with life.service() as rig:
            await rig.grant("app")
            invoice = life.node.outside_invoice()
            await rig.pay("r0", "app", invoice, AMOUNT)
            paid = replace(await rig.answer("r0"), is_old=True)

            async def again(name: str) -> None:
                asked, now = rig.paying(invoice, AMOUNT), rig.clock.now()
                await rig.engine.handle(Incoming(name, "nwc", "app", asked, NWC, now, refused_until=now + 360))
                await rig.delivery.flush()

            names = [f"r{number}" for number in range(1, 12)]
            for name in names:
                await again(name)
                assert rig.told(name) == [paid]
            assert (await rig.store.unclaimed("app")).answer_bytes <= 1_000
            life.audit()
            for name in names:
                await again(name)
            assert rig.told("r1") == [paid, paid]
            assert rig.told("r11") == [paid], "beyond the bound a copy is met with silence"
            life.clock.skew_s += 29 * 86_400
            await rig.store.apply(ForgetRefusals(rig.clock.now(), 0))
            assert await rig.engine.known("r1")
            life.clock.skew_s += 2 * 86_400
            await rig.store.apply(ForgetRefusals(rig.clock.now(), 0))
            assert not await rig.engine.known("r1")
            assert len(life.node.sends) == 1
        life.audit()

    story()


@virtual
async def test_silence_about_what_no_age_refuses_is_kept_as_answers_are(life: Life) -> None:
    async with life.service(start=False) as rig:
        answers, now = Answers(rig.context), rig.clock.now()
        await answers.pass_over(Incoming("r1", "control", "owner", GET_PAID, NWC, now))
        await answers.pass_over(Incoming("r2", "nwc", "app", GET_PAID, NWC, now, None, now + 360))
        await rig.delivery.flush()
        await rig.store.apply(ForgetRefusals(now + 361, 0))
        assert [await rig.store.request(name) is None for name in ("r1", "r2")] == [False, True]
        assert await answers.known("r1")


@virtual
async def test_what_the_disk_has_not_taken_is_told_to_nobody(life: Life) -> None:
    async with life.service(start=False) as rig:
        rig.store.broken = {"Refuse": [KitestringError(Reason.INTERNAL, "the disk is full")]}
        answers, now = Answers(rig.context), rig.clock.now()
        asked = request("r1", grant_id="app", reply_to=NWC)
        with pytest.raises(KitestringError):
            await answers.refuse_until(now + 360, asked, Refused(Reason.RATE_LIMITED))
        await rig.delivery.flush()
        assert rig.told("r1") == []
        assert not await answers.known("r1")


@virtual
async def test_a_refusal_of_what_was_refused_before_says_the_first_words_again(life: Life) -> None:
    async with life.service(start=False) as rig:
        answers, now = Answers(rig.context), rig.clock.now()
        asked = request("r1", grant_id="app", reply_to=NWC)
        for reason in (Reason.RATE_LIMITED, Reason.STALE_REQUEST, None):
            await answers.refuse_until(now + 360, asked, None if reason is None else Refused(reason))
            await rig.delivery.flush()
        assert rig.told("r1") == [Refused(Reason.RATE_LIMITED)] * 3


@virtual
async def test_a_strangers_refusal_is_told_and_leaves_no_row(life: Life) -> None:
    async with life.service(start=False) as rig:
        asked = Incoming("r1", "offers", "", GET_PAID, PAYER_OF_OFFERS, rig.clock.now())
        await Answers(rig.context).refuse(asked, Refused(Reason.UNKNOWN_TARGET))
        assert rig.told("r1") == [Refused(Reason.UNKNOWN_TARGET)]
        assert await rig.store.request("r1") is None


@virtual
async def test_a_receipt_goes_to_whoever_asked_for_the_invoice_where_its_wire_sends_one(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        await rig.offer("tea")
        answers, got = Answers(rig.context), Received("aa" * 32, Msat(1_000), "11" * 32)
        _, of_an_offer = await rig.invoice("o", "", 1_000, offer_id="tea")
        _, of_an_app = await rig.invoice("a", "app", 1_000)
        rows = [await rig.store.invoice_by_hash(rig.context.node.node_id, one) for one in (of_an_offer, of_an_app)]
        (receipt,) = await answers.receipt(rows[0], got)
        assert (receipt.request_id, receipt.kind, receipt.address) == ("o", "receipt", PAYER_OF_OFFERS)
        assert await answers.receipt(rows[1], got) == ()
        for asked_by in ("", "forgotten"):
            assert await answers.receipt(replace(rows[0], request_id=asked_by), got) == ()


@virtual
async def test_what_refuses_is_marked_and_what_pays_is_not(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        await rig.pay("yes", "app", life.node.outside_invoice(), AMOUNT)
        await rig.pay("no", "app", life.node.outside_invoice(Script(fails="no_route")), AMOUNT)
        await rig.pay("never", "app", life.node.outside_invoice(), 10**12)
        for request_id in ("yes", "no", "never"):
            await rig.answer(request_id)
            (message,) = await rig.store.messages(request_id)
            assert bool(message.is_no) is (request_id != "yes"), request_id
        assert {m.request_id for m in life.delivered if m.is_no} == {"no", "never"}


@virtual
async def test_what_is_passed_over_is_refused_for_good_without_a_word(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        answers, now = Answers(rig.context), rig.clock.now()
        invoice = life.node.outside_invoice()
        incoming = Incoming("r1", "nwc", "app", rig.paying(invoice, AMOUNT), NWC, now, refused_until=now + 1_000)
        for _copy in range(2):
            await answers.pass_over(incoming)
        await rig.engine.handle(incoming)
        await rig.clock.sleep(60)
        assert (rig.told("r1"), life.node.sends) == ([], [])
