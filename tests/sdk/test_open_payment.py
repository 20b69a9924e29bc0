"""A payment at a node without a service: the engine's evidence ends it, and whoever waits shares it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from kitestring.base.commands import ListTransactions, PayInvoice
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.node import NodeUnreachableError
from kitestring.base.outcomes import Paid, Refused
from kitestring.client.net import Net
from kitestring.codec.keysend import keysend
from kitestring.engine.node import ANSWER_LIMIT_S
from kitestring.sdk import node as node_module
from kitestring.sdk.node import ANSWER_SLACK_S, NodeSource
from kitestring.sdk.open_payment import ask_node
from tests.kit.chance import entropy
from tests.kit.changed import replace
from tests.kit.clock import EPOCH, VirtualClock, virtual
from tests.kit.engine.node import ABILITIES, FaultyBackend, Script
from tests.kit.engine.rig import PATIENT, Life

AMOUNT = 50_000
#: Virtual seconds after which every payment of these tests has ended at the node.
AFTERWARDS_S = 2_000

Open = Callable[[FaultyBackend], NodeSource]


@pytest.fixture
def node() -> FaultyBackend:
    return FaultyBackend(VirtualClock())


@pytest.fixture
def over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Open:
    """A program that stands on this node."""

    def make(node: FaultyBackend) -> NodeSource:
        monkeypatch.setattr(node_module, "open_backend", lambda *_, **__: node)
        return NodeSource("faulty://", Net(VirtualClock(), entropy), data_dir=tmp_path, environment={})

    return make


def order(node: FaultyBackend, script: Script) -> PayInvoice:
    text, payment_hash = node.outside_invoice(script)
    return PayInvoice(
        destination=Bolt11(text),
        payment_hash=payment_hash,
        amount_msat=Msat(AMOUNT),
        network="regtest",
        expires_at=EPOCH + 9_999,
    )


async def refused(source: NodeSource, command: PayInvoice, timeout_s: float | None = None) -> KitestringError:
    with pytest.raises(KitestringError) as caught:
        await source.pay(command, timeout_s)
    return caught.value


def arrives_late(node: FaultyBackend, command: PayInvoice) -> None:
    """The order that a broken connection swallowed reaches the node after all, and pays."""
    node._sent[command.payment_hash] = replace(
        node._sent[command.payment_hash], fails="", due=node._clock.monotonic() + 1, at=node._clock.now()
    )


# ---------------------------------------------------------------- questions


@pytest.mark.parametrize("cause", [RuntimeError("permission denied"), NodeUnreachableError("no route to 10.0.0.7")])
async def test_who_asks_its_own_node_is_told_what_the_node_says(cause: Exception) -> None:
    async def broken() -> None:
        raise cause

    with pytest.raises(KitestringError, match=f"cannot be used: .*{cause}; check that it runs") as caught:
        await ask_node(broken())
    assert (caught.value.reason, caught.value.private) == (Reason.UNAVAILABLE, str(cause))


async def test_a_sentence_of_the_backend_itself_is_told_as_it_is() -> None:
    own = KitestringError(Reason.MALFORMED, "the macaroon cannot be read", path="/nope")

    async def broken() -> None:
        raise own

    with pytest.raises(KitestringError) as caught:
        await ask_node(broken())
    assert caught.value is own


# ---------------------------------------------------------------- several orders


@virtual
async def test_who_has_sent_a_keysend_is_not_told_to_ask_for_it_again(node: FaultyBackend, over: Open) -> None:
    command = keysend(node.outside_key(Script(settles_after_s=None)), Msat(AMOUNT), preimage="11" * 32)
    error = await refused(over(node), command, 5)
    assert (error.reason, "do not send it again" in error.message) == (Reason.PAYMENT_IN_FLIGHT, True)


@virtual
async def test_a_lost_order_is_not_sent_again_before_a_quiet_time(node: FaultyBackend, over: Open) -> None:
    source, command = over(node), order(node, Script(answers=["dropped", "true"]))
    assert (await refused(source, command, 5)).reason is Reason.PAYMENT_IN_FLIGHT
    assert (await refused(source, command, 5)).reason is Reason.PAYMENT_IN_FLIGHT
    assert node.calls.count("pay") == 1
    assert isinstance(await source.pay(command, 60), Paid)
    assert node.calls.count("pay") == 2


@virtual
async def test_the_refusal_of_a_second_order_is_no_failure_while_the_first_may_still_arrive(
    node: FaultyBackend, over: Open
) -> None:
    source, command = over(node), order(node, Script(fails="no_route", answers=["dropped", "true"]))
    assert (await refused(source, command)).reason is Reason.PAYMENT_IN_FLIGHT
    assert node.calls.count("pay") == 2  # and the node has refused the second
    arrives_late(node, command)
    assert isinstance(await source.pay(command, None), Paid)


@virtual
async def test_a_refused_second_order_fails_once_it_has_been_quiet(node: FaultyBackend, over: Open) -> None:
    source, command = over(node), order(node, Script(fails="no_route", answers=["dropped", "true"]))
    assert (await refused(source, command)).reason is Reason.PAYMENT_IN_FLIGHT
    error = await refused(source, command, ANSWER_LIMIT_S)
    assert (error.reason, error.message) == (Reason.PAYMENT_FAILED, "no route to the payee was found")
    assert node.calls.count("pay") == 2


@virtual
async def test_a_node_that_is_away_at_the_second_order_may_have_the_first(node: FaultyBackend, over: Open) -> None:
    source, command = over(node), order(node, Script(answers=["dropped", "unreachable"]))
    assert (await refused(source, command)).reason is Reason.PAYMENT_IN_FLIGHT
    assert node.calls.count("pay") == 2


@virtual
async def test_a_node_whose_look_ups_prove_nothing_gets_no_second_order(over: Open) -> None:
    node = FaultyBackend(VirtualClock(), replace(ABILITIES, authoritative_lookup=False))
    source, command = over(node), order(node, Script(answers=["dropped"]))
    for _ in range(3):
        assert (await refused(source, command)).reason is Reason.PAYMENT_IN_FLIGHT
    assert node.calls.count("pay") == 1


@virtual
async def test_an_invoice_that_expires_meanwhile_is_not_sent_again(node: FaultyBackend, over: Open) -> None:
    source = over(node)
    command = order(node, Script(answers=["dropped"]))
    soon = PayInvoice(
        destination=command.destination,
        payment_hash=command.payment_hash,
        amount_msat=Msat(AMOUNT),
        expires_at=EPOCH + 30,
    )
    for _ in range(3):
        assert (await refused(source, soon)).reason is Reason.PAYMENT_IN_FLIGHT
    await node._clock.sleep(ANSWER_LIMIT_S)  # from now on its order is not on its way any more
    error = await refused(source, soon)
    assert (error.reason, error.message) == (Reason.PAYMENT_FAILED, "the invoice has expired")
    assert node.calls.count("pay") == 1


@virtual
async def test_an_expired_invoice_stays_open_where_look_ups_prove_nothing(over: Open) -> None:
    node = FaultyBackend(VirtualClock(), replace(ABILITIES, authoritative_lookup=False))
    source, command = over(node), order(node, Script(answers=["dropped"]))
    await refused(source, command)
    await node._clock.sleep(20_000)
    assert (await refused(source, command)).reason is Reason.PAYMENT_IN_FLIGHT


@virtual
async def test_a_payment_of_another_program_that_fails_is_not_believed_at_once(node: FaultyBackend, over: Open) -> None:
    command = order(node, Script(fails="no_route", settles_after_s=3))
    first = asyncio.create_task(over(node).pay(command, None))
    await node._clock.sleep(1)
    began_s = node._clock.monotonic()
    error = await refused(over(node), command, ANSWER_LIMIT_S)
    assert error.reason is Reason.PAYMENT_FAILED
    assert node._clock.monotonic() - began_s >= ANSWER_LIMIT_S
    assert node.calls.count("pay") == 1
    await asyncio.gather(first, return_exceptions=True)


@virtual
async def test_a_payment_that_failed_for_good_may_be_tried_again_at_once(node: FaultyBackend, over: Open) -> None:
    source, script = over(node), Script(fails="no_route")
    command = order(node, script)
    assert (await refused(source, command)).reason is Reason.PAYMENT_FAILED
    script.fails = ""
    assert isinstance(await source.pay(command, None), Paid)
    assert node.calls.count("pay") == 2


# ---------------------------------------------------------------- looking


@virtual
async def test_a_payment_whose_order_may_be_on_its_way_is_pending_whatever_the_record_says(
    node: FaultyBackend, over: Open
) -> None:
    source, command = over(node), order(node, Script(fails="no_route", answers=["dropped", "true"]))
    outgoing = ListTransactions(direction="outgoing", unpaid_outgoing=True)
    await refused(source, command, 5)
    assert (await source.lookup(command.payment_hash)).state == "pending"  # the node has never seen it
    await refused(source, command, 60)
    found = await source.lookup(command.payment_hash)
    assert (found.state, found.amount_msat) == ("pending", AMOUNT)  # the node shows the refused second order
    assert await source.transactions(outgoing) == (found,)
    await node._clock.sleep(ANSWER_LIMIT_S)
    found = await source.lookup(command.payment_hash)
    assert found.state == "failed"
    assert await source.transactions(outgoing) == (found,)


@virtual
async def test_a_late_settlement_is_found_by_a_look_up_too(node: FaultyBackend, over: Open) -> None:
    source, command = over(node), order(node, Script(fails="no_route", answers=["dropped", "true"]))
    await refused(source, command)
    arrives_late(node, command)
    await node._clock.sleep(1)
    found = await source.lookup(command.payment_hash)
    assert (found.state, bool(found.preimage), found.fee_msat) == ("settled", True, 1_000)


@virtual
async def test_of_a_program_that_never_paid_it_the_nodes_record_is_all_there_is(
    node: FaultyBackend, over: Open
) -> None:
    command = order(node, Script(fails="no_route"))
    await refused(over(node), command)
    assert (await over(node).lookup(command.payment_hash)).state == "failed"
    with pytest.raises(KitestringError) as caught:
        await over(node).lookup("ab" * 32)
    assert caught.value.reason is Reason.UNKNOWN_TARGET


@virtual
async def test_a_payment_that_is_still_looked_up_before_its_order_is_not_there_yet(
    node: FaultyBackend, over: Open
) -> None:
    source, command = over(node), order(node, Script())
    slow_down(node, 3)
    paying = asyncio.create_task(source.pay(command, None))
    await asyncio.sleep(0)
    node.replace("lookup_payment", FaultyBackend.lookup_payment.__get__(node))
    with pytest.raises(KitestringError) as caught:
        await source.lookup(command.payment_hash)
    assert caught.value.reason is Reason.UNKNOWN_TARGET
    assert isinstance(await paying, Paid)


# ---------------------------------------------------------------- who waits


@virtual
async def test_all_who_pay_the_same_invoice_share_one_order(node: FaultyBackend, over: Open) -> None:
    source, command = over(node), order(node, Script(settles_after_s=2))
    paid = await asyncio.gather(*(source.pay(command, None) for _ in range(20)))
    assert len({one.preimage for one in paid}) == 1
    assert node.calls.count("pay") == 1


@virtual
async def test_who_goes_away_before_the_order_takes_it_along(node: FaultyBackend, over: Open) -> None:
    source, command = over(node), order(node, Script())
    slow_down(node, 3)
    waiting = asyncio.create_task(source.pay(command, None))
    await node._clock.sleep(1)
    waiting.cancel()
    await node._clock.sleep(9)
    assert node.calls.count("pay") == 0
    assert isinstance(await source.pay(command, None), Paid)


@virtual
async def test_a_look_before_the_order_that_takes_too_long_sends_nothing_and_says_so(
    node: FaultyBackend, over: Open
) -> None:
    source, command = over(node), order(node, Script())
    slow_down(node, ANSWER_SLACK_S + 1)
    error = await refused(source, command, 0)
    assert (error.reason, "nothing was sent" in error.message) == (Reason.UNAVAILABLE, True)
    await node._clock.sleep(9)
    assert node.calls.count("pay") == 0


@virtual
async def test_who_leaves_while_another_one_waits_for_the_look_is_not_told_that_nothing_was_sent(
    node: FaultyBackend, over: Open
) -> None:
    source, command = over(node), order(node, Script())
    slow_down(node, ANSWER_SLACK_S + 1)
    other = asyncio.create_task(source.pay(command, None))
    assert (await refused(source, command, 0)).reason is Reason.PAYMENT_IN_FLIGHT
    assert isinstance(await other, Paid)


def slow_down(node: FaultyBackend, seconds: float) -> None:
    look = node.lookup_payment

    async def slow(payment_hash: str) -> object:
        await node._clock.sleep(seconds)
        return await look(payment_hash)

    node.replace("lookup_payment", slow)


@virtual
async def test_nobody_looks_any_more_when_nobody_waits(node: FaultyBackend, over: Open) -> None:
    source, command = over(node), order(node, Script(answers=["dropped"]))
    await refused(source, command, 5)
    await node._clock.sleep(2)
    calls = len(node.calls)
    await node._clock.sleep(AFTERWARDS_S)
    assert len(node.calls) == calls


@virtual
async def test_what_ends_while_nobody_waits_is_known_to_the_next_one(node: FaultyBackend, over: Open) -> None:
    source, command = over(node), order(node, Script(settles_after_s=30))
    assert (await refused(source, command, 1)).reason is Reason.PAYMENT_IN_FLIGHT
    await node._clock.sleep(60)
    assert isinstance(await source.pay(command, 1), Paid)
    assert node.calls.count("pay") == 1


@virtual
async def test_closing_ends_the_work_and_leaves_the_payment_to_the_node(node: FaultyBackend, over: Open) -> None:
    source, command = over(node), order(node, Script(answers=["never"]))
    waiting = asyncio.create_task(source.pay(command, None))
    await node._clock.sleep(1)
    await source.close()
    with pytest.raises(KitestringError) as caught:
        await waiting
    assert caught.value.reason is Reason.PAYMENT_IN_FLIGHT
    assert len(asyncio.all_tasks()) == 1


@virtual
async def test_too_many_open_payments_are_refused_before_anything_is_sent(
    node: FaultyBackend, over: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "MAX_OPEN_PAYMENTS", 1)
    source = over(node)
    hanging, other = order(node, Script(settles_after_s=None)), order(node, Script())
    await refused(source, hanging, 1)
    assert (await refused(source, other)).reason is Reason.RATE_LIMITED
    assert (await refused(source, hanging, 1)).reason is Reason.PAYMENT_IN_FLIGHT
    assert node.sends == [hanging.payment_hash]
    await node._clock.sleep(AFTERWARDS_S)
    node.release(hanging.payment_hash)
    assert (await refused(source, other)).reason is Reason.RATE_LIMITED  # nobody has looked
    assert (await source.lookup(hanging.payment_hash)).state == "settled"
    assert isinstance(await source.pay(other, None), Paid)


@virtual
async def test_what_was_never_sent_is_not_remembered(
    node: FaultyBackend, over: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "MAX_OPEN_PAYMENTS", 1)
    source, first, second = over(node), order(node, Script()), order(node, Script())
    node.deaf = True
    assert (await refused(source, first)).reason is Reason.UNAVAILABLE
    node.deaf = False
    assert isinstance(await source.pay(second, None), Paid)
    assert node.sends == [second.payment_hash]


# ---------------------------------------------------------------- beside the engine

ANSWERS = (
    "true", "lost", "lost true", "dropped true", "dropped lost", "inflight", "unreachable", "never true", "lie",
    "dropped unreachable true",
)  # fmt: skip
STORIES = [*itertools.product(("", "no_route"), (0.0, 4.0, 90.0), ANSWERS, (0, -5))]


@pytest.mark.parametrize(("fails", "after_s", "answers", "skew_s"), STORIES)
def test_a_payment_ends_here_as_it_ends_in_the_engine(
    life: Life, over: Open, fails: str, after_s: float, answers: str, skew_s: int
) -> None:
    """Both pay the same invoice at nodes that do the same. ``skew_s``: the node's clock is behind."""

    @virtual
    async def story() -> None:
        node = FaultyBackend(VirtualClock(skew_s))
        life.limits = PATIENT  # a wallet sends as long as somebody waits
        life.node._clock = VirtualClock(skew_s)
        command = order(node, Script(fails, after_s, answers=answers.split()))
        theirs = life.node.outside_invoice(Script(fails, after_s, answers=answers.split()))
        async with life.service() as rig:
            await rig.grant("app")
            await rig.pay("r1", "app", theirs, AMOUNT)
            here = await _verdict(over(node), command)
            await rig.clock.sleep(AFTERWARDS_S)
            there = rig.told("r1")[0]
            assert here is (there.reason if isinstance(there, Refused) else None)
            assert (here is None) is (command.payment_hash in node.paid_out())

    story()


async def _verdict(source: NodeSource, command: PayInvoice) -> Reason | None:
    """The first that is not "in flight", of some calls in a row; None = paid."""
    for _ in range(15):
        try:
            await source.pay(command, None)
        except KitestringError as error:
            if error.reason is not Reason.PAYMENT_IN_FLIGHT:
                return error.reason
        else:
            return None
    return Reason.PAYMENT_IN_FLIGHT
