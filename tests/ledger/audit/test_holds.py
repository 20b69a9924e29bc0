"""One violation of a hold invoice planted by raw SQL per check; a ledger in which everything has happened has none."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kitestring.ledger.audit.checks import audit
from tests.kit.ledger.values import SERVICE, preimage_of

OF = "service = 1 AND invoice_id"
PLANTED: dict[str, tuple[str, str, str]] = {
    "somebody waits for what has ended": (
        "I6",
        "UPDATE requests SET payment_id = 'inv-back' WHERE service = 1 AND request_id = 'deciding'",
        "waits for the end of the invoice of",
    ),
    "a place that was given back too early": (
        "I4",
        "UPDATE open_invoices SET number = number - 1 WHERE service = 1 AND holder = '@all'",
        "@all is said to have",
    ),
    "a payment that is held no more": (
        "I10",
        f"UPDATE invoices SET held_by = 'pay-paid' WHERE {OF} = 'inv-held inside'",
        "holds payment pay-paid, which is missing",
    ),
    "a decision without its proof": (
        "I9",
        f"UPDATE invoices SET preimage = '{preimage_of('else')}' WHERE {OF} = 'inv-deciding'",
        "was to be settled with a preimage",
    ),
    "a decision of somebody else": (
        "I14",
        "UPDATE requests SET grant_id = 'bobs' WHERE service = 1 AND request_id = 'deciding'",
        "of grant bobs decides about an invoice of grant app",
    ),
}


def test_a_ledger_with_hold_invoices_in_every_state_has_none(busy: Path) -> None:
    assert audit(busy, SERVICE) == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found_and_nothing_else(raw: sqlite3.Connection, busy: Path, name: str) -> None:
    invariant, statement, words = PLANTED[name]
    assert raw.execute(statement).rowcount == 1
    found = audit(busy, SERVICE)
    assert [one.invariant for one in found] == [invariant]
    assert words in found[0].sentence


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE invoices SET decision = 'cancel' WHERE invoice_id = 'inv-deciding'", "decided once"),
        ("UPDATE invoices SET state = 'open' WHERE invoice_id = 'inv-deciding'", "may only be settled"),
        ("UPDATE invoices SET state = 'expired' WHERE invoice_id = 'inv-deciding'", "may only be settled"),
        ("UPDATE invoices SET state = 'accepted' WHERE invoice_id = 'inv-back'", "may only be settled"),
        ("UPDATE invoices SET state = 'accepted' WHERE invoice_id = 'inv-open'", "CHECK"),
        ("UPDATE invoices SET settle_deadline = NULL WHERE invoice_id = 'inv-deciding'", "CHECK"),
        ("UPDATE invoices SET decision = 'settle' WHERE invoice_id = 'inv-open'", "CHECK"),
        ("UPDATE invoices SET state = 'canceled' WHERE invoice_id = 'inv-open'", "CHECK"),
        ("UPDATE invoices SET decision = 'cancel', internal = 1 WHERE invoice_id = 'inv-open'", "CHECK"),
        ("UPDATE invoices SET decision = 'settle', preimage = '' WHERE invoice_id = 'inv-held inside'", "CHECK"),
    ],
)
def test_the_database_itself_refuses(busy: Path, statement: str, message: str) -> None:
    connection = sqlite3.connect(busy, isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError, match=message):
        connection.execute(statement)
    connection.close()
