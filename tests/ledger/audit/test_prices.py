"""An invoice that was priced with a rate has an amount that this rate gives."""

from __future__ import annotations

import sqlite3
from fractions import Fraction
from pathlib import Path

import pytest

from kitestring.base.currency import ExchangeRate
from kitestring.base.grants import Offer
from kitestring.base.money import sat
from kitestring.base.transactions.owner import SaveOffer
from kitestring.ledger.audit.checks import audit
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.ledger.values import NOW, SERVICE, execute, invoice, record_invoice

#: A cent is worth 10.308… sat.
RATE = ExchangeRate.of_price("EUR", Fraction(97_012), NOW, ("one",))


@pytest.fixture
async def sold(busy: Path) -> Path:
    store = await SqliteStore.open(busy, SERVICE)
    cake = Offer(offer_id="cake", label="Cake", currency="EUR", price_minor=350)
    await store.apply(execute("cake", SaveOffer(cake)))
    made = invoice("cake", 3_608_000, grant_id="", offer_id="cake", account_id="owner", rate=RATE)
    await store.apply(record_invoice("cake", made))
    await store.close()
    return busy


@pytest.mark.parametrize("minor", [1, 7, 350, 351, 10**9])
def test_whatever_the_price_was_its_amount_at_the_rate_is_sound(
    sold: Path, raw: sqlite3.Connection, minor: int
) -> None:
    raw.execute("UPDATE invoices SET amount_msat = ? WHERE offer_id = 'cake'", (int(RATE.to_pay(minor)),))
    assert audit(sold, SERVICE) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (f"invoices SET amount_msat = {int(sat(3609))}", "has no amount that its rate gives: 3609000 msat"),
        (f"invoices SET amount_msat = {int(sat(3607))}", "has no amount that its rate gives: 3607000 msat"),
        ("invoices SET amount_msat = 3608001", "has no amount that its rate gives: 3608001 msat"),
        ("invoices SET amount_msat = NULL", "has no amount that its rate gives: None msat"),
        ("offers SET currency = 'USD'", "was priced in EUR, which its offer is not"),
        ("offers SET currency = '', price_minor = NULL", "was priced in EUR, which its offer is not"),
    ],
)
def test_an_amount_between_the_steps_of_a_rate_and_another_currency_are_named(
    sold: Path, raw: sqlite3.Connection, change: str, words: str
) -> None:
    raw.execute(f"UPDATE {change} WHERE offer_id = 'cake'")
    (found,) = audit(sold, SERVICE)
    assert (found.invariant, found.sentence.endswith(words)) == ("I11", True)
