"""One violation of an enrolled key's account planted by raw SQL per check."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kitestring.base.enrolments import account_id_of
from kitestring.ledger.audit.checks import audit
from tests.kit.ledger.enrolling import NEWCOMER, enrolment
from tests.kit.ledger.values import SERVICE

ACCOUNT = account_id_of(NEWCOMER)
POINTER, GRANT = enrolment().pointer.grant_id, enrolment().grant.grant_id
COPY = (
    "INSERT INTO grants SELECT service, 'twin', name, wire, caller, service_pubkey, account_id, methods, budgets,"
    " per_payment_msat, fee_cap_msat, expires_at, cipher, nip44_seen, link_salt, relays, lud16, asked_relays,"
    " asked_state, pointer_id, strangers, sessions, shown_balance, shown_history, paused_at, revoked_at,"
    " created_at, version"
    " FROM grants"
    f" WHERE service = 1 AND grant_id = '{POINTER}'"
)
PLANTED: dict[str, tuple[str, str]] = {
    "no offer": (f"DELETE FROM offers WHERE service = 1 AND account_id = '{ACCOUNT}'", "began with 0 offers"),
    "no pointer": (f"DELETE FROM grants WHERE service = 1 AND grant_id = '{POINTER}'", "0 pointers and 0 grants"),
    "two pointers": (COPY, "2 pointers"),
    "no grant": (f"DELETE FROM grants WHERE service = 1 AND grant_id = '{GRANT}'", "1 pointers and 0 grants"),
    "a grant of another key": (
        f"UPDATE grants SET caller = '{'0b' * 32}' WHERE service = 1 AND grant_id = '{GRANT}'",
        "1 pointers and 0 grants",
    ),
    "the pointer of another account": (
        f"UPDATE grants SET account_id = 'bob' WHERE service = 1 AND grant_id = '{POINTER}'",
        "0 pointers and 0 grants",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_an_account_without_exactly_its_rows_is_found_and_nothing_else(
    raw: sqlite3.Connection, busy: Path, name: str
) -> None:
    statement, words = PLANTED[name]
    assert raw.execute(statement).rowcount == 1
    found = audit(busy, SERVICE)
    assert [one.invariant for one in found] == ["I7"]
    assert ACCOUNT in found[0].sentence
    assert words in found[0].sentence


def test_an_account_with_the_name_of_another_key_is_found(raw: sqlite3.Connection, busy: Path) -> None:
    raw.execute(f"UPDATE accounts SET name = '{'0b' * 32}' WHERE service = 1 AND account_id = '{ACCOUNT}'")
    assert "is said to be that of the key" in " ".join(one.sentence for one in audit(busy, SERVICE))
