"""Money that comes in: made once, credited once, told once."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from kitestring.base.commands import AskOffer, GetBalance, GetInfo, ListTransactions, LookupInvoice, MakeInvoice, thaw
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Offer, OfferState
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import Msat
from kitestring.base.node import InvoiceOrder, InvoiceStatus, NodeBalance
from kitestring.base.outcomes import Balance, Found, Listed, Paid, Refused
from kitestring.base.transactions import RecordInvoice, SaveOffer, Stale
from kitestring.engine import invoices as invoices_module
from kitestring.engine.incoming import AT_ONCE, EXPIRY_GRACE_S, HOUSEKEEPING_S
from kitestring.engine.limits import Limits
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import PAYER_OF_OFFERS, Life, Rig


async def credited(rig: Rig, payment_hash: str) -> bool:
    invoice = await rig.store.invoice_by_hash(rig.context.node.node_id, payment_hash)
    return bool(invoice.state == "settled")


# ------------------------------------------------------------ from outside


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
        life.node.deaf = True
        await rig.clock.sleep(60 + EXPIRY_GRACE_S + 3 * HOUSEKEEPING_S)
        life.node.pay_in(payment_hash)
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
async def test_open_invoices_of_one_offer_are_bounded_and_the_payer_is_told_when_to_come_again(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invoices_module, "MAX_OPEN_PER_OFFER", 2)
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
        request = await rig.store.request("o1")
        kept = MakeInvoice(
            amount_msat=Msat(5_000), description="Mug", offer_id="mug", payer_data={"email": "b@example.org"}
        )
        assert thaw(request.command) == kept
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


# ------------------------------------------------------------ inside one service


@virtual
async def test_an_internal_payment_moves_both_sides_costs_nothing_and_sends_a_receipt(life: Life) -> None:
    async with life.service() as rig:
        for name, amount in (("payer", 50_000), ("shop", 0)):
            await rig.account(name, amount)
        await rig.grant("app", account="payer")
        await rig.offer("coffee", "shop")
        invoice = await rig.invoice("o1", "", 50_000, offer_id="coffee")
        await rig.pay("r1", "app", invoice, 50_000)
        paid = await rig.answer("r1")
        assert (paid.internal, paid.fee_msat) == (True, 0)
        assert sha256(bytes.fromhex(paid.preimage)).hexdigest() == invoice[1]
        receipt = await rig.receipt("o1")
        assert (receipt.internal, receipt.preimage, receipt.amount_msat) == (True, "", 50_000)
        assert (await rig.available("payer"), await rig.available("shop")) == (0, 50_000)
        assert not life.node.pay_in(invoice[1])
        assert "pay" not in life.node.calls


@virtual
async def test_an_outside_payment_that_was_first_wins_over_an_internal_one(life: Life) -> None:
    async with life.service(start=False) as rig:  # nobody listens to the stream yet
        for name, amount in (("payer", 50_000), ("shop", 0)):
            await rig.account(name, amount)
        await rig.grant("app", account="payer")
        await rig.offer("coffee", "shop")
        invoice = await rig.invoice("o1", "", 50_000, offer_id="coffee")
        life.node.pay_in(invoice[1])
        await rig.pay("r1", "app", invoice, 50_000)
        assert (await rig.answer("r1")).reason is Reason.INVOICE_TAKEN
        await rig.engine.start()
        await rig.receipt("o1")
        assert (await rig.available("payer"), await rig.available("shop")) == (50_000, 50_000)


@virtual
async def test_a_payment_from_outside_after_an_internal_one_is_surplus_and_never_lost(life: Life) -> None:
    async with life.service() as rig:
        for name, amount in (("payer", 50_000), ("shop", 0)):
            await rig.account(name, amount)
        await rig.grant("app", account="payer")
        await rig.offer("coffee", "shop")
        invoice = await rig.invoice("o1", "", 50_000, offer_id="coffee")

        async def lost(_: str) -> object:
            raise TimeoutError("no answer to the cancellation")

        life.node.replace("cancel_invoice", lost)
        await rig.pay("r1", "app", invoice, 50_000)
        assert isinstance(await rig.answer("r1"), Paid)
        assert life.node.pay_in(invoice[1])
        await rig.clock.sleep(60)
        assert await rig.available("shop") == 100_000
        assert len(rig.told("o1", "receipt")) == 1


@virtual
async def test_the_same_hash_in_another_text_is_a_wrapped_invoice_and_goes_over_the_node(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        text, payment_hash = await rig.invoice("i1", "app", 50_000)
        life.node.scripts[payment_hash] = Script(fails="no_route")
        life.node._preimages[payment_hash] = "00" * 32
        await rig.pay("r1", "app", (f"wrapped-{text}", payment_hash), 50_000)
        assert (await rig.answer("r1")).reason is Reason.PAYMENT_FAILED
        assert life.node.sends == [payment_hash]


# ------------------------------------------------------------ questions


async def why_not(rig: Rig, grant_id: str, command: GetBalance | GetInfo) -> Reason:
    refused = await rig.engine.ask(grant_id, command)
    assert isinstance(refused, Refused), refused
    return refused.reason


@virtual
async def test_a_connection_sees_its_own_records_and_the_balance_of_its_account(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 77_000)
        await rig.grant("till", account="shop", methods="make_invoice lookup_invoice get_balance list_transactions")
        await rig.grant("app", methods="lookup_invoice")
        _, payment_hash = await rig.invoice("i1", "till", 1_000, expiry_s=60)
        assert await rig.engine.ask("till", GetBalance()) == Balance(Msat(77_000))
        found = await rig.engine.ask("till", LookupInvoice(payment_hash=payment_hash))
        assert isinstance(found, Found)
        assert found.transaction.state == "pending"
        await rig.clock.sleep(61)
        listed = await rig.engine.ask("till", ListTransactions(unpaid_incoming=True))
        assert isinstance(listed, Listed)
        assert [row.state for row in listed.transactions] == ["expired"]
        foreign = await rig.engine.ask("app", LookupInvoice(payment_hash=payment_hash))
        assert isinstance(foreign, Refused)
        assert foreign.reason is Reason.UNKNOWN_TARGET
        assert await why_not(rig, "app", GetBalance()) is Reason.NOT_PERMITTED
        assert await why_not(rig, "nobody", GetInfo()) is Reason.CONNECTION_ENDED


@virtual
async def test_what_the_owner_can_spend_is_the_nodes_balance_less_accounts_and_what_is_held(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 300_000_000)
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=None, fee=1_000))
        life.node.offline = False
        await rig.pay("r1", "app", invoice, 100_000_000, max_fee_msat=Msat(1_000))
        await rig.clock.sleep(1)
        asked = await rig.engine.ask("app", GetBalance())
        assert isinstance(asked, Balance)
        # In flight, the node and the ledger both hold it: counted twice rather than never.
        assert asked.balance_msat == 1_000_000_000 - 300_000_000 - 2 * 100_001_000
        life.node.release(invoice[1])
        await rig.answer("r1")
        await rig.clock.sleep(60)
        assert await rig.engine.ask("app", GetBalance()) == Balance(Msat(1_000_000_000 - 300_000_000 - 100_001_000))
        life.node.offline = True
        await rig.clock.sleep(1)
        assert await why_not(rig, "app", GetBalance()) is Reason.UNAVAILABLE
