"""Invoices of offers with a price in a currency, and of offers that change while one is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kitestring.base.commands import AskOffer
from kitestring.base.errors import Reason
from kitestring.base.grants import OfferState
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import Msat, sat
from kitestring.base.node import InvoiceOrder
from kitestring.base.outcomes import Refused
from kitestring.engine.quoted import HONOURED_S
from tests.kit.clock import virtual
from tests.kit.engine.rates import MarketRates
from tests.kit.engine.rig import PAYER_OF_OFFERS, Life, Rig

EURO: dict[str, Any] = {"currency": "EUR", "price_minor": 350}


@pytest.fixture
def rates(life: Life) -> MarketRates:
    """3.50 EUR are 3,500 sat."""
    life.rates = rates = MarketRates(life.clock)
    return rates


async def ask(rig: Rig, name: str, amount_sats: int | None = None) -> Any:
    amount = None if amount_sats is None else sat(amount_sats)
    await rig.handle(name, "", AskOffer(amount_msat=amount, offer_id="cake"), PAYER_OF_OFFERS)
    return await rig.answer(name)


def while_it_is_made(life: Life, change: Callable[[], Awaitable[object]]) -> None:
    """Let ``change`` happen while the node makes the next invoice."""
    make = life.node.make_invoice

    async def slow(order: InvoiceOrder) -> object:
        life.node.replace("make_invoice", make)
        await change()
        return await make(order)

    life.node.replace("make_invoice", slow)


# ------------------------------------------------------------ prices in a currency


@virtual
async def test_a_price_in_a_currency_is_sold_at_its_rate_which_stays_with_the_invoice(
    life: Life, rates: MarketRates
) -> None:
    rates.price = 97_012
    async with life.service() as rig:
        await rig.offer("cake", **EURO)
        _, payment_hash = await rig.invoice("o1", "", None, offer_id="cake")
        invoice = await rig.store.invoice_by_hash(rig.context.node.node_id, payment_hash)
        assert (invoice.amount_msat, invoice.rate.price) == (sat(3608), 97_012)
        rates.price = 50_000
        await rig.offer("cake", currency="EUR", price_minor=9_900)
        assert life.node.pay_in(payment_hash)
        await rig.receipt("o1")
        (paid,) = await rig.store.invoices(InvoiceState.SETTLED)
        assert (paid.received_msat, paid.rate) == (sat(3608), invoice.rate)
    life.audit()


@virtual
async def test_without_a_rate_nothing_is_sold_and_nobody_is_asked_for_an_invoice(
    life: Life, rates: MarketRates
) -> None:
    async with life.service() as rig:
        await rig.offer("cake", **EURO)
        assert (await ask(rig, "o1", 3500)).transaction.amount_msat == sat(3500)
        rates.price = 0
        for number, amount in enumerate((None, 3500)):
            refused = await ask(rig, f"p{number}", amount)
            assert (refused.reason, "in EUR" in refused.message) == (Reason.UNAVAILABLE, True)
        assert life.node.calls.count("make_invoice") == 1
        assert await rig.store.request("p1") is None


@virtual
async def test_who_names_the_price_of_a_moment_ago_is_sold_it_and_later_is_told_that_of_now(
    life: Life, rates: MarketRates
) -> None:
    async with life.service() as rig:
        await rig.offer("cake", **EURO)
        wrong = await ask(rig, "o1", 1)
        assert wrong.details == {"range": {"min": 3500, "max": 3500}}
        rates.price = 101_000
        assert (await ask(rig, "o2")).transaction.amount_msat == sat(3466)
        assert (await ask(rig, "o3", 3500)).transaction.amount_msat == sat(3500)
        await rig.clock.sleep(HONOURED_S)
        assert (await ask(rig, "o4", 3500)).transaction.amount_msat == sat(3500)
        await rig.clock.sleep(1)
        assert (await ask(rig, "o5", 3500)).details == {"range": {"min": 3466, "max": 3466}}
        assert (await ask(rig, "o6", 3466)).transaction.rate.price == 101_000
    life.audit()


@virtual
async def test_only_an_offer_that_is_open_has_its_currency_asked_for(life: Life, rates: MarketRates) -> None:
    async with life.service() as rig:
        await rig.offer("cake", **EURO, expires_at=rig.clock.now())
        assert (await ask(rig, "o1")).reason is Reason.MOVED_OR_EXPIRED_OFFER
        await rig.offer("cake", **EURO, state=OfferState.OFF)
        assert (await ask(rig, "o2")).reason is Reason.NOT_PERMITTED
        assert rates.asked == []


# ------------------------------------------------------------ changes while an invoice is made


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ({**EURO, "price_minor": 360}, Reason.BUSY),
        ({"price_msat": Msat(1_000)}, Reason.BUSY),
        ({**EURO, "label": "pie"}, Reason.BUSY),
        ({**EURO, "state": OfferState.OFF}, Reason.NOT_PERMITTED),
        ({**EURO, "state": OfferState.MOVED, "latest": "noffer1x"}, Reason.MOVED_OR_EXPIRED_OFFER),
        ({**EURO, "state": OfferState.DELETED}, Reason.UNKNOWN_TARGET),
    ],
)
def test_an_offer_that_changes_while_the_node_makes_its_invoice_gives_none_out(
    life: Life, rates: MarketRates, after: dict[str, Any], reason: Reason
) -> None:
    @virtual
    async def story() -> None:
        async with life.service() as rig:
            await rig.offer("cake", **EURO)
            while_it_is_made(life, lambda: rig.offer("cake", **after))
            refused = await ask(rig, "o1")
            assert isinstance(refused, Refused)
            assert refused.reason is reason
            assert await rig.store.invoices(InvoiceState.OPEN) == []
            assert await rig.store.request("o1") is None

    story()


@virtual
async def test_a_rate_that_moves_while_the_invoice_is_made_changes_nothing_whatever_else_does(
    life: Life, rates: MarketRates
) -> None:
    async with life.service() as rig:
        await rig.offer("cake", **EURO)

        async def both() -> None:
            rates.price = 90_000
            await rig.offer("cake", **EURO, relays=("wss://other.example",))

        while_it_is_made(life, both)
        made = (await ask(rig, "o1")).transaction
        assert (made.amount_msat, made.rate.price) == (sat(3500), 100_000)
        assert life.node.calls.count("make_invoice") == 1
        assert rates.asked == ["EUR"]
    life.audit()
