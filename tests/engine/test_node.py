"""One question about the balance at a time, whose answer and whose failure are everybody's."""

from __future__ import annotations

import asyncio
import gc

import pytest

from kitestring.base.commands import AskOffer, GetInfo
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import ZERO
from kitestring.base.node import NodeBalance, NodeUnreachableError
from kitestring.base.outcomes import Info, Paid
from kitestring.base.payments import Failed, LookupAnswer, Settled, Unknown
from kitestring.base.store import Totals
from kitestring.engine.node import FAILURE_AGE_S, INFO_AGE_S, QUESTION_LIMIT_S, ask_about, ask_to_pay, proven, reachable
from kitestring.engine.payments import DECIDE_LIMIT_S
from tests.kit.clock import virtual
from tests.kit.engine.rig import AMOUNT, PAYER_OF_OFFERS, Life, Rig
from tests.kit.ledger.values import hash_of, preimage_of

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
async def test_a_service_that_stops_right_before_the_node_is_asked_leaves_no_question_behind(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is made and never asked is a warning, and warnings are errors."""
    async with life.service() as rig:
        store = rig.engine._context.store
        totals = store.totals

        async def last() -> Totals:
            rig.engine._gate.close()
            return await totals()

        monkeypatch.setattr(store, "totals", last, raising=False)
        with pytest.raises(KitestringError, match="the service is stopping"):
            await rig.engine.node_view()
        assert "balance" not in life.node.calls
        gc.collect()


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


@virtual
async def test_facts_about_the_node_are_asked_for_again_when_they_are_old(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", methods="get_info")
        life.node.calls.clear()
        for _ in range(3):
            assert isinstance(await rig.engine.ask("app", GetInfo()), Info)
        assert life.node.calls.count("info") == 1
        await rig.clock.sleep(INFO_AGE_S + 1)
        assert isinstance(await rig.engine.ask("app", GetInfo()), Info)
        assert life.node.calls.count("info") == 2


async def test_a_sentence_of_the_adapters_own_is_told_as_it_is() -> None:
    async def refuse() -> None:
        raise KitestringError(Reason.MALFORMED, "the description is longer than this node takes")

    with pytest.raises(KitestringError, match=r"^the description is longer than this node takes$") as caught:
        await reachable(refuse())
    assert caught.value.reason is Reason.MALFORMED


@virtual
async def test_a_question_that_the_node_never_answers_is_given_up() -> None:
    begun = asyncio.get_running_loop().time()
    with pytest.raises(KitestringError, match="cannot be reached"):
        await reachable(asyncio.Event().wait())
    assert asyncio.get_running_loop().time() - begun == QUESTION_LIMIT_S


@pytest.mark.parametrize(
    ("raised", "sent_now", "sent_before"),
    [(NodeUnreachableError("refused"), Failed, Unknown), (OSError("reset"), Unknown, Unknown),
     (ValueError("no JSON"), Unknown, Unknown), (TimeoutError(), Unknown, Unknown)],
    ids=["not connected", "reset", "nonsense", "silence"],
)  # fmt: skip
async def test_that_no_connection_came_about_proves_a_failure_only_of_what_is_being_sent(
    raised: Exception, sent_now: type, sent_before: type
) -> None:
    async def breaks() -> LookupAnswer:
        raise raised

    assert isinstance(await ask_to_pay(breaks(), "aa" * 32), sent_now)
    assert isinstance(await ask_about(breaks(), "aa" * 32), sent_before)


@pytest.mark.parametrize("preimage", ["ff" * 32, "", "zz", preimage_of("a")[:-2]])
async def test_a_settlement_without_its_proof_is_not_known(preimage: str) -> None:
    async def settled() -> LookupAnswer:
        return Settled(preimage, ZERO)

    for ask in (ask_to_pay, ask_about):
        assert isinstance(await ask(settled(), hash_of("a")), Unknown)
    assert proven(Settled(preimage_of("a"), ZERO), hash_of("a")) == Settled(preimage_of("a"), ZERO)
