"""One violation planted by raw SQL per check: the audit names exactly that invariant, and a busy ledger has none."""

import sqlite3
from pathlib import Path

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.ledger.audit.checks import audit
from tests.kit.ledger.busy import OTHER
from tests.kit.ledger.values import (
    NOW,
    SERVICE,
    preimage_of,
)

SECRET = "nsec1" + "q" * 58


PAID = "service = 1 AND payment_id = 'pay-paid'"
PLAIN = "service = 1 AND payment_id = 'pay-plain'"
WORD = "service = 1 AND holder = 'pay-yes'"
ONE_MORE = "UPDATE open_invoices SET number = number + 1 WHERE service = 1"

#: name -> (the invariant, statements that plant one violation of it)
PLANTED: dict[str, tuple[str, tuple[str, ...]]] = {
    "two payments hold one hash": (
        "I1",
        (
            (
                "UPDATE payments SET payment_hash = (SELECT payment_hash FROM payments"
                " WHERE payment_id = 'pay-unknown')"
                " WHERE service = 1 AND payment_id = 'pay-open'"
            ),
        ),
    ),
    "a failure without evidence": (
        "I3",
        ("UPDATE payments SET evidence = ' ' WHERE service = 1 AND payment_id = 'pay-lost'",),
    ),
    "a fee above its cap without an alarm": ("I5", ("DELETE FROM overspends WHERE service = 1",)),
    "a settlement credited as two kinds": (
        "I7",
        (
            (
                "INSERT INTO credits SELECT service, node_id, payment_hash, 'unknown', transfer,"
                " received_msat, settled_at FROM credits WHERE service = 1 AND kind = 'invoice'"
            ),
        ),
    ),
    "a preimage of something else": (
        "I9",
        (f"UPDATE payments SET preimage = '{preimage_of('else')}' WHERE {PAID}",),
    ),
    "a preimage that is none": ("I9", (f"UPDATE payments SET preimage = 'zz' WHERE {PAID}",)),
    "a credit of an open invoice": (
        "I10",
        ("UPDATE invoices SET state = 'open' WHERE service = 1 AND invoice_id = 'inv-in'", ONE_MORE),
    ),
    "a settled invoice without credit": (
        "I10",
        (
            "UPDATE invoices SET state = 'settled', received_msat = 500 WHERE service = 1 AND invoice_id = 'inv-open'",
            "UPDATE open_invoices SET number = number - 1 WHERE service = 1",
        ),
    ),
    "an invoice settled with less": (
        "I10",
        ("UPDATE invoices SET amount_msat = 601 WHERE service = 1 AND invoice_id = 'inv-in'",),
    ),
    "accounts beyond what the node has": ("I12", ("UPDATE totals SET node_balance_msat = 1 WHERE service = 1",)),
    "a settled payment set back": (
        "I13",
        (f"UPDATE payments SET steps = steps || ' dispatched settled' WHERE {PAID}",),
    ),
    "a step nobody recorded": ("I13", (f"UPDATE payments SET steps = 'settled' WHERE {PAID}",)),
    "a state its steps do not lead to": (
        "I13",
        ("UPDATE payments SET state = 'dispatched' WHERE service = 1 AND payment_id = 'pay-unknown'",),
    ),
    "an answer from another grant's payment": (
        "I14",
        ("UPDATE requests SET grant_id = 'bobs' WHERE service = 1 AND request_id = 'ask-again'",),
    ),
    "a secret key in a text": (
        "I16",
        (f"UPDATE grants SET name = 'my {SECRET}' WHERE service = 1 AND grant_id = 'app'",),
    ),
    "an overdraft without its mark": (
        "I4",
        ("UPDATE accounts SET overdrawn = 0 WHERE service = 1 AND account_id = 'short'",),
    ),
    "a reservation beyond the budget": (
        "I4",
        (f"UPDATE payments SET charges = json_set(charges, '$[0][4]', 1099) WHERE {PAID}",),
    ),
    "open invoices that were forgotten": ("I4", ("UPDATE open_invoices SET number = 0 WHERE service = 1",)),
    "open invoices that nobody counted": ("I4", ("DELETE FROM open_invoices WHERE service = 1",)),
    "open invoices counted at another node": ("I4", ("UPDATE open_invoices SET node_id = 'x' WHERE service = 1",)),
    "a finished request without a reply": (
        "I6",
        (
            (
                "DELETE FROM outbox WHERE message ="
                " (SELECT reply FROM requests WHERE service = 1 AND request_id = 'ask-paid')"
            ),
        ),
    ),
    "a refusal that has lost its reply": (
        "I6",
        (
            (
                "DELETE FROM outbox WHERE message ="
                " (SELECT reply FROM requests WHERE service = 1 AND request_id = 'refused')"
            ),
            "UPDATE refusals SET bytes = 0 WHERE service = 1",
        ),
    ),
    "refusals whose bytes were forgotten": ("I6", ("UPDATE refusals SET bytes = 0 WHERE service = 1",)),
    "answers without a claim whose bytes nobody counted": (
        "I6",
        ("UPDATE refusals SET answer_bytes = 7 WHERE service = 1",),
    ),
    "refusals whose bytes nobody counted": ("I6", ("DELETE FROM refusals WHERE service = 1",)),
    "a reply that is not the request's own": (
        "I6",
        (
            (
                "UPDATE outbox SET request ="
                " (SELECT request FROM requests WHERE service = 1 AND request_id = 'ask-lost')"
                " WHERE message = (SELECT reply FROM requests WHERE service = 1 AND request_id = 'ask-paid')"
            ),
        ),
    ),
    "a request that waits for an ended payment": (
        "I6",
        (
            (
                "DELETE FROM outbox WHERE message ="
                " (SELECT reply FROM requests WHERE service = 1 AND request_id = 'ask-paid')"
            ),
            "UPDATE requests SET finished_at = NULL, reply = NULL WHERE service = 1 AND request_id = 'ask-paid'",
        ),
    ),
    "a request that waits for a question that has ended": (
        "I6",
        ("UPDATE approvals SET state = 'expired', decided_at = 1 WHERE service = 1 AND approval_id = 'pay-waits'",),
    ),
    "a request that waits for a question that is gone": (
        "I6",
        ("DELETE FROM approvals WHERE service = 1 AND approval_id = 'pay-waits'",),
    ),
    "a word that a denied question keeps": ("I7", (f"UPDATE tokens SET holder = 'pay-no' WHERE {WORD}",)),
    "a word that a failed payment keeps": ("I7", (f"UPDATE tokens SET holder = 'pay-lost' WHERE {WORD}",)),
    "a payment to which the owner has said no": (
        "I13",
        ("UPDATE approvals SET state = 'denied' WHERE service = 1 AND approval_id = 'pay-yes'",),
    ),
    "a connection that the owner has approved, and that is not there": (
        "I13",
        ("UPDATE approvals SET kind = 'connection' WHERE service = 1 AND approval_id = 'pay-yes'",),
    ),
    "a payment before the owner has said anything": (
        "I13",
        ("UPDATE approvals SET state = 'open', decided_at = NULL WHERE service = 1 AND approval_id = 'pay-yes'",),
    ),
    "a number of a message given twice": (
        "I6",
        ("UPDATE totals SET last_message = last_message - 1 WHERE service = 1",),
    ),
    "a number of an event given twice": ("I6", ("UPDATE totals SET last_event = last_event - 1 WHERE service = 1",)),
    "an end of a payment that was told nobody": (
        "I6",
        ("UPDATE events SET kind = 'alarm' WHERE service = 1 AND subject = 'pay-paid'",),
    ),
    "an event that is gone": (
        "I6",
        ("DELETE FROM events WHERE service = 1 AND kind = 'received' AND subject = 'inv-in'",),
    ),
    "a service fee of a payment inside": (
        "I5",
        ("UPDATE payments SET internal = 1 WHERE service = 1 AND payment_id = 'pay-untaxed'",),
    ),
    "a service fee from the owner's account": (
        "I5",
        ("UPDATE payments SET account_id = 'owner' WHERE service = 1 AND payment_id = 'pay-untaxed'",),
    ),
    "an amount that an unsettled payment gave away": (
        "I8",
        ("UPDATE payments SET credited = '@world' WHERE service = 1 AND payment_id = 'pay-unknown'",),
    ),
    "a budget charged less than the cost": (
        "I11",
        (f"UPDATE payments SET charges = json_set(charges, '$[0][3]', 1099) WHERE {PAID}",),
    ),
    "a connection secret in a reply": (
        "I16",
        (
            (
                "UPDATE outbox SET plaintext = CAST('nostr+walletconnect://aa?relay=wss://r&secret="
                f"{'ab' * 32}' AS BLOB) WHERE message ="
                " (SELECT reply FROM requests WHERE service = 1 AND request_id = 'back')"
            ),
        ),
    ),
}


