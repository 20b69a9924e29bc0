"""The terms of an offer: one price or one range, an end that lies ahead, and questions that can be answered."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.owner.offer_terms import check, end_of, money
from kitestring.base.errors import KitestringError
from kitestring.base.grants import Offer
from kitestring.base.money import Msat, sat

NOW = 1_800_000_000
EURO: dict[str, Any] = {"currency": "EUR", "price_minor": 350}


@pytest.mark.parametrize(
    "terms",
    [
        {}, {"price_msat": sat(5)}, {"price_msat": sat(5), "price_on_request": True}, EURO,
        {"min_msat": sat(1), "max_msat": sat(1)}, {"payer_data": ("email", "name?")},
    ],
)  # fmt: skip
def test_one_price_or_one_range_is_sound(terms: dict[str, Any]) -> None:
    check(Offer(offer_id="x", label="tea", **terms))


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"price_msat": Msat(1_001)}, "whole sats"),
        ({**EURO, "price_msat": sat(1)}, "in sats or in a currency"),
        ({**EURO, "min_msat": sat(1)}, "a price or a range"),
        ({**EURO, "price_on_request": True}, "name it"),
        ({"currency": "EUR"}, "both its code"),
        ({"payer_data": ("email", "email?")}, "each thing once"),
    ],
)
def test_terms_that_contradict_each_other_are_refused(terms: dict[str, Any], words: str) -> None:
    with pytest.raises(KitestringError, match=words):
        check(Offer(offer_id="x", label="tea", **terms))


def test_an_end_is_named_in_one_way_and_lies_ahead() -> None:
    assert (end_of(None, None, NOW), end_of(None, 60, NOW), end_of(NOW + 1, None, NOW)) == (None, NOW + 60, NOW + 1)
    for at, in_s, words in ((NOW, None, "has passed"), (NOW + 1, 60, "not both")):
        with pytest.raises(KitestringError, match=words):
            end_of(at, in_s, NOW)


def test_no_amount_stays_none() -> None:
    assert (money(None), money(5)) == (None, Msat(5))
