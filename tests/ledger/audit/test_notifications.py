"""Told twice, or told of another one's payment: the audit says so."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kitestring.ledger.audit.checks import audit
from kitestring.ledger.audit.subject import Violation
from tests.kit.ledger.values import NOW, SERVICE


def plant(path: Path, *told: tuple[str, str]) -> None:
    with sqlite3.connect(path) as raw:
        for grant_id, words in told:
            raw.execute("UPDATE totals SET last_message = last_message + 1 WHERE service = 1")
            raw.execute(
                "INSERT INTO outbox (message, service, kind, address, plaintext, event, signed_at, is_no)"
                " SELECT (1 << 48) + last_message, 1, 'notification', ?, ?, x'', ?, 0 FROM totals WHERE service = 1",
                (grant_id.encode(), words.encode(), NOW),
            )


def test_each_one_told_once_of_its_own_is_in_order(busy: Path) -> None:
    plant(busy, *_own(busy))
    assert audit(busy, SERVICE) == []


@pytest.mark.parametrize("number", [0, 1])
def test_who_is_told_twice_is_found(busy: Path, number: int) -> None:
    own = _own(busy)
    plant(busy, *own, own[number])
    grant_id, words = own[number]
    assert audit(busy, SERVICE) == [Violation("I7", f"connection {grant_id} is told 2 times: {words}")]


@pytest.mark.parametrize("words", ["payment_sent nothing", "payment_sent pay-paid", "payment_received inv-in"])
def test_who_is_told_of_anothers_is_found(busy: Path, words: str) -> None:
    plant(busy, ("bobs", words))
    assert audit(busy, SERVICE) == [Violation("I14", f"connection bobs is told of what is not its own: {words}")]


def test_who_is_shown_an_account_may_be_told_of_all_of_it_and_of_no_other(busy: Path) -> None:
    own = _own(busy)
    with sqlite3.connect(busy) as raw:
        (account,) = raw.execute("SELECT account_id FROM payments WHERE payment_id = 'pay-paid'").fetchone()
        change = "UPDATE grants SET account_id = ?, shown_history = ? WHERE grant_id = 'bobs'"
        raw.execute(change, (account, "account"))
    plant(busy, ("bobs", own[0][1]))
    assert audit(busy, SERVICE) == []
    violation = Violation("I14", f"connection bobs is told of what is not its own: {own[0][1]}")
    for place in (("bob", "account"), (account, "own")):
        with sqlite3.connect(busy) as raw:
            raw.execute(change, place)
        assert audit(busy, SERVICE) == [violation]


def test_a_zap_of_which_nobody_is_told_is_found(busy: Path) -> None:
    with sqlite3.connect(busy) as raw:
        (paid,) = raw.execute("SELECT subject FROM events WHERE kind = 'received' AND detail = '' LIMIT 1").fetchone()
        raw.execute("UPDATE invoices SET zap = '{}' WHERE invoice_id = ?", (paid,))
    assert Violation("I6", f"invoice {paid} answers a zap request and is paid, and nobody is told") in audit(
        busy, SERVICE
    )


def _own(path: Path) -> list[tuple[str, str]]:
    """Words about a payment and an invoice, to those whose they are."""
    with sqlite3.connect(path) as raw:
        (payer,) = raw.execute("SELECT grant_id FROM payments WHERE payment_id = 'pay-paid'").fetchone()
        (payee,) = raw.execute("SELECT grant_id FROM invoices WHERE invoice_id = 'inv-in'").fetchone()
    return [(payer, "payment_sent pay-paid"), (payee, "payment_received inv-in")]
