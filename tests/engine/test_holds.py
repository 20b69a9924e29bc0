"""Hold invoices: made of somebody else's hash, settled and cancelled by whoever made them, once and for good."""

from __future__ import annotations

import pickle
from hashlib import sha256
from typing import Any

import pytest

from kitestring.base.commands import CancelHold, ListTransactions, LookupInvoice, SettleHold
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import Msat
from kitestring.base.node import InvoiceStatus, NodeInvoiceState
from kitestring.base.outcomes import Found, Listed, Refused, TransactionState
from kitestring.base.records import Message
from kitestring.base.transactions.answers import Denied, Finished, Stale
from kitestring.base.transactions.invoices import Credit, DecideHold, EndHold
from kitestring.engine import holds as module
from kitestring.engine.limits import Limits
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.holding import (
    ENDED,
    EVERY,
    HASH,
    OTHER_HASH,
    PREIMAGE,
    SETTLED,
    accepted,
    both,
    cancel,
    events,
    held,
    hold,
    order,
    settle,
    stored,
    till,
)
from tests.kit.engine.node import ABILITIES
from tests.kit.engine.rig import AMOUNT, Life, Rig

# ------------------------------------------------------------ from the payer to the end


@virtual
async def test_what_is_held_is_no_money_until_it_is_settled_and_then_it_is_credited_once(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        assert await rig.available("shop") == 0
        assert await settle(rig) == SETTLED
        assert (await stored(rig)).state is InvoiceState.SETTLED
        await rig.clock.sleep(120)
        assert await rig.available("shop") == AMOUNT
        assert life.node.received() == {HASH: AMOUNT}
        assert [kind for kind, _ in await events(rig)] == ["accepted", "received"]
    life.audit()


@virtual
async def test_what_is_cancelled_goes_back_and_nobody_is_credited(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        assert await cancel(rig) == ENDED
        assert (await stored(rig)).state is InvoiceState.CANCELED
        await rig.clock.sleep(120)
        assert (await rig.available("shop"), life.node.held(), life.node.received()) == (0, {}, {})
        assert [kind for kind, _ in await events(rig)] == ["accepted", "canceled"]
    life.audit()


@virtual
async def test_whoever_has_decided_is_answered_in_the_commit_that_ends_the_invoice(life: Life) -> None:
    """So no crash lies between the end and the answer."""
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        await settle(rig)
        await held(rig, "h2", payment_hash=OTHER_HASH)
        await cancel(rig, payment_hash=OTHER_HASH)
        ends = [tx for tx in rig.store.applied if isinstance(tx, Credit | EndHold)]
        told = [[message.request_id for message in tx.messages] for tx in ends]
        assert (told[0], told[-1]) == (["s1"], ["c1"])  # in between the node's stream may have said it once more


@virtual
async def test_an_unpaid_one_can_be_cancelled_and_nobody_can_pay_it_afterwards(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await hold(rig)
        assert await cancel(rig) == ENDED
        assert not life.node.pay_in(HASH)
        assert [kind for kind, _ in await events(rig)] == ["canceled"]
    life.audit()


@virtual
async def test_the_event_of_a_held_payment_names_the_block_at_which_it_goes_back(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        invoice = await held(rig, min_cltv_delta=200)
        assert invoice.settle_deadline == life.node.height + 200
        (event,) = [row for row in await rig.store.events(0, 100) if row.kind.value == "accepted"]
        assert (event.subject, event.grant_id, event.account_id) == (invoice.invoice_id, "till", "shop")
        assert event.detail == str(invoice.settle_deadline)


@virtual
async def test_a_look_up_and_a_list_show_that_it_is_held_and_until_when(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        invoice = await held(rig)
        found = await rig.engine.ask("till", LookupInvoice(payment_hash=HASH))
        assert isinstance(found, Found)
        one = found.transaction
        assert (one.state, one.settle_deadline, one.preimage) == ("accepted", invoice.settle_deadline, "")
        listed = await rig.engine.ask("till", ListTransactions(unpaid_incoming=True))
        assert isinstance(listed, Listed)
        assert listed.transactions == (one,)
        await settle(rig)
        found = await rig.engine.ask("till", LookupInvoice(payment_hash=HASH))
        assert isinstance(found, Found)
        assert (found.transaction.state, found.transaction.settle_deadline) == ("settled", None)
        assert found.transaction.preimage == PREIMAGE


@virtual
async def test_one_that_nobody_has_paid_expires_like_any_other_and_cannot_be_settled(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await hold(rig, expiry_s=600)
        await rig.clock.sleep(800)
        assert (await stored(rig)).state is InvoiceState.EXPIRED
        assert (await settle(rig)).reason is Reason.CONFLICT
        assert await cancel(rig) == ENDED
    life.audit()


@virtual
async def test_a_held_payment_outlives_the_expiry_of_its_invoice(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig, expiry_s=600)
        await rig.clock.sleep(3_000)
        assert await settle(rig) == SETTLED
    life.audit()


# ------------------------------------------------------------ made


@virtual
async def test_the_node_is_asked_for_a_day_unless_more_or_less_is_wanted_and_never_for_too_little(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        for number, (wanted, blocks) in enumerate([(0, 144), (300, 300), (5, 36)]):
            payment_hash = f"{number:064x}"
            await hold(rig, f"h{number}", payment_hash=payment_hash, min_cltv_delta=wanted)
            assert life.node._made[payment_hash].blocks == blocks
            assert (await stored(rig, payment_hash)).hold_blocks == blocks


@virtual
async def test_a_hash_makes_one_invoice_for_whomever_and_whatever_has_become_of_it(life: Life) -> None:
    async with life.service() as rig:
        await till(rig, "till", "other")
        ordinary, of_ordinary = await rig.invoice("i1", "till", AMOUNT)
        await hold(rig)
        for number, (grant, payment_hash) in enumerate(
            [("till", HASH), ("other", HASH), ("till", of_ordinary), ("other", of_ordinary)]
        ):
            await rig.handle(f"r{number}", grant, order(payment_hash))
            refused = await rig.answer(f"r{number}")
            assert (refused.reason, "payment hash already" in refused.message) == (Reason.INVOICE_TAKEN, True)
        await cancel(rig)
        await rig.handle("again", "till", order())
        assert (await rig.answer("again")).reason is Reason.INVOICE_TAKEN
        assert ordinary


@virtual
async def test_an_invoice_that_the_node_has_of_this_hash_is_never_taken_over(life: Life) -> None:
    """What is paid to it is the money of whoever has made it."""
    async with life.service() as rig:
        await till(rig)
        await rig.grant("second", methods=EVERY)
        rig.store.broken = {"RecordInvoice": [KitestringError(Reason.INTERNAL, "the disk is full")]}
        with pytest.raises(KitestringError):
            await rig.handle("h1", "till", order())
        await rig.handle("h2", "second", order())
        assert (await rig.answer("h2")).reason is Reason.INVOICE_TAKEN
        assert await rig.store.holds() == []


@virtual
async def test_one_that_is_refused_after_it_was_made_is_cancelled_at_the_node(life: Life) -> None:
    life.limits = Limits(open_invoices=1)
    async with life.service() as rig:
        await till(rig)
        await hold(rig)
        rig.store.broken = {}

        async def before(*_: object) -> tuple[bool, tuple[int, ...]]:
            return False, (0, 0)

        rig.store.before_invoice = before  # as if another process had been quicker
        await rig.handle("h2", "till", order(OTHER_HASH))
        assert (await rig.answer("h2")).reason is Reason.RATE_LIMITED
        await rig.clock.sleep(1)
        assert (await life.node.lookup_invoice(OTHER_HASH)).state == "canceled"


@virtual
async def test_what_no_node_can_hold_is_refused(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        for number, (asked, words) in enumerate(
            [
                (order(amount=None), "needs an amount"),
                (order(min_cltv_delta=1_009), "at most 1008 blocks"),
                (order(preimage="6b" * 32), "not that of the payment hash"),
            ]
        ):
            await rig.handle(f"h{number}", "till", asked)
            refused = await rig.answer(f"h{number}")
            assert (refused.reason, words in refused.message) == (Reason.MALFORMED, True), refused
        life.node.offline = True
        await rig.handle("h8", "till", order())
        assert (await rig.answer("h8")).reason is Reason.UNAVAILABLE
    life.node.offline, life.node.capabilities = False, replace(ABILITIES, hold=False)
    async with life.service() as rig:
        await rig.handle("h9", "till", order())
        assert (await rig.answer("h9")).reason is Reason.UNSUPPORTED


@virtual
async def test_what_is_held_keeps_its_place_among_the_open_invoices_of_its_connection(life: Life) -> None:
    life.limits = Limits(open_invoices=2)
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        await held(rig, "h2", payment_hash=OTHER_HASH)
        await rig.handle("h3", "till", order("ab" * 32))
        assert (await rig.answer("h3")).reason is Reason.RATE_LIMITED
        await rig.handle("i1", "till", order("cd" * 32))
        assert (await rig.answer("i1")).reason is Reason.RATE_LIMITED
        await settle(rig)
        await cancel(rig, payment_hash=OTHER_HASH)
        await hold(rig, "h4", payment_hash="ef" * 32)
        await hold(rig, "h5", payment_hash="ee" * 32)
    life.audit()


# ------------------------------------------------------------ decided


@virtual
async def test_nobody_but_its_maker_and_the_owner_settles_cancels_or_sees_it(life: Life) -> None:
    async with life.service() as rig:
        await till(rig, "till", "other")
        await held(rig)
        for answer in (await settle(rig, "s1", "other"), await cancel(rig, "c1", "other")):
            assert (answer.reason, "no such hold invoice" in answer.message) == (Reason.UNKNOWN_TARGET, True)
        seen = await rig.engine.ask("other", LookupInvoice(payment_hash=HASH))
        assert isinstance(seen, Refused)
        assert await cancel(rig, "c2", "owner") == ENDED


@virtual
async def test_who_is_shown_its_account_sees_it_and_may_not_decide_about_it(life: Life) -> None:
    async with life.service() as rig:
        await till(rig, "till", "other")
        await rig.change("other", shown_history="account")
        await held(rig)
        seen = await rig.engine.ask("other", LookupInvoice(payment_hash=HASH))
        assert isinstance(seen, Found)
        assert (seen.transaction.state, seen.transaction.preimage) == ("accepted", "")
        for answer in (await settle(rig, "s1", "other"), await cancel(rig, "c1", "other")):
            assert (answer.reason, "no such hold invoice" in answer.message) == (Reason.UNKNOWN_TARGET, True)
        assert await cancel(rig, "c2", "till") == ENDED


@virtual
async def test_an_ordinary_invoice_is_no_hold_invoice(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        _, payment_hash = await rig.invoice("i1", "till", AMOUNT)
        for answer in (await cancel(rig, payment_hash=payment_hash), await cancel(rig, "c2", payment_hash="ab" * 32)):
            assert answer.reason is Reason.UNKNOWN_TARGET


@virtual
async def test_one_that_nobody_has_paid_yet_cannot_be_settled(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await hold(rig)
        refused = await settle(rig)
        assert (refused.reason, "nobody has paid" in refused.message) == (Reason.CONFLICT, True)
        life.node.offline = True
        assert (await settle(rig, "s2")).reason is Reason.UNAVAILABLE
        life.node.offline = False
        assert life.node.pay_in(HASH)
        assert await settle(rig, "s3") == SETTLED  # nothing was heard of the payer yet: the node is asked


@virtual
async def test_one_that_was_settled_at_the_node_itself_is_credited_and_called_settled(life: Life) -> None:
    """By the owner's own hand, and nothing was heard of it yet: "nobody has paid this" would be a lie."""
    async with life.service() as rig:
        await till(rig)
        await hold(rig)
        await _deaf(rig)
        assert life.node.pay_in(HASH)
        await life.node.settle_invoice(PREIMAGE)
        assert await settle(rig) == SETTLED
        assert await rig.available("shop") == AMOUNT
    life.audit()


@virtual
async def test_one_that_was_settled_at_the_node_with_less_than_was_asked_for_is_not_called_unpaid(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await hold(rig)
        await _deaf(rig)

        async def little(_: str) -> InvoiceStatus:
            return InvoiceStatus(NodeInvoiceState.SETTLED, received_msat=Msat(1), settled_at=5, preimage=PREIMAGE)

        life.node.replace("lookup_invoice", little)
        refused = await settle(rig)
        assert (refused.reason, "with less than" in refused.message) == (Reason.CONFLICT, True)
        assert await rig.available("shop") == 0


@pytest.mark.parametrize(
    ("state", "words"),
    [(NodeInvoiceState.CANCELED, "was cancelled or has expired"), (NodeInvoiceState.UNKNOWN, "not know")],
)
@virtual
async def test_one_that_the_node_has_ended_or_forgotten_is_not_called_unpaid(
    life: Life, state: NodeInvoiceState, words: str
) -> None:
    async with life.service() as rig:
        await till(rig)
        await hold(rig)
        if state is NodeInvoiceState.CANCELED:
            await life.node.cancel_invoice(HASH)
        else:
            life.node.forget_invoices()
        refused = await settle(rig)
        assert (refused.reason, words in refused.message) == (Reason.CONFLICT, True), refused


@virtual
async def test_one_whose_payer_inside_is_not_held_yet_is_called_unpaid_and_not_ended(life: Life) -> None:
    """The node's invoice was cancelled for this payer's sake."""
    async with life.service() as rig:
        await both(rig)
        invoice = await hold(rig)
        tells = life.node.info

        async def silent() -> object:
            raise TimeoutError("no answer")

        life.node.replace("info", silent)
        await rig.pay("p1", "app", invoice, AMOUNT)
        await rig.clock.sleep(5)
        refused = await settle(rig)
        assert (refused.reason, "nobody has paid" in refused.message) == (Reason.CONFLICT, True)
        life.node.replace("info", tells)
        await accepted(rig)
        assert await settle(rig, "s2") == SETTLED


async def _deaf(rig: Rig) -> None:
    """From now on nothing is heard of the node's invoices but what is asked for."""
    for task in (*rig.engine._loops, *rig.engine._holds.tasks):
        task.cancel()
    await rig.clock.sleep(0)


@virtual
async def test_a_wrong_preimage_settles_nothing_and_none_at_all_only_where_it_is_kept(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        for number, (preimage, words) in enumerate([("6b" * 32, "not the preimage"), ("", "is not kept here")]):
            await rig.handle(f"s{number}", "till", SettleHold(payment_hash=HASH, preimage=preimage))
            refused = await rig.answer(f"s{number}")
            assert (refused.reason, words in refused.message) == (Reason.MALFORMED, True), refused
        assert (await stored(rig)).state is InvoiceState.ACCEPTED
        await cancel(rig)
        kept = "7c" * 32
        payment_hash = sha256(bytes.fromhex(kept)).hexdigest()
        await held(rig, "h2", payment_hash=payment_hash, preimage=kept)
        await rig.handle("s9", "till", SettleHold(payment_hash=payment_hash))
        assert (await rig.answer("s9")).state is TransactionState.SETTLED


@virtual
async def test_what_is_settled_is_settled_again_without_doing_anything_and_never_cancelled(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        await settle(rig)
        asked = life.node.calls.count("settle_invoice")
        assert await settle(rig, "s2") == SETTLED
        refused = await cancel(rig)
        assert (refused.reason, "was settled" in refused.message) == (Reason.CONFLICT, True)
        assert life.node.calls.count("settle_invoice") == asked
        assert await rig.available("shop") == AMOUNT


@virtual
async def test_what_is_cancelled_is_cancelled_again_without_doing_anything_and_never_settled(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        await cancel(rig)
        assert await cancel(rig, "c2") == ENDED
        refused = await settle(rig)
        assert (refused.reason, "was cancelled" in refused.message) == (Reason.CONFLICT, True)
        assert await rig.available("shop") == 0


@virtual
async def test_while_a_decision_is_being_carried_out_the_same_one_joins_it_and_the_other_is_refused(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        life.node.offline = True
        for name in ("s1", "s2"):
            await rig.handle(name, "till", SettleHold(payment_hash=HASH, preimage=PREIMAGE))
        refused = await cancel(rig)
        assert (refused.reason, "being settled" in refused.message) == (Reason.CONFLICT, True)
        await rig.clock.sleep(100)
        assert rig.told("s1") == rig.told("s2") == []  # nobody knows yet: that is no failure
        life.node.offline = False
        assert await rig.answer("s1") == await rig.answer("s2") == SETTLED
    life.audit()


@virtual
async def test_a_settlement_of_what_is_being_cancelled_is_refused(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        life.node.offline = True
        await rig.handle("c1", "till", CancelHold(payment_hash=HASH))
        refused = await settle(rig)
        assert (refused.reason, "being cancelled" in refused.message) == (Reason.CONFLICT, True)
        life.node.offline = False
        assert await rig.answer("c1") == ENDED
    life.audit()


@virtual
async def test_so_many_requests_wait_for_one_end_and_no_more(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitestring.ledger.apply.holds.MAX_DECIDING", 2)
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        life.node.offline = True
        for name in ("s1", "s2", "s3"):
            await rig.handle(name, "till", SettleHold(payment_hash=HASH, preimage=PREIMAGE))
        refused = await rig.answer("s3")
        assert (refused.reason, "retry_after" in refused.details) == (Reason.RATE_LIMITED, True)
        assert rig.told("s1") == rig.told("s2") == []


@virtual
async def test_a_request_that_comes_twice_is_carried_out_once_and_answered_again(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        await settle(rig)
        await rig.handle("s1", "till", SettleHold(payment_hash=HASH, preimage=PREIMAGE))
        assert rig.told("s1") == [SETTLED, SETTLED]


@virtual
async def test_a_connection_that_was_revoked_decides_nothing_any_more_and_the_owner_still_does(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        await rig.change("till", revoked_at=rig.clock.now())
        assert (await settle(rig)).reason is Reason.CONNECTION_ENDED
        assert (await stored(rig)).state is InvoiceState.ACCEPTED
        assert await cancel(rig, "c2", "owner") == ENDED
        assert (await settle(rig, "s2", "nobody")).reason is Reason.CONNECTION_ENDED


@virtual
async def test_a_permission_for_one_thing_is_none_for_another(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 0)
        await rig.grant("till", account="shop", methods="make_hold_invoice")
        await held(rig)
        for answer in (await settle(rig), await cancel(rig)):
            assert answer.reason is Reason.NOT_PERMITTED


@pytest.mark.parametrize(
    ("answer", "reason"), [(Stale(), Reason.BUSY), (Denied(Reason.STALE_REQUEST), Reason.STALE_REQUEST)]
)
@virtual
async def test_what_the_ledger_does_not_take_is_refused(life: Life, answer: object, reason: Reason) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        rig.store.apply = _answering(rig, answer)
        assert (await settle(rig)).reason is reason


@virtual
async def test_an_answer_that_another_process_has_stored_meanwhile_is_delivered(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        stored_by_another = Message("s1", "reply", pickle.dumps(SETTLED), b"", 0)
        rig.store.apply = _answering(rig, Finished((stored_by_another,)))
        assert await settle(rig) == SETTLED


def _answering(rig: Rig, answer: object) -> Any:
    apply = rig.store.apply

    async def answering(tx: object) -> object:
        return answer if isinstance(tx, DecideHold) else await apply(tx)

    return answering


# ------------------------------------------------------------ after a crash or a stop


@virtual
async def test_everything_that_waits_is_followed_again_after_a_restart(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await hold(rig)
        await held(rig, "h2", payment_hash=OTHER_HASH)
    assert life.node.pay_in(HASH)
    async with life.service() as rig:
        await accepted(rig)
        assert await settle(rig) == SETTLED
        assert await cancel(rig, payment_hash=OTHER_HASH) == replace(ENDED, payment_hash=OTHER_HASH)
    life.audit()


@virtual
async def test_many_are_found_again_page_by_page(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    async with life.service() as rig:
        await till(rig)
        for number in range(5):
            await hold(rig, f"h{number}", payment_hash=f"{number:064x}")
    async with life.service() as rig:
        assert len(rig.engine._holds.tasks) == 5
        assert await rig.engine.stop(5) == 0


@virtual
async def test_a_request_whose_invoice_had_ended_before_the_crash_gets_its_answer(life: Life) -> None:
    async with life.service() as rig:
        await till(rig)
        await held(rig)
        life.node.offline = True
        await rig.handle("s1", "till", SettleHold(payment_hash=HASH, preimage=PREIMAGE))
    life.node.offline = False
    await life.node.settle_invoice(PREIMAGE)
    async with life.service(start=False) as rig:
        settlement = await anext(aiter(life.node.settlements(b"")))
        node_id, received, at = rig.context.node.node_id, settlement.received_msat, settlement.settled_at
        await rig.store.apply(Credit(node_id, HASH, received, at, PREIMAGE, settlement.cursor))  # without any answer
        await rig.engine.start()
        assert await rig.answer("s1") == SETTLED