async def test_a_busy_ledger_has_no_violation(busy: Path) -> None:
    assert audit(busy, SERVICE) == audit(str(busy), OTHER) == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_named_and_nothing_else(raw: sqlite3.Connection, busy: Path, name: str) -> None:
    invariant, statements = PLANTED[name]
    for statement in statements:
        assert raw.execute(statement).rowcount > 0
    assert {violation.invariant for violation in audit(busy, SERVICE)} == {invariant}
    assert audit(busy, OTHER) == []


def test_a_request_consumed_twice_is_named(raw: sqlite3.Connection, busy: Path) -> None:
    made = raw.execute("SELECT sql FROM sqlite_master WHERE name = 'requests'").fetchone()[0]
    raw.execute("ALTER TABLE requests RENAME TO old")
    raw.execute(made.replace("UNIQUE (service, request_id)", "CHECK (1)"))
    raw.execute("INSERT INTO requests SELECT * FROM old")
    columns = "service, request_id, wire, grant_id, command, reply_to, sent_at, received_at, payment_id"
    where = "service = 1 AND request_id = 'ask-unknown'"
    raw.execute(f"INSERT INTO requests ({columns}) SELECT {columns} FROM old WHERE {where}")
    raw.execute("DROP TABLE old")
    assert {violation.invariant for violation in audit(busy, SERVICE)} == {"I7"}


