"""Money that arrives is credited and told, whatever the node stumbles over meanwhile."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Any

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.node import InvoiceOrder, InvoiceStatus, NodeInvoiceState
from kitestring.base.records import OwnInvoice
from kitestring.base.transactions.invoices import Credit
from kitestring.engine.incoming import AT_ONCE, EXPIRY_GRACE_S, HOUSEKEEPING_S
from tests.kit.clock import virtual
from tests.kit.engine.rig import Life, Rig

DAY_S = 86_400


def stumble_over(life: Life, payment_hash: str) -> None:
    lookup = life.node.lookup_invoice

    async def stumble(asked: str) -> InvoiceStatus:
        if asked == payment_hash:
            raise RuntimeError("code 2, for this one alone")
        return await lookup(asked)

    life.node.replace("lookup_invoice", stumble)


async def state_of(rig: Rig, invoice: tuple[str, str]) -> str:
    found = await rig.store.invoice_by_hash(rig.context.node.node_id, invoice[1])
    return str(found.state)


@virtual
async def test_one_invoice_that_the_node_cannot_look_up_keeps_no_other_from_being_credited(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        sick, paid_before, paid_later = [await rig.invoice(f"i{n}", "app", 1_000, expiry_s=DAY_S) for n in range(3)]
    stumble_over(life, sick[1])
    life.node._made[paid_before[1]].state = NodeInvoiceState.SETTLED  # no stream will ever tell it
    life.node._made[paid_before[1]].received = 1_000
    async with life.service() as rig:
        await rig.clock.sleep(100)
        assert await state_of(rig, paid_before) == "settled"
        life.node.pay_in(paid_later[1])
        await rig.clock.sleep(1)
        assert await state_of(rig, paid_later) == "settled"
        assert life.node.calls.count("settlements") == 2


@virtual
async def test_an_invoice_that_could_not_be_looked_up_once_is_looked_up_again(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = await rig.invoice("i", "app", 1_000, expiry_s=DAY_S)
    lookup = life.node.lookup_invoice
    stumble_over(life, invoice[1])
    life.node._made[invoice[1]].state = NodeInvoiceState.SETTLED
    life.node._made[invoice[1]].received = 1_000
    async with life.service() as rig:
        await rig.clock.sleep(5)
        assert await state_of(rig, invoice) == "open"
        life.node.replace("lookup_invoice", lookup)
        await rig.clock.sleep(120)
        assert await state_of(rig, invoice) == "settled"


@virtual
async def test_what_cannot_be_looked_up_stays_open_and_holds_back_no_later_one(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        sick = await rig.invoice("sick", "app", 1_000, expiry_s=60)
        later = await rig.invoice("later", "app", 1_000, expiry_s=120)
        stumble_over(life, sick[1])
        await rig.clock.sleep(120 + EXPIRY_GRACE_S + 120)
        assert [await state_of(rig, one) for one in (sick, later)] == ["open", "expired"]
        await rig.clock.sleep(3 * DAY_S)
        assert await state_of(rig, sick) == "open"


@virtual
async def test_too_many_that_cannot_be_looked_up_end_the_round_and_nothing_unasked_expires(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.engine.incoming.MAX_SICK", 2)
    monkeypatch.setattr("kitestring.engine.incoming.AT_ONCE", 1)
    async with life.service() as rig:
        await rig.grant("app")
        made = [await rig.invoice(f"i{n}", "app", 1_000, expiry_s=60 + n) for n in range(4)]
        for invoice in made[1:3]:
            stumble_over(life, invoice[1])
        await rig.clock.sleep(64 + EXPIRY_GRACE_S + 120)
        assert [await state_of(rig, one) for one in made] == ["expired", "open", "open", "open"]


@virtual
async def test_an_offers_invoice_paid_while_service_and_node_were_away_for_days_is_credited_to_its_account(
    life: Life,
) -> None:
    async with life.service() as rig:
        await rig.account("shop", 0)
        await rig.offer("tea", "shop")
        invoice = await rig.invoice("i", "", 1_000, expiry_s=600, offer_id="tea")
    life.node.pay_in(invoice[1])
    await life.clock.sleep(26 * 3_600)
    life.node.offline = True
    async with life.service() as rig:
        await rig.clock.sleep(26 * 3_600)
        assert await state_of(rig, invoice) == "open"
        life.node.offline = False
        received = await rig.receipt("i")
        assert (received.payment_hash, await rig.available("shop")) == (invoice[1], 1_000)


@virtual
async def test_a_stream_that_breaks_during_a_credit_does_not_lose_the_receipt(life: Life) -> None:
    async with life.service() as rig:
        await rig.offer("tea")
        invoice = await rig.invoice("i", "", 1_000, expiry_s=DAY_S, offer_id="tea")
        apply, committed = rig.store.apply, asyncio.Event()

        async def slow(tx: Any) -> Any:
            answer = await apply(tx)
            if isinstance(tx, Credit):
                committed.set()
                await rig.clock.sleep(5)
            return answer

        rig.store.apply = slow
        life.node.pay_in(invoice[1])
        await committed.wait()
        for task in rig.engine._loops:
            task.cancel()
        received = await rig.receipt("i")
        assert received.payment_hash == invoice[1]


@virtual
async def test_many_open_invoices_are_read_by_the_page_and_all_looked_at_and_expired(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.engine.incoming.PAGE", 2)
    monkeypatch.setattr("kitestring.ledger.apply.invoices.SWEEP_LIMIT", 2)
    async with life.service() as rig:
        await rig.grant("app")
        made = [await rig.invoice(f"i{number}", "app", 1_000, expiry_s=60) for number in range(5)]
    pages: list[int] = []
    async with life.service() as rig:
        read = rig.store.invoices

        async def counted(state: str, **page: Any) -> list[OwnInvoice]:
            found: list[OwnInvoice] = await read(state, **page)
            pages.append(len(found))
            return found

        rig.store.invoices = counted
        await rig.clock.sleep(60 + EXPIRY_GRACE_S + 120)
        assert {await state_of(rig, one) for one in made} == {"expired"}
        assert life.node.calls.count("lookup_invoice") >= 5
    assert max(pages) == 2


@pytest.mark.parametrize("step_s", [1, 3_600, 26 * 3_600, 400 * DAY_S, -26 * 3_600])
def test_no_step_of_our_clock_ends_or_forgets_an_invoice_that_the_node_calls_open(life: Life, step_s: int) -> None:
    @virtual
    async def story() -> None:
        async with life.service() as rig:
            await rig.account("alice", 0)
            await rig.offer("tea", "alice")
            await rig.grant("till", account="alice")
            offered = await rig.invoice("o", "", 50_000, expiry_s=600, offer_id="tea")
            asked = await rig.invoice("i", "till", 7_000, expiry_s=600)
            rig.clock.skew_s = step_s
            await rig.clock.sleep(3 * HOUSEKEEPING_S)
            rig.clock.skew_s = 0
            assert [await state_of(rig, one) for one in (offered, asked)] == ["open", "open"]
            assert life.node.pay_in(offered[1])
            assert life.node.pay_in(asked[1])
            assert (await rig.receipt("o")).amount_msat == 50_000
            await rig.clock.sleep(5)
            assert await rig.available("alice") == 57_000

    story()


@virtual
async def test_what_the_node_calls_open_long_after_its_expiry_stays_open_and_is_credited(life: Life) -> None:
    """A payment that the node holds, for example: it has arrived in time and is taken later."""
    async with life.service() as rig:
        await rig.account("alice", 0)
        await rig.offer("tea", "alice")
        invoice = await rig.invoice("o", "", 50_000, expiry_s=60, offer_id="tea")
        life.node.is_patient = True
        await rig.clock.sleep(3 * DAY_S)
        assert await state_of(rig, invoice) == "open"
        assert life.node.pay_in(invoice[1])
        assert (await rig.receipt("o")).amount_msat == 50_000


@virtual
async def test_an_invoice_of_a_stranger_is_forgotten_a_day_after_the_node_has_ended_it(life: Life) -> None:
    async with life.service() as rig:
        await rig.offer("tea")
        invoice = await rig.invoice("o", "", 50_000, expiry_s=60, offer_id="tea")
        await rig.clock.sleep(60 + EXPIRY_GRACE_S + 2 * HOUSEKEEPING_S)
        assert await state_of(rig, invoice) == "expired"
        await rig.clock.sleep(DAY_S)
        assert await rig.store.invoice_by_hash(rig.context.node.node_id, invoice[1]) is None


# ------------------------------------------------------------ from the stream


async def credited(rig: Rig, payment_hash: str) -> bool:
    invoice = await rig.store.invoice_by_hash(rig.context.node.node_id, payment_hash)
    return bool(invoice.state == "settled")


@virtual
async def test_a_paid_invoice_is_credited_once_and_its_nwc_maker_hears_nothing_twice(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 0)
        await rig.grant("till", account="shop")
        _, payment_hash = await rig.invoice("i1", "till", 21_000)
        life.node.pay_in(payment_hash)
        await rig.until(lambda: credited(rig, payment_hash))
        life.node.break_streams()
        await rig.clock.sleep(120)
        assert await rig.available("shop") == 21_000
        assert rig.told("i1", "receipt") == []
        assert len(rig.told("i1")) == 1


@virtual
async def test_the_payer_of_an_offer_gets_a_receipt_with_the_preimage(life: Life) -> None:
    async with life.service() as rig:
        await rig.offer("coffee")
        _, payment_hash = await rig.invoice("o1", "", 21_000, offer_id="coffee")
        life.node.pay_in(payment_hash)
        receipt = await rig.receipt("o1")
        assert (receipt.payment_hash, receipt.amount_msat, receipt.internal) == (payment_hash, 21_000, False)
        assert sha256(bytes.fromhex(receipt.preimage)).hexdigest() == payment_hash
        await rig.clock.sleep(120)
        assert len(rig.told("o1", "receipt")) == 1


@virtual
async def test_a_broken_stream_is_followed_again_and_no_settlement_is_lost(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 0)
        await rig.grant("till", account="shop")
        invoices = [await rig.invoice(f"i{n}", "till", 1_000) for n in range(12)]
        for number, (_, payment_hash) in enumerate(invoices):
            life.node.pay_in(payment_hash)
            if number % 3 == 0:
                life.node.break_streams()
            await rig.clock.sleep(number % 4)
        await rig.clock.sleep(300)
        assert await rig.available("shop") == 12_000


@virtual
async def test_what_was_paid_while_the_service_was_down_is_credited_at_the_next_start(life: Life) -> None:
    async with life.service() as rig:
        await rig.offer("coffee")
        _, payment_hash = await rig.invoice("o1", "", 21_000, offer_id="coffee")
    life.node.pay_in(payment_hash)
    async with life.service() as rig:
        assert (await rig.receipt("o1")).amount_msat == 21_000


@virtual
async def test_a_long_look_at_old_invoices_does_not_keep_a_new_payment_waiting(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("till")
        for number in range(50):
            await rig.invoice(f"i{number}", "till", 1_000)
        await rig.offer("coffee")
        look = life.node.lookup_invoice

        async def slow(payment_hash: str) -> InvoiceStatus:
            await rig.clock.sleep(10)
            return await look(payment_hash)

        life.node.replace("lookup_invoice", slow)
        life.node.break_streams()
        await rig.clock.sleep(5)
        _, payment_hash = await rig.invoice("o1", "", 21_000, offer_id="coffee")
        before = rig.clock.monotonic()
        life.node.pay_in(payment_hash)
        await rig.receipt("o1")
        assert rig.clock.monotonic() - before < 5


@virtual
async def test_open_invoices_are_looked_at_many_at_a_time_but_never_all_at_once(life: Life) -> None:
    async with life.service(start=False) as rig:
        await rig.grant("till")
        for number in range(50):
            await rig.invoice(f"i{number}", "till", 1_000)
        look, at_once, most = life.node.lookup_invoice, 0, 0

        async def slow(payment_hash: str) -> InvoiceStatus:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await rig.clock.sleep(1)
            at_once -= 1
            return await look(payment_hash)

        life.node.replace("lookup_invoice", slow)
        before = rig.clock.monotonic()
        await rig.engine._incoming.sweep()
        assert (most, rig.clock.monotonic() - before) == (AT_ONCE, 4)


@virtual
async def test_a_disk_that_refuses_a_credit_gets_it_again(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 0)
        await rig.grant("till", account="shop")
        _, payment_hash = await rig.invoice("i1", "till", 21_000)
        rig.store.broken = {"Credit": [KitestringError(Reason.INTERNAL, "the disk is full")] * 3}
        life.node.pay_in(payment_hash)
        await rig.until(lambda: credited(rig, payment_hash))
        assert await rig.available("shop") == 21_000


@virtual
async def test_a_settlement_of_an_unknown_invoice_is_the_owners_and_nobody_is_told(life: Life) -> None:
    async with life.service() as rig:
        made = await life.node.make_invoice(InvoiceOrder(Msat(5_000), "", "", 3600, ""))
        life.node.pay_in(made.payment_hash)
        await rig.clock.sleep(5)
        assert [type(tx).__name__ for tx in rig.store.applied].count("Credit") == 1
        assert life.delivered == []


@virtual
async def test_too_little_settles_no_invoice_and_sends_no_receipt(life: Life) -> None:
    async with life.service() as rig:
        await rig.offer("coffee")
        _, payment_hash = await rig.invoice("o1", "", 21_000, offer_id="coffee")
        life.node.pay_in(payment_hash, 20_999)
        await rig.clock.sleep(60)
        assert rig.told("o1", "receipt") == []
        assert not await credited(rig, payment_hash)


@virtual
async def test_a_settlement_that_the_node_tells_after_the_expiry_still_counts(life: Life) -> None:
    async with life.service() as rig:
        await rig.offer("coffee")
        _, payment_hash = await rig.invoice("o1", "", 21_000, offer_id="coffee", expiry_s=60)
        await rig.clock.sleep(60 + EXPIRY_GRACE_S + 3 * HOUSEKEEPING_S)
        assert await state_of(rig, ("", payment_hash)) == "expired"
        life.node.is_patient = True
        assert life.node.pay_in(payment_hash)
        assert (await rig.receipt("o1")).amount_msat == 21_000


@virtual
async def test_an_unpaid_invoice_expires_only_after_the_node_was_asked(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        _, payment_hash = await rig.invoice("i1", "app", 21_000, expiry_s=60)
        life.node.offline = True
        await rig.clock.sleep(600)
        invoice = await rig.store.invoice_by_hash(rig.context.node.node_id, payment_hash)
        assert invoice.state == "open"
        life.node.offline = False
        await rig.clock.sleep(600)
        invoice = await rig.store.invoice_by_hash(rig.context.node.node_id, payment_hash)
        assert invoice.state == "expired"


@virtual
async def test_a_round_of_housekeeping_that_fails_is_followed_by_the_next(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = await rig.invoice("i", "app", 1_000, expiry_s=60)
        rig.store.broken = {"ExpireInvoices": [KitestringError(Reason.INTERNAL, "the disk is full")] * 4}
        await rig.clock.sleep(60 + EXPIRY_GRACE_S + 2 * HOUSEKEEPING_S)
        assert await state_of(rig, invoice) == "open"
        assert "housekeeping stopped early: the disk is full" in caplog.text
        await rig.clock.sleep(2 * HOUSEKEEPING_S)
        assert await state_of(rig, invoice) == "expired"


@virtual
async def test_an_invoice_has_a_grace_after_its_expiry_before_it_is_called_expired(life: Life) -> None:
    async with life.service(start=False) as rig:
        await rig.grant("app")
        invoice = await rig.invoice("i", "app", 1_000, expiry_s=60)
        for wait_s, state in ((60, "open"), (EXPIRY_GRACE_S, "open"), (1, "expired")):
            await rig.clock.sleep(wait_s)
            await rig.engine._incoming.expire()
            assert await state_of(rig, invoice) == state


@virtual
async def test_the_log_says_what_broke_the_stream_in_its_own_words(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    async with life.service() as rig:
        await rig.clock.sleep(1)
        life.node.break_streams()
        await rig.clock.sleep(1)
        assert "the stream of settled invoices broke: the stream broke" in caplog.text


@virtual
async def test_settlements_are_credited_when_the_node_numbers_them_from_the_beginning_again(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 0)
        await rig.grant("till", account="shop")
        for number in range(5):
            _, payment_hash = await rig.invoice(f"i{number}", "till", 1_000)
            life.node.pay_in(payment_hash)
        await rig.clock.sleep(5)
        life.node.forget_invoices()
        await rig.clock.sleep(5)
        _, payment_hash = await rig.invoice("after", "till", 7_000)
        life.node.pay_in(payment_hash)
        await rig.clock.sleep(5)
        assert await rig.available("shop") == 12_000


# ------------------------------------------------------------ what cannot be booked


async def alarms(rig: Rig) -> list[str]:
    return [event.detail for event in await rig.store.events(0, 1_000) if event.kind == "alarm"]


@virtual
async def test_a_settlement_of_nothing_is_parked_with_an_alarm_and_what_is_behind_it_is_booked(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("till")
        ours = await rig.invoice("i", "till", None)
        empty, behind = [await life.node.make_invoice(InvoiceOrder(None, "", "", 3_600, "")) for _ in range(2)]
        for payment_hash, amount in ((empty.payment_hash, 0), (ours[1], 0), (behind.payment_hash, 5_000)):
            life.node.pay_in(payment_hash, amount)
        before = (await rig.store.account("owner")).credits_msat
        await rig.clock.sleep(60)
        assert (await rig.store.account("owner")).credits_msat == before + 5_000
        assert await alarms(rig) == [
            f"the node says that {one} was paid with 0 msat, which cannot be: nothing is booked"
            for one in (empty.payment_hash, ours[1])
        ]
        assert (await rig.store.node(rig.context.node.node_id)).cursor.startswith(b"3")
    async with life.service() as rig:
        await rig.clock.sleep(60)
        assert len(await alarms(rig)) == 2  # our own open one was looked at again, and is not told again


@virtual
async def test_a_settlement_that_the_ledger_refuses_for_ever_is_parked_and_one_that_it_refuses_at_first_is_booked(
    life: Life,
) -> None:
    async with life.service() as rig:
        made = [await life.node.make_invoice(InvoiceOrder(Msat(5_000), "", "", 3_600, "")) for _ in range(3)]
        apply, tries = rig.store.apply, dict[str, int]()

        async def refusing(tx: Any) -> Any:
            if isinstance(tx, Credit):
                number = tries[tx.payment_hash] = tries.get(tx.payment_hash, 0) + 1
                if tx.payment_hash == made[0].payment_hash or (tx.payment_hash == made[1].payment_hash and number < 3):
                    raise KitestringError(Reason.INTERNAL, "CHECK constraint failed")
            return await apply(tx)

        rig.store.apply = refusing
        before = (await rig.store.account("owner")).credits_msat
        for one in made:
            life.node.pay_in(one.payment_hash)
        await rig.clock.sleep(60)
        assert (await rig.store.account("owner")).credits_msat == before + 10_000
        (alarm,) = await alarms(rig)
        assert alarm.startswith("a settlement of 5000 msat cannot be booked: CHECK constraint failed")
