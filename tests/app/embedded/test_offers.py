"""Offers that a program makes, changes and ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitestring import (
    KitestringError,
    Service,
    sat,
)


def test_an_offer_of_a_known_label_is_the_same_offer(tmp_path: Path) -> None:
    service = Service(relays=["ws://127.0.0.1:1"], store=tmp_path / "kite.db")
    assert service.offer("tips") == service.offer("tips")
    with pytest.raises(KitestringError, match="another price"):
        service.offer("tips", price=sat(5))


async def test_an_offer_has_the_terms_that_the_command_line_knows_and_they_change(service: Service) -> None:
    await service.add_account("alice")
    made = await service.add_offer(
        "tips", min_amount=sat(10), max_amount=sat(500), payer_data=["name", "email?"], account="alice"
    )
    (offer,) = await service.offers()
    assert (offer.label, offer.offer_id, offer.noffer, offer.state) == ("tips", made.offer_id, made.noffer, "open")
    assert (offer.min_amount, offer.max_amount, offer.price) == (sat(10), sat(500), None)
    assert (offer.payer_data, offer.account) == (("name", "email?"), "alice")
    same = await service.update_offer(made, max_amount=None, payer_data=[], new_label="thanks")
    assert same.noffer == made.noffer
    (offer,) = await service.offers()
    assert (offer.label, offer.min_amount, offer.max_amount, offer.payer_data) == ("thanks", sat(10), None, ())
    priced = await service.update_offer("thanks", price=sat(20))
    assert priced.noffer != made.noffer
    await service.delete_offer(priced)
    assert [one.label for one in await service.offers()] == []


async def test_a_price_may_be_in_a_currency(service: Service) -> None:
    await service.add_offer("tea", price="3.50 EUR")
    (offer,) = await service.offers()
    assert (offer.price, offer.currency, offer.price_minor) == (None, "EUR", 350)
    with pytest.raises(KitestringError, match=r"'3,50' is no price: write sat\(210\), or '3.50 EUR'"):
        await service.add_offer("cake", price="3,50")


async def test_a_bare_number_or_word_is_refused_by_offers_too(service: Service) -> None:
    for terms in ({"price": 20}, {"min_amount": 1}, {"max_amount": 1}):
        with pytest.raises(TypeError, match="not as a bare number"):
            await service.add_offer("tea", **terms)  # type: ignore[arg-type]  # what mypy refuses too
    with pytest.raises(TypeError, match=r"write payer_data=\['email'\]"):
        await service.add_offer("tea", payer_data="email")
