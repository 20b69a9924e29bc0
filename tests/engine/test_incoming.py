"""Money that arrives is credited and told, whatever the node stumbles over meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kitestring.base.node import InvoiceStatus
from kitestring.base.records import Invoice
from kitestring.base.transactions import Credit
from kitestring.engine.incoming import EXPIRY_GRACE_S
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
    life.node._made[paid_before[1]].state = "settled"  # no stream will ever tell it
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
    life.node._made[invoice[1]].state = "settled"
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

        async def counted(state: str, **page: Any) -> list[Invoice]:
            found: list[Invoice] = await read(state, **page)
            pages.append(len(found))
            return found

        rig.store.invoices = counted
        await rig.clock.sleep(60 + EXPIRY_GRACE_S + 120)
        assert {await state_of(rig, one) for one in made} == {"expired"}
        assert life.node.calls.count("lookup_invoice") >= 5
    assert max(pages) == 2
