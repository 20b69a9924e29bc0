"""The words of an offer to whoever asks it: prices in a currency, and why there is no invoice."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kitestring.base.grants import OfferState
from kitestring.base.money import sat
from tests.kit.app.door import Door, door
from tests.kit.engine.rates import MarketRates
from tests.kit.engine.rig import Life

EURO: dict[str, Any] = {"currency": "EUR", "price_minor": 350}


def at(price: int) -> Callable[[Callable[[Life, Door, MarketRates], Awaitable[None]]], Callable[[Life], None]]:
    """An open door in a world where a bitcoin costs so much."""

    def decorate(test: Callable[[Life, Door, MarketRates], Awaitable[None]]) -> Callable[[Life], None]:
        def run(life: Life) -> None:
            life.rates = rates = MarketRates(life.clock, price)

            @door()
            async def story(life: Life, opened: Door) -> None:
                await test(life, opened, rates)

            story(life)

        run.__name__ = test.__name__
        return run

    return decorate


async def ask(opened: Door, **members: Any) -> Any:
    (reply,) = await opened.tell(opened.offer_request(json.dumps({"offer": "cake", **members})))
    return reply


async def amount(opened: Door, **members: Any) -> int | None:
    text = (await ask(opened, **members))["bolt11"]
    (made,) = (made for made in opened.rig.node._made.values() if made.invoice.bolt11 == text)
    return made.amount


@at(97_012)
async def test_a_price_in_a_currency_is_paid_in_sats_with_or_without_naming_it(
    life: Life, opened: Door, rates: MarketRates
) -> None:
    await opened.rig.offer("cake", **EURO)
    assert await amount(opened) == await amount(opened, amount_sats=3608) == sat(3608)
    wrong = await ask(opened, amount_sats=3607)
    assert (wrong["res"], wrong["code"], wrong["range"]) == ("GFY", 5, {"min": 3608, "max": 3608})


@at(97_012)
async def test_a_price_that_changes_while_it_is_read_can_be_paid(life: Life, opened: Door, rates: MarketRates) -> None:
    await opened.rig.offer("cake", **EURO)
    told = (await ask(opened, amount_sats=1))["range"]["min"]
    rates.price = 98_000
    assert await amount(opened, amount_sats=told) == sat(3608)
    assert await amount(opened) == sat(3572)


@at(0)
async def test_without_a_rate_an_offer_is_a_failure_for_now_that_names_no_source(
    life: Life, opened: Door, rates: MarketRates
) -> None:
    await opened.rig.offer("cake", **EURO)
    told = await ask(opened, amount_sats=3608)
    assert (told["res"], told["code"]) == ("GFY", 2)
    assert told["error"] == "Temporary Failure: nothing can be priced in EUR at the moment"
    assert "make_invoice" not in life.node.calls


@pytest.mark.parametrize(
    ("terms", "members", "code", "more"),
    [
        ({"state": OfferState.OFF}, {}, 1, {}),
        ({"state": OfferState.DELETED}, {}, 1, {}),
        ({"state": OfferState.MOVED, "latest": "noffer1new"}, {}, 3, {"latest": "noffer1new"}),
        ({"state": OfferState.MOVED}, {}, 3, {}),
        ({"expires_at": 0}, {}, 3, {}),
        ({"payer_data": ("email", "name?")}, {}, 1, {"payer_data": ["email"]}),
        ({"price_on_request": True}, {"amount_sats": 1}, 5, {"range": {"min": 900, "max": 900}}),
    ],
)
def test_why_there_is_no_invoice_has_a_code(
    life: Life, terms: dict[str, Any], members: dict[str, Any], code: int, more: dict[str, Any]
) -> None:
    @door()
    async def story(_: Life, opened: Door) -> None:
        await opened.rig.offer("cake", price_msat=sat(900), **terms)
        told = await ask(opened, **members)
        assert told.pop("error")
        assert told == {"res": "GFY", "code": code, **more}

    story(life)
