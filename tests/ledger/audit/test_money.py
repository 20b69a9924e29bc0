"""Sums are rebuilt from what is append-only: whoever edits one is named, with both numbers."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kitestring.ledger.audit.checks import audit
from tests.kit.ledger.busy import OTHER
from tests.kit.ledger.values import SERVICE

PLAIN = "service = 1 AND payment_id = 'pay-plain'"
#: name -> (the invariant, statements that plant one violation of it)
PLANTED: dict[str, tuple[str, tuple[str, ...]]] = {
    "a balance was edited": (
        "I2",
        ("UPDATE accounts SET credits_msat = credits_msat + 1 WHERE service = 1 AND account_id = 'owner'",),
    ),
    "a total was edited": ("I2", ("UPDATE totals SET spent_msat = spent_msat - 1 WHERE service = 1",)),
    "a pending total was edited": ("I2", ("UPDATE totals SET pending_msat = pending_msat - 1 WHERE service = 1",)),
    "a reservation that was released in secret": (
        "I2",
        (
            "UPDATE accounts SET pending_msat = pending_msat - 1100 WHERE service = 1 AND account_id = 'alice'",
            "UPDATE totals SET pending_msat = pending_msat - 1100 WHERE service = 1",
        ),
    ),
    "a posting that was edited": ("I2", (f"UPDATE payments SET fee_msat = fee_msat + 1 WHERE {PLAIN}",)),
    "a service fee that was taken and not credited": (
        "I2",
        ("UPDATE accounts SET credits_msat = credits_msat - 25 WHERE service = 1 AND account_id = '@service-fees'",),
    ),
    "a service fee that was credited twice": (
        "I2",
        ("UPDATE accounts SET credits_msat = credits_msat + 25 WHERE service = 1 AND account_id = '@service-fees'",),
    ),
    "a service fee that was taken twice": (
        "I2",
        (
            "UPDATE accounts SET posted_msat = posted_msat + 25 WHERE service = 1 AND account_id = 'alice'",
            "UPDATE totals SET sub_accounts_msat = sub_accounts_msat - 25 WHERE service = 1",
        ),
    ),
    "a service fee that was forgotten at both ends": (
        "I2",
        (
            "UPDATE accounts SET posted_msat = posted_msat - 25 WHERE service = 1 AND account_id = 'alice'",
            "UPDATE accounts SET credits_msat = credits_msat - 25 WHERE service = 1 AND account_id = '@service-fees'",
            "UPDATE totals SET sub_accounts_msat = sub_accounts_msat + 25 WHERE service = 1",
        ),
    ),
    "a service fee of a failed payment that was taken": (
        "I2",
        (
            "UPDATE accounts SET posted_msat = posted_msat + 25 WHERE service = 1 AND account_id = 'alice'",
            "UPDATE accounts SET credits_msat = credits_msat + 25 WHERE service = 1 AND account_id = '@service-fees'",
            "UPDATE totals SET sub_accounts_msat = sub_accounts_msat - 25 WHERE service = 1",
        ),
    ),
    "a service fee that was edited in the payment": (
        "I2",
        ("UPDATE payments SET service_fee_msat = service_fee_msat + 1 WHERE service = 1 AND payment_id = 'pay-plain'",),
    ),
    "a service fee that is held no more": (
        "I2",
        ("UPDATE payments SET service_fee_msat = 25 WHERE service = 1 AND payment_id = 'pay-unknown'",),
    ),
    "a transfer that was edited": (
        "I2",
        ("UPDATE transfers SET amount_msat = amount_msat + 1 WHERE service = 1 AND kind = 'surplus'",),
    ),
    "a budget that forgot": (
        "I4",
        ("UPDATE budgets SET used_msat = used_msat - 1 WHERE service = 1 AND grant_id = 'app'",),
    ),
    "a bucket that forgot": (
        "I4",
        ("UPDATE buckets SET used_msat = used_msat - 1 WHERE service = 1 AND grant_id = 'app'",),
    ),
    "money for an account that is not there": ("I2", (f"UPDATE payments SET credited = 'nobody' WHERE {PLAIN}",)),
    "buckets that sum to more than their budget": (
        "I4",
        (
            "UPDATE budgets SET used_msat = used_msat + 5 WHERE service = 1 AND grant_id = 'app'",
            "UPDATE buckets SET used_msat = used_msat + 6 WHERE service = 1 AND grant_id = 'app'",
        ),
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_sum_that_was_edited_is_named_and_nothing_else(raw: sqlite3.Connection, busy: Path, name: str) -> None:
    invariant, statements = PLANTED[name]
    for statement in statements:
        assert raw.execute(statement).rowcount > 0
    assert {violation.invariant for violation in audit(busy, SERVICE)} == {invariant}
    assert audit(busy, OTHER) == []


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (
            "UPDATE accounts SET pending_msat = pending_msat + 7 WHERE service = 1 AND account_id = 'bob'",
            (
                "account bob keeps credits, posted, pending of 100000, 1500, 7 msat;"
                " its entries and open payments say 100000, 1500, 0"
            ),
        ),
        (
            "UPDATE budgets SET used_msat = used_msat - 3 WHERE service = 1 AND grant_id = 'app'",
            "the budget of grant app keeps 2042 msat as used, its payments say 2045",
        ),
        (
            "UPDATE payments SET credited = 'nobody' WHERE service = 1 AND payment_id = 'pay-plain'",
            "there are entries of account nobody, which does not exist",
        ),
    ],
)
def test_the_sentence_names_whose_sum_it_is_and_both_numbers(
    raw: sqlite3.Connection, busy: Path, statement: str, sentence: str
) -> None:
    raw.execute(statement)
    assert sentence in [violation.sentence for violation in audit(busy, SERVICE)]


def test_a_budget_that_keeps_more_than_was_used_is_no_violation(raw: sqlite3.Connection, busy: Path) -> None:
    """It lets too little through, until its window has passed."""
    raw.execute("UPDATE budgets SET used_msat = used_msat + 5 WHERE service = 1 AND grant_id = 'app'")
    assert audit(busy, SERVICE) == []
