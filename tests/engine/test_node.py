"""One question about the balance at a time, whose answer and whose failure are everybody's."""

from __future__ import annotations

import asyncio

import pytest

from kitestring.base.commands import AskOffer
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.node import NodeBalance, NodeUnreachableError
from kitestring.base.outcomes import Paid
from kitestring.engine.node import FAILURE_AGE_S
from kitestring.engine.payments import DECIDE_LIMIT_S
from tests.kit.clock import virtual
from tests.kit.engine.rig import AMOUNT, PAYER_OF_OFFERS, Life, Rig

CROWD = 40


def slow_down(rig: Rig, seconds: float, *, fails: bool) -> None:
    """The balance takes so long, and then comes or does not."""
    balance = rig.life.node.balance

    async def slow() -> NodeBalance:
        answer = await balance()
        await rig.clock.sleep(seconds)
        if fails:
            raise TimeoutError("a black hole")
        return answer

    rig.life.node.replace("balance", slow)


@virtual
async def test_all_who_wait_for_a_black_hole_are_refused_together_and_pay_nothing_later(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        slow_down(rig, 15, fails=True)
        began_at = rig.clock.monotonic()
        invoices = [life.node.outside_invoice() for _ in range(CROWD)]
        await asyncio.gather(*(rig.pay(f"r{n}", "app", invoice, 1_000) for n, invoice in enumerate(invoices)))
        answers = [await rig.answer(f"r{n}") for n in range(CROWD)]
        assert {answer.reason for answer in answers} == {Reason.UNAVAILABLE}
        assert rig.clock.monotonic() - began_at < 20
        assert life.node.calls.count("balance") == 1
        assert life.node.sends == []


@virtual
async def test_a_failure_is_remembered_for_a_moment_and_then_the_node_is_asked_again(life: Life) -> None:
    async with life.service() as rig:
        life.node.offline = True
        for _ in range(3):
            with pytest.raises(KitestringError):
                await rig.engine.node_view()
        assert life.node.calls.count("balance") == 1
        life.node.offline = False
        await rig.clock.sleep(FAILURE_AGE_S + 1)
        assert (await rig.engine.node_view()).spendable_msat == 1_000_000_000


@virtual
async def test_a_payment_that_waited_too_long_for_its_decision_is_not_sent(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        slow_down(rig, DECIDE_LIMIT_S + 1, fails=False)
        await rig.pay("r1", "app", life.node.outside_invoice(), AMOUNT)
        assert (await rig.answer("r1")).reason is Reason.UNAVAILABLE
        assert life.node.sends == []


@virtual
async def test_who_waits_shares_the_answer_and_who_goes_away_takes_it_from_nobody(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        slow_down(rig, 5, fails=False)
        first = asyncio.create_task(rig.engine.node_view())
        await rig.clock.sleep(1)
        paying = [asyncio.create_task(rig.pay(f"r{n}", "app", life.node.outside_invoice(), 1_000)) for n in range(3)]
        await rig.clock.sleep(1)
        first.cancel()
        await asyncio.gather(*paying)
        assert all([isinstance(await rig.answer(f"r{n}"), Paid) for n in range(3)])
        assert life.node.calls.count("balance") == 1


@virtual
async def test_a_stop_does_not_wait_for_a_node_that_says_nothing(life: Life) -> None:
    async with life.service() as rig:
        slow_down(rig, 50, fails=False)
        asking = asyncio.create_task(rig.engine.node_view())
        await rig.clock.sleep(1)
        began_at = rig.clock.monotonic()
        await rig.engine.stop(10)
        with pytest.raises(KitestringError, match="stopping"):
            await asking
        assert rig.clock.monotonic() - began_at < 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [(NodeUnreachableError("https://10.0.0.7:8080: refused"), "cannot be reached"),
     (RuntimeError("lnd: permission denied (code 7)"), "answers, but with an error")],
)  # fmt: skip
def test_a_failure_is_told_by_its_kind_and_the_words_of_the_node_are_kept_apart(
    life: Life, fault: Exception, words: str
) -> None:
    @virtual
    async def story(life: Life) -> None:
        async with life.service() as rig:

            async def broken() -> NodeBalance:
                raise fault

            life.node.replace("balance", broken)
            with pytest.raises(KitestringError) as caught:
                await rig.engine.node_view()
            await rig.offer("tea")
            await rig.handle("o1", "", AskOffer(offer_id="tea"), PAYER_OF_OFFERS)
            for failure in (caught.value, await rig.answer("o1")):
                assert words in failure.message
                assert str(fault) not in failure.message
                assert (failure.private, failure.details) == (str(fault), {})

    story(life)