def test_an_open_payment_is_stuck_only_when_it_is_older_than_what_was_asked_for(busy: Path) -> None:
    assert audit(busy, SERVICE, stuck_before=NOW) == []
    found = audit(busy, SERVICE, stuck_before=NOW + 1)
    assert [violation.invariant for violation in found] == ["I15", "I15"]
    assert any("pay-unknown is stuck: still unknown" in violation.sentence for violation in found)


def test_drift_is_no_violation_once_spending_is_stopped(raw: sqlite3.Connection, busy: Path) -> None:
    raw.execute("UPDATE totals SET node_balance_msat = 1, spending_stopped = 'drift' WHERE service = 1")
    assert audit(busy, SERVICE) == []


def test_an_audit_works_on_an_open_connection_and_leaves_it_open(busy: Path) -> None:
    connection = sqlite3.connect(busy, isolation_level=None)
    assert audit(connection, SERVICE) == []
    assert connection.execute("SELECT 1").fetchone() == (1,)
    connection.close()


def test_an_audit_of_what_is_not_there_says_so(tmp_path: Path, busy: Path) -> None:
    with pytest.raises(KitestringError, match="there is no ledger"):
        audit(tmp_path / "nothing.db", SERVICE)
    with pytest.raises(KitestringError) as told:
        audit(busy, "ff" * 32)
    assert told.value.reason is Reason.UNKNOWN_TARGET


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM transfers", "append-only"),
        ("UPDATE transfers SET amount_msat = 1", "append-only"),
        ("UPDATE transfers SET credited = 'alice'", "append-only"),
        ("DELETE FROM payments", "append-only"),
        ("UPDATE payments SET amount_msat = 1", "never changes"),
        ("UPDATE payments SET charges = '[]'", "never changes"),
        ("UPDATE payments SET bolt11 = 'lnbcrt-other'", "never changes"),
        ("UPDATE payments SET keysend = '{}'", "never changes"),
        ("UPDATE payments SET fee_msat = 1 WHERE state = 'settled'", "never changes"),
        ("UPDATE payments SET credited = 'alice' WHERE state = 'settled'", "never changes"),
        ("UPDATE payments SET credited = 'alice', steps = steps || ' ' || state WHERE state = 'unknown'", "CHECK"),
        ("UPDATE events SET at = 0", "append-only"),
        ("UPDATE budgets SET reserved_msat = limit_msat + 1", "CHECK"),
        ("UPDATE requests SET reply = NULL WHERE finished_at IS NOT NULL", "CHECK"),
        ("UPDATE requests SET payment_id = 'pay-paid' WHERE request_id = 'refused'", "CHECK"),
        ("UPDATE requests SET invoice = 1 WHERE request_id = 'refused'", "CHECK"),
        ("UPDATE approvals SET state = 'approved', decided_at = 1, version = 3 WHERE state = 'denied'", "decided once"),
        ("UPDATE approvals SET command = x'00', state = 'denied', decided_at = 1, version = 2", "as it was asked"),
        ("UPDATE payments SET requestor = '' WHERE requestor <> ''", "never changes"),
        ("UPDATE tokens SET expires_at = NULL WHERE minted_at IS NOT NULL", "CHECK"),
        ("UPDATE requests SET finished_at = NULL, reply = NULL WHERE request_id = 'refused'", "CHECK"),
        ("UPDATE payments SET state = 'dispatched' WHERE state = 'settled'", "never changes"),
        ("UPDATE payments SET steps = 'dispatched' WHERE state = 'unknown'", "append-only"),
        ("UPDATE payments SET state = 'dispatched' WHERE state = 'unknown'", "append-only"),
        ("UPDATE accounts SET pending_msat = 999999999 WHERE account_id = 'alice'", "CHECK"),
        (
            (
                "UPDATE payments SET state = 'failed', holding = 0, evidence = '', steps = steps || ' failed'"
                " WHERE state = 'unknown'"
            ),
            "CHECK",
        ),
        ("UPDATE payments SET holding = 0", "CHECK"),
        ("UPDATE payments SET amount_msat = 'much'", "cannot store"),
    ],
)
def test_the_database_itself_refuses(busy: Path, statement: str, message: str) -> None:
    connection = sqlite3.connect(busy, isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError, match=message):
        connection.execute(statement)
    connection.close()
