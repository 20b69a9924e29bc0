"""One violation of a managed offer planted by raw SQL per check; a yes of the owner's is as good as a grant."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kitestring.ledger.audit.checks import audit
from tests.kit.ledger.managing import APP
from tests.kit.ledger.values import SERVICE

OF_MUG = "service = 1 AND offer_id = 'mug'"
PLANTED: dict[str, tuple[str, str]] = {
    "an offer of somebody who was never allowed": (
        f"UPDATE offers SET creator = 'ff' WHERE {OF_MUG}",
        "which the owner has never allowed",
    ),
    "an offer for another account": (
        f"UPDATE offers SET account_id = 'bob' WHERE {OF_MUG}",
        "offer mug fills account bob, and was made over a link of account alice",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found_and_nothing_else(raw: sqlite3.Connection, busy: Path, name: str) -> None:
    statement, words = PLANTED[name]
    assert raw.execute(statement).rowcount == 1
    (found,) = audit(busy, SERVICE)
    assert (found.invariant, words in found.sentence) == ("I13", True)


def test_a_grant_that_was_revoked_and_a_yes_for_once_allow_what_was_made(raw: sqlite3.Connection, busy: Path) -> None:
    assert audit(busy, SERVICE) == []
    raw.execute("UPDATE grants SET revoked_at = 1 WHERE service = 1 AND grant_id = 'shop-app'")
    assert audit(busy, SERVICE) == []
    raw.execute("DELETE FROM grants WHERE service = 1 AND grant_id = 'shop-app'")
    assert [one.invariant for one in audit(busy, SERVICE)] == ["I13"]
    raw.execute(
        "INSERT INTO approvals (service, approval_id, kind, wire, caller, target, command, asked_at, expires_at,"
        " is_known, version, state, decided_at, decided_by, decided_as, decision)"
        f" VALUES (1, 'yes-once', 'manage', 'manage', '{APP}', 'shop', x'', 1, 2, 0, 2, 'approved', 1, 'owner', '', '')"
    )
    assert audit(busy, SERVICE) == []
