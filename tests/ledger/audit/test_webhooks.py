"""A payment of which a webhook is never told, and one that is told for nothing: the audit says so."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kitestring.base.grants import Offer, Webhook
from kitestring.base.transactions.owner import SaveOffer
from kitestring.ledger.audit.checks import audit
from kitestring.ledger.audit.subject import Violation
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.ledger.values import SERVICE, credit, execute, invoice, record_invoice


@pytest.fixture
async def sold(busy: Path) -> Path:
    store = await SqliteStore.open(busy, SERVICE)
    hook = Webhook("https://shop.example/paid")
    await store.apply(execute("o", SaveOffer(Offer(offer_id="tea", label="tea", account_id="alice", webhook=hook))))
    await store.apply(record_invoice("sold", invoice("sold", grant_id="", offer_id="tea")))
    await store.apply(credit("sold"))
    await store.close()
    return busy


def change(path: Path, sql: str) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("DROP TRIGGER invoices_settle_once")
        raw.execute(sql)


def test_a_sale_with_its_delivery_is_in_order(sold: Path) -> None:
    assert audit(sold, SERVICE) == []


def test_a_sale_of_which_nobody_is_ever_told_is_found(sold: Path) -> None:
    change(sold, "DELETE FROM deliveries")
    assert audit(sold, SERVICE) == [
        Violation("I6", "invoice inv-sold was paid, and the webhook of offer tea is never told")
    ]


def test_a_sale_before_there_was_a_webhook_is_owed_nothing(sold: Path) -> None:
    change(sold, "DELETE FROM deliveries")
    with sqlite3.connect(sold) as raw:
        raw.execute("UPDATE offers SET webhook_since = (SELECT last_event FROM totals WHERE service = 1)")
    assert audit(sold, SERVICE) == []


@pytest.mark.parametrize("what", ["state = 'expired'", "offer_id = 'cake'"])
def test_who_is_told_of_what_was_not_sold_is_found(sold: Path, what: str) -> None:
    change(sold, f"UPDATE invoices SET {what} WHERE invoice_id = 'inv-sold'")
    state = "expired" if "state" in what else "settled"
    told = f"the webhook of offer tea is told of invoice inv-sold, which is {state}, or another offer's"
    assert Violation("I10", told) in audit(sold, SERVICE)
