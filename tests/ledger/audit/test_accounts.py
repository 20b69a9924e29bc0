"""A closed account that is used is found: planted by raw SQL."""

import sqlite3
from pathlib import Path

from kitestring.ledger.audit.checks import audit
from tests.kit.ledger.values import SERVICE

CLOSE = "UPDATE accounts SET closed_at = 1 WHERE service = 1 AND account_id = 'alice'"


def test_grants_offers_and_payments_of_a_closed_account_are_named(raw: sqlite3.Connection, busy: Path) -> None:
    assert audit(busy, SERVICE) == []
    assert raw.execute(CLOSE).rowcount == 1
    found = audit(busy, SERVICE)
    assert {one.invariant for one in found} == {"I13"}
    words = " ".join(one.sentence for one in found)
    for what in ("grant app", "offer mug", "payment "):
        assert f"account alice is closed, but {what}" in words, words
