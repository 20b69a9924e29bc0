"""Money that comes in: made once, credited once, told once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kitestring.base.commands import AskOffer, MakeInvoice
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Offer, OfferState
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import Msat
from kitestring.base.node import InvoiceOrder, NodeBalance
from kitestring.base.outcomes import Invoiced
from kitestring.base.transactions.answers import Stale
from kitestring.base.transactions.invoices import RecordInvoice
from kitestring.base.transactions.owner import SaveOffer
from kitestring.base.transactions.requests import Prune
from kitestring.engine import shares as shares_module
from kitestring.engine.context import Incoming
from kitestring.engine.grants import Grants
from kitestring.engine.invoices import Invoices
from kitestring.engine.limits import Limits
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.rig import NWC, PAYER_OF_OFFERS, Life, Rig

# ------------------------------------------------------------ making


@virtual
async def test_a_node_that_is_away_makes_no_invoice_and_leaves_no_row(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        life.node.offline = True
        await rig.handle("i1", "app", MakeInvoice(amount_msat=Msat(1_000)))
        assert (await rig.answer("i1")).reason is Reason.UNAVAILABLE
        assert await rig.store.invoices(InvoiceState.OPEN) == []


@virtual
async def test_a_full_disk_after_the_invoice_was_made_says_nothing_and_the_next_try_makes_another(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        rig.store.broken = {"RecordInvoice": [KitestringError(Reason.INTERNAL, "the disk is full")]}
        with pytest.raises(KitestringError, match="the disk is full"):
            await rig.handle("i1", "app", MakeInvoice(amount_msat=Msat(1_000)))
        assert life.delivered == []
        assert await rig.store.request("i1") is None
        _, payment_hash = await rig.invoice("i1", "app", 1_000)
        assert [one.payment_hash for one in await rig.store.invoices(InvoiceState.OPEN)] == [payment_hash]
        assert life.node.calls.count("make_invoice") == 2


@virtual
async def test_the_same_request_twice_gets_the_same_invoice(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        await rig.invoice("i1", "app", 1_000)
        await rig.handle("i1", "app", MakeInvoice(amount_msat=Msat(1_000)))
        first, second = rig.told("i1")
        assert first == second
        assert life.node.calls.count("make_invoice") == 1


@virtual
async def test_open_invoices_of_one_connection_are_bounded(life: Life) -> None:
    life.limits = Limits(open_invoices=3)
    async with life.service() as rig:
        await rig.grant("app")
        for number in range(3):
            await rig.invoice(f"i{number}", "app", 1_000)
        await rig.handle("i9", "app", MakeInvoice(amount_msat=Msat(1_000)))
        assert (await rig.answer("i9")).reason is Reason.RATE_LIMITED


@virtual
async def test_open_invoices_of_a_node_that_is_gone_count_against_nobody(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares_module, "MAX_OPEN_PER_OFFER", 1)
    life.limits = Limits(open_invoices=1)
    async with life.service() as rig:
        await rig.grant("app")
        await rig.offer("tips")
        await rig.invoice("i1", "app", 1_000)
        await rig.invoice("o1", "", 1_000, offer_id="tips")
    async with life.service(start=False) as rig:
        rig.context.node = replace(rig.context.node, node_id="03" + "cd" * 32)
        life.node.exchange("03" + "cd" * 32)
        await life.node.info()
        await rig.engine.start()
        await rig.invoice("i2", "app", 1_000)
        await rig.invoice("o2", "", 1_000, offer_id="tips")
        await rig.handle("i3", "app", MakeInvoice(amount_msat=Msat(1_000)))
        assert (await rig.answer("i3")).reason is Reason.RATE_LIMITED
    life.audit()


@virtual
async def test_open_invoices_of_one_offer_are_bounded_and_the_payer_is_told_when_to_come_again(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares_module, "MAX_OPEN_PER_OFFER", 2)
    async with life.service() as rig:
        await rig.offer("tips")
        await rig.offer("shop")
        for number in range(2):
            await rig.invoice(f"i{number}", "", 1_000, offer_id="tips", expiry_s=600)
        await rig.handle("i9", "", AskOffer(amount_msat=Msat(1_000), offer_id="tips"), PAYER_OF_OFFERS)
        refused = await rig.answer("i9")
        assert refused.reason is Reason.RATE_LIMITED
        assert refused.details == {"retry_after": rig.clock.now() + 60}
        await rig.invoice("i10", "", 1_000, offer_id="shop")
        await rig.clock.sleep(4_000)
        await rig.invoice("i11", "", 1_000, offer_id="tips")


@virtual
async def test_one_payer_of_an_offer_has_no_more_than_it_leaves_to_others_and_is_not_named_in_its_rows(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares_module, "MAX_OPEN_PER_OFFER", 4)

    async def ask(rig: Rig, name: str, author: str) -> object:
        asked = AskOffer(amount_msat=Msat(1_000), offer_id="tips")
        await rig.engine.handle(Incoming(name, "offers", "", asked, PAYER_OF_OFFERS, rig.clock.now(), author=author))
        return next(iter(rig.told(name)), None)

    async with life.service() as rig:
        await rig.offer("tips")
        told = [await ask(rig, f"a{number}", "ann") for number in range(3)]
        assert [isinstance(one, Invoiced) for one in told] == [True, True, False]
        assert isinstance(await ask(rig, "b", "ben"), Invoiced)
        made = await rig.store.invoices(InvoiceState.OPEN)
        assert len({one.payer for one in made}) == 2
        assert all(len(one.payer) == 16 and "ann" not in one.payer for one in made)
    life.audit()


@virtual
async def test_an_invoice_that_nobody_was_shown_is_made_again_by_the_same_request(life: Life) -> None:
    async with life.service(start=False) as rig:
        await rig.grant("app")
        make = life.node.make_invoice

        async def killed(order: InvoiceOrder) -> object:
            await make(order)
            raise KeyboardInterrupt

        life.node.replace("make_invoice", killed)
        with pytest.raises(KeyboardInterrupt):
            await rig.handle("i1", "app", MakeInvoice(amount_msat=Msat(1_000)))
        life.node.replace("make_invoice", make)
    async with life.service() as rig:
        assert await rig.store.request("i1") is None
        _, payment_hash = await rig.invoice("i1", "app", 1_000)
        assert [one.payment_hash for one in await rig.store.invoices(InvoiceState.OPEN)] == [payment_hash]


@virtual
async def test_a_grant_that_changes_while_the_node_works_is_asked_again_and_the_node_is_not(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("till", 0)
        await rig.grant("app")
        make = life.node.make_invoice

        async def slow(order: InvoiceOrder) -> object:
            await rig.change("app", account_id="till")
            life.node.replace("make_invoice", make)
            return await make(order)

        life.node.replace("make_invoice", slow)
        _, payment_hash = await rig.invoice("i1", "app", 1_000)
        assert (await rig.store.invoice_by_hash(rig.context.node.node_id, payment_hash)).account_id == "till"
        assert life.node.calls.count("make_invoice") == 1


@virtual
async def test_a_grant_that_is_revoked_while_the_node_works_gets_no_invoice(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        make = life.node.make_invoice

        async def slow(order: InvoiceOrder) -> object:
            await rig.change("app", revoked_at=rig.clock.now())
            return await make(order)

        life.node.replace("make_invoice", slow)
        await rig.handle("i1", "app", MakeInvoice(amount_msat=Msat(1_000)))
        assert (await rig.answer("i1")).reason is Reason.CONNECTION_ENDED
        assert await rig.store.invoices(InvoiceState.OPEN) == []


@virtual
async def test_an_invoice_of_another_hash_than_was_asked_for_is_shown_to_nobody(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        make = life.node.make_invoice

        async def other(order: InvoiceOrder) -> object:
            return await make(replace(order, preimage="07" * 32))

        life.node.replace("make_invoice", other)
        await rig.handle("i1", "app", MakeInvoice(amount_msat=Msat(1_000)))
        assert (await rig.answer("i1")).reason is Reason.INTERNAL
        assert await rig.store.invoices(InvoiceState.OPEN) == []


@virtual
async def test_a_connection_with_too_many_open_invoices_costs_the_node_nothing(life: Life) -> None:
    life.limits = Limits(open_invoices=1)
    async with life.service() as rig:
        await rig.grant("app")
        await rig.invoice("i1", "app", 1_000)
        for number in range(3):
            await rig.handle(f"j{number}", "app", MakeInvoice(amount_msat=Msat(1_000)))
        assert life.node.calls.count("make_invoice") == 1


@virtual
async def test_an_offer_that_is_gone_is_answered_and_leaves_no_row(life: Life) -> None:
    async with life.service() as rig:
        await rig.handle("o1", "", AskOffer(amount_msat=Msat(1_000), offer_id="nowhere"), PAYER_OF_OFFERS)
        assert (await rig.answer("o1")).reason is Reason.UNKNOWN_TARGET
        assert await rig.store.request("o1") is None


@virtual
async def test_of_what_a_payer_tells_only_what_the_offer_asks_for_is_stored(life: Life) -> None:
    async with life.service() as rig:
        await rig.write(SaveOffer(Offer(offer_id="mug", label="Mug", price_msat=Msat(5_000), payer_data=("email",))))
        told = {"email": "b@example.org", "name": "Bob"}
        _, payment_hash = await rig.invoice("o1", "", None, offer_id="mug", payer_data=told)
        assert (await rig.store.request("o1")).command == b""
        invoice = await rig.store.invoice_by_hash(rig.context.node.node_id, payment_hash)
        assert invoice.payer_data == '{"email":"b@example.org"}'


@virtual
async def test_an_offer_that_ends_while_the_node_is_asked_makes_no_invoice_any_more(life: Life) -> None:
    async with life.service() as rig:
        await rig.offer("mug")
        balance = life.node.balance

        async def slow() -> NodeBalance:
            await rig.write(SaveOffer(Offer(offer_id="mug", label="Mug", state=OfferState.DELETED)))
            return await balance()

        life.node.replace("balance", slow)
        await rig.handle("o1", "", AskOffer(amount_msat=Msat(1_000), offer_id="mug"), PAYER_OF_OFFERS)
        assert (await rig.answer("o1")).reason is Reason.UNKNOWN_TARGET


@virtual
async def test_an_invoice_that_was_made_for_an_offer_of_before_is_not_given_out(life: Life) -> None:
    async with life.service() as rig:
        await rig.offer("mug")
        apply = rig.store.apply

        async def stale_once(tx: Any) -> Any:
            if not isinstance(tx, RecordInvoice):
                return await apply(tx)
            rig.store.apply = apply
            await rig.write(SaveOffer(Offer(offer_id="mug", label="another mug")))
            return Stale()

        rig.store.apply = stale_once
        await rig.handle("o1", "", AskOffer(amount_msat=Msat(1_000), offer_id="mug"), PAYER_OF_OFFERS)
        assert (await rig.answer("o1")).reason is Reason.BUSY
        assert await rig.store.request("o1") is None


@virtual
async def test_an_invoice_without_a_connection_is_made_for_offers_only(life: Life) -> None:
    async with life.service() as rig:
        await rig.offer("mug")
        await rig.handle("o1", "", MakeInvoice(amount_msat=Msat(1_000), offer_id="mug"), PAYER_OF_OFFERS)
        assert (await rig.answer("o1")).reason is Reason.CONNECTION_ENDED
        assert "make_invoice" not in life.node.calls


@virtual
async def test_a_connection_that_may_not_or_may_no_longer_make_invoices_is_refused_and_the_node_is_not_asked(
    life: Life,
) -> None:
    async with life.service() as rig:
        await rig.grant("payer", methods="pay_invoice")
        await rig.grant("ended")
        await rig.change("ended", revoked_at=rig.clock.now())
        for name, reason in (
            ("payer", Reason.NOT_PERMITTED), ("ended", Reason.CONNECTION_ENDED), ("nobody", Reason.CONNECTION_ENDED),
        ):  # fmt: skip
            await rig.handle(f"i-{name}", name, MakeInvoice(amount_msat=Msat(1_000)))
            assert (await rig.answer(f"i-{name}")).reason is reason
        assert "make_invoice" not in life.node.calls


@virtual
async def test_a_request_that_is_older_than_what_the_ledger_remembers_is_shown_no_invoice(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        await rig.clock.sleep(60)
        await rig.invoice("newest", "app", 1_000)
        await rig.store.apply(Prune(rig.clock.now(), 0))
        old = Incoming("old", "nwc", "app", MakeInvoice(amount_msat=Msat(1_000)), NWC, rig.clock.now() - 1)
        await rig.engine.handle(old)
        assert (await rig.answer("old")).reason is Reason.STALE_REQUEST
        assert len(await rig.store.invoices(InvoiceState.OPEN)) == 1


@virtual
async def test_two_processes_that_make_the_invoice_of_one_request_store_and_tell_one(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        command = MakeInvoice(amount_msat=Msat(1_000))
        asked = Incoming("i1", "nwc", "app", command, NWC, rig.clock.now())
        make = life.node.make_invoice

        async def slow(order: InvoiceOrder) -> object:
            await rig.clock.sleep(5)
            return await make(order)

        life.node.replace("make_invoice", slow)
        parts = (rig.context, rig.engine._answers, Grants(rig.store), rig.engine._gate)
        await asyncio.gather(*(Invoices(*parts, rig.engine.shares).handle(asked, command) for _ in "ab"))
        await rig.answer("i1")
        (stored,) = await rig.store.invoices(InvoiceState.OPEN)
        assert {told.transaction.payment_hash for told in rig.told("i1")} == {stored.payment_hash}
        assert life.node.calls.count("make_invoice") == 2


@pytest.mark.parametrize("expiry_s", [1, 600])
def test_the_node_is_asked_for_at_least_a_minute(life: Life, expiry_s: int) -> None:
    @virtual
    async def story() -> None:
        async with life.service() as rig:
            await rig.grant("app")
            await rig.handle("i1", "app", MakeInvoice(amount_msat=Msat(1_000), expiry_s=expiry_s))
            made = await rig.answer("i1")
            assert made.transaction.expires_at == rig.clock.now() + max(60, expiry_s)

    story()
