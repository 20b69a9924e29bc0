"""``kitestring audit``: read-only proofs of the invariants I1-I16 on a database, with nothing but SQL and SHA-256.

Each check is one function in :data:`CHECKS`, named by its invariant. The invariants: docs/explanation/money-safety.md.
"""

# ruff: noqa: S608 - what is pasted into statements are names of this schema's tables, never a value

from __future__ import annotations

import itertools
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from kitestring.base.approvals import CONNECTION_ID_CHARS
from kitestring.base.enrolments import ALL_ENROLLED, PREFIX, PREFIX_END
from kitestring.base.payments import OPEN, TRANSITIONS, State, preimage_fits
from kitestring.base.records import BUNDLE
from kitestring.ledger.audit.accounts import in_use
from kitestring.ledger.audit.enrolments import incomplete, misnamed
from kitestring.ledger.audit.holds import (
    foreign_decisions,
    held_for_nothing,
    unproven_decisions,
    waiting_in_vain,
)
from kitestring.ledger.audit.managing import misplaced, ungranted
from kitestring.ledger.audit.money import balances_rebuilt, budgets_rebuilt, totals_rebuilt
from kitestring.ledger.audit.notifications import told_to_others, told_twice, untold_zaps
from kitestring.ledger.audit.prices import priced_otherwise
from kitestring.ledger.audit.subject import Subject, Violation, listed
from kitestring.ledger.audit.webhooks import told_for_nothing, untold_webhooks
from kitestring.ledger.rows import ALARMS
from kitestring.ledger.sqlite.store import connect_readonly, service_number

__all__ = ["CHECKS", "Violation", "alarms", "audit"]

#: Findings listed per check: enough to see a pattern, few enough to be read.
FINDINGS_LIMIT: Final = 100
#: Alarms that are shown: they are no violations, and what they tell may be settled long since.
ALARMS_LIMIT: Final = 10

_ALARMS: Final = f"SELECT detail FROM {ALARMS} ORDER BY event DESC LIMIT ?"

_SECRET: Final = re.compile(
    rb"\bnsec1[02-9ac-hj-np-z]{58}\b"
    rb"|\bncryptsec1[02-9ac-hj-np-z]{20,}"
    rb"|nostr\+walletconnect:[^\s]{0,500}\bsecret=[0-9a-fA-F]{64}"
    rb"|\bmacaroon=[0-9a-fA-F]{64,}"
)


def audit(
    source: str | Path | sqlite3.Connection, service_id: str, *, stuck_before: int | None = None
) -> list[Violation]:
    """Every violation found, at most :data:`FINDINGS_LIMIT` per check; empty when the ledger is sound.

    Works on a live database: everything is read in one snapshot. Raises KitestringError when there is no such ledger.
    """
    connection = source if isinstance(source, sqlite3.Connection) else connect_readonly(Path(source))
    try:
        connection.execute("BEGIN")
        subject = Subject(connection, service_number(connection, service_id), stuck_before)
        return sorted(
            Violation(invariant, sentence)
            for invariant, check in CHECKS
            for _, sentence in zip(range(FINDINGS_LIMIT), check(subject), strict=False)
        )
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if connection is not source:
            connection.close()


def alarms(path: Path, service_id: str) -> list[str]:
    """The newest alarms, oldest first, at most :data:`ALARMS_LIMIT`: what was booked is the truth, and was not what was
    to be expected. Raises KitestringError when there is no such ledger."""
    with closing(connect_readonly(path)) as connection:
        found = connection.execute(_ALARMS, (service_number(connection, service_id), ALARMS_LIMIT)).fetchall()
    return [detail for (detail,) in reversed(found)]


_one_holder = listed(
    "SELECT payment_hash, count(*) FROM payments WHERE service = ?1 AND state <> 'failed'"
    " GROUP BY payment_hash HAVING count(*) > 1",
    "payment hash {0} is held by {1} payments",
)
_evidence = listed(
    "SELECT payment_id, state FROM payments"
    " WHERE service = ?1 AND state IN ('failed', 'resolved') AND trim(evidence) = ''",
    "payment {0} was released ({1}) without stored evidence",
)
_overdraft = listed(
    "SELECT account_id, credits_msat - posted_msat - pending_msat FROM accounts"
    " WHERE service = ?1 AND kind = 'sub' AND NOT overdrawn AND credits_msat - posted_msat - pending_msat < 0",
    "account {0} has {1} msat available and is not marked overdrawn",
)
_overcharge = listed(
    "SELECT payment_id, grant_id, used_msat, limit_msat FROM charges WHERE service = ?1 AND used_msat > limit_msat",
    "the reservation of payment {0} brought grant {1} to {2} msat of {3}",
)
_overspend = listed(
    "SELECT payment_id, fee_msat, fee_cap_msat FROM payments p"
    " WHERE service = ?1 AND state = 'settled' AND fee_msat > fee_cap_msat"
    " AND NOT EXISTS (SELECT 1 FROM overspends o WHERE o.service = p.service AND o.payment_id = p.payment_id)",
    "payment {0} cost {1} msat with a cap of {2}, and its account was never marked overdrawn",
)
_service_fee = listed(
    "SELECT payment_id, service_fee_msat, iif(internal, 'inside the service', 'from the account of the owner')"
    " FROM payments WHERE service = ?1 AND service_fee_msat <> 0 AND (internal OR account_id = 'owner')",
    "payment {0} has a service fee of {1} msat and is {2}",
)
_replies = listed(
    "SELECT r.request_id FROM requests r LEFT JOIN outbox m"
    " ON m.message = r.reply AND m.request = r.request AND m.kind = 'reply'"
    " WHERE r.service = ?1 AND r.finished_at IS NOT NULL AND m.message IS NULL"
    " AND (r.reply IS NOT NULL OR r.until IS NULL)",  # silence, or a refusal whose words are not kept
    "request {0} is finished without a stored reply",
)
_unmarked = listed(
    "SELECT r.request_id FROM outbox m JOIN requests r ON r.request = m.request"
    " WHERE m.service = ?1 AND m.kind = 'reply' AND r.reply IS NOT m.message",
    "request {0} has a reply that does not count as its own",
)
_refusals = listed(
    f"""
WITH counted_alone AS (
  SELECT r.grant_id, count(*) AS number,
    coalesce(sum(length(m.plaintext) + length(m.event) + length(m.address)) FILTER (WHERE m.is_no), 0) AS bytes,
    coalesce(sum(length(m.plaintext) + length(m.event) + length(m.address)) FILTER (WHERE NOT m.is_no), 0)
      AS answer_bytes
  FROM requests r LEFT JOIN outbox m ON m.message = r.reply
  WHERE r.service = ?1 AND r.until IS NOT NULL GROUP BY r.grant_id),
counted AS (
  SELECT * FROM counted_alone
  UNION ALL SELECT '{ALL_ENROLLED}', sum(k.number), sum(k.bytes), sum(k.answer_bytes) FROM counted_alone k
  JOIN grants g ON g.service = ?1 AND g.grant_id = k.grant_id
  WHERE g.account_id >= '{PREFIX}' AND g.account_id < '{PREFIX_END}' HAVING count(*)),
figures AS (
  SELECT g.grant_id, coalesce(k.number, 0) AS number, coalesce(k.bytes, 0) AS bytes,
    coalesce(k.answer_bytes, 0) AS answer_bytes, coalesce(c.number, 0) AS found, coalesce(c.bytes, 0) AS found_bytes,
    coalesce(c.answer_bytes, 0) AS found_answer_bytes
  FROM (SELECT grant_id FROM counted UNION SELECT grant_id FROM refusals WHERE service = ?1) g
  LEFT JOIN refusals k ON k.service = ?1 AND k.grant_id = g.grant_id LEFT JOIN counted c ON c.grant_id = g.grant_id)
SELECT * FROM figures WHERE (number, bytes, answer_bytes) <> (found, found_bytes, found_answer_bytes)""",
    "the refusals of grant {0} are said to be {1} with {2} bytes and {3} of answers, and are {4} with {5} and {6}",
)
_numbers = listed(
    "SELECT 'message', last_message, (SELECT max(message) & (1 << 48) - 1 FROM outbox WHERE service = ?1) AS newest"
    " FROM totals WHERE service = ?1 AND newest > last_message"
    " UNION ALL SELECT 'event', last_event, (SELECT max(event) FROM events WHERE service = ?1) AS newest"
    " FROM totals WHERE service = ?1 AND newest > last_event",
    "the last {0} is said to be number {1}, but there is one of number {2}",
)
_gaps = listed(
    "SELECT event, following FROM (SELECT event, lead(event) OVER (ORDER BY event) AS following FROM events"
    " WHERE service = ?1) WHERE following <> event + 1",
    "there is no event between {0} and {1}",
)
_untold = listed(
    "SELECT p.payment_id, p.state FROM payments p, totals t WHERE p.service = ?1 AND t.service = ?1"
    " AND p.state IN ('settled', 'failed', 'resolved')"
    " AND (SELECT min(event) FROM events WHERE service = ?1) = 1"  # nothing was forgotten yet
    " AND NOT EXISTS (SELECT 1 FROM events e WHERE e.service = ?1 AND e.subject = p.payment_id AND e.kind = p.state)",
    "payment {0} is {1}, and no event tells it",
)
_unanswered = listed(
    "SELECT r.request_id, p.payment_id, p.state FROM requests r"
    " JOIN payments p ON p.service = r.service AND p.payment_id = r.payment_id"
    " WHERE r.service = ?1 AND r.finished_at IS NULL AND p.state IN ('settled', 'failed')",
    "request {0} waits for payment {1}, which is {2}",
)
_undecided = listed(
    "SELECT r.request_id, a.approval_id, a.state FROM requests r"
    " JOIN approvals a ON a.service = r.service AND a.approval_id = r.payment_id"
    " WHERE r.service = ?1 AND r.finished_at IS NULL AND a.state <> 'open'"
    " AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.service = ?1 AND p.payment_id = a.approval_id)",
    "request {0} waits for the owner's decision about {1}, which is {2}",
)
_lost = listed(
    "SELECT r.request_id, r.payment_id FROM requests r WHERE r.service = ?1 AND r.finished_at IS NULL"
    f" AND r.payment_id <> '{BUNDLE}'"  # its parts wait for themselves
    " AND NOT EXISTS (SELECT 1 FROM payments p WHERE p.service = ?1 AND p.payment_id = r.payment_id)"
    " AND NOT EXISTS (SELECT 1 FROM approvals a WHERE a.service = ?1 AND a.approval_id = r.payment_id)"
    " AND NOT EXISTS (SELECT 1 FROM invoices i WHERE i.service = ?1 AND i.invoice_id = r.payment_id)",
    "request {0} waits for {1}, which is neither a payment nor a question nor an invoice",
)
_unasked = listed(
    "SELECT p.payment_id, a.state FROM payments p"
    " JOIN approvals a ON a.service = p.service AND a.approval_id = p.payment_id"
    " WHERE p.service = ?1 AND a.state <> 'approved'",
    "payment {0} was begun, but the owner's decision about it is {1}",
)
_unconnected = listed(
    "SELECT a.approval_id FROM approvals a WHERE a.service = ?1 AND a.kind = 'connection' AND a.state = 'approved'"
    " AND NOT EXISTS (SELECT 1 FROM grants g"
    f"   WHERE g.service = ?1 AND g.grant_id = substr(a.approval_id, -{CONNECTION_ID_CHARS}))",
    "the owner has approved the connection that {0} asks for, and there is none",
)
_tokens = listed(
    "SELECT t.scope, t.holder FROM tokens t WHERE t.service = ?1 AND t.holder <> ''"
    " AND NOT EXISTS (SELECT 1 FROM approvals a"
    "   WHERE a.service = ?1 AND a.approval_id = t.holder AND a.state = 'open')"
    " AND NOT EXISTS (SELECT 1 FROM payments p"
    "   WHERE p.service = ?1 AND p.payment_id = t.holder AND p.state <> 'failed')",
    "a session of pointer {0} is held by {1}, which is over without a payment",
)
_request_twice = listed(
    "SELECT request_id, count(*) FROM requests NOT INDEXED WHERE service = ?1 GROUP BY request_id HAVING count(*) > 1",
    "request {0} was consumed {1} times",
)
_credit_twice = listed(
    "SELECT payment_hash, node_id FROM credits WHERE service = ?1 AND kind IN ('invoice', 'unknown')"
    " GROUP BY payment_hash, node_id HAVING count(*) > 1",
    "the settlement of {0} at node {1} was credited more than once",
)
_credit_without_invoice = listed(
    "SELECT c.payment_hash, coalesce(i.state, 'missing') FROM credits c LEFT JOIN invoices i"
    " ON i.service = c.service AND i.payment_hash = c.payment_hash AND i.node_id = c.node_id"
    " WHERE c.service = ?1 AND c.kind IN ('invoice', 'surplus') AND i.state IS NOT 'settled'",
    "hash {0} was credited to an invoice that is {1}",
)
_settled_without_credit = listed(
    "SELECT i.payment_hash FROM invoices i WHERE i.service = ?1 AND i.state = 'settled' AND NOT i.internal"
    " AND NOT EXISTS (SELECT 1 FROM credits c WHERE c.service = i.service AND c.payment_hash = i.payment_hash"
    "   AND c.node_id = i.node_id AND c.kind = 'invoice')",
    "the invoice of {0} is settled but was never credited",
)
_open_invoices = listed(
    """
WITH waiting AS (
  SELECT node_id, grant_id, offer_id, payer FROM invoices WHERE service = ?1 AND state IN ('open', 'accepted')),
counted AS (
  SELECT node_id, '@all' AS holder, count(*) AS number FROM waiting GROUP BY 1
  UNION ALL SELECT node_id, '@offers', count(*) FROM waiting WHERE grant_id = '' GROUP BY 1
  UNION ALL SELECT node_id, iif(grant_id = '', 'offer:' || offer_id, grant_id), count(*) FROM waiting GROUP BY 1, 2
  UNION ALL SELECT node_id, 'payer:' || payer, count(*) FROM waiting WHERE grant_id = '' AND payer <> ''
    GROUP BY 1, 2),
kept AS (SELECT node_id, holder, number FROM open_invoices WHERE service = ?1)
SELECT k.holder, k.node_id, k.number, coalesce(c.number, 0) FROM kept k
LEFT JOIN counted c ON c.holder = k.holder AND c.node_id = k.node_id WHERE k.number <> coalesce(c.number, 0)
UNION ALL SELECT holder, node_id, 0, number FROM counted
WHERE (holder, node_id) NOT IN (SELECT holder, node_id FROM kept)""",
    "{0} is said to have {2} open invoices at node {1}, and has {3}",
)
_too_little = listed(
    "SELECT payment_hash, received_msat, amount_msat FROM invoices"
    " WHERE service = ?1 AND state = 'settled' AND received_msat < amount_msat",
    "the invoice of {0} settled with {1} msat of {2}",
)
_rounding = listed(
    "SELECT payment_id, amount_msat, fee_msat FROM payments WHERE service = ?1 AND (fee_msat < 0 OR amount_msat <= 0)",
    "payment {0} is of {1} msat with a fee of {2}",
)
_charged_less = listed(
    "SELECT p.payment_id, c.amount_msat, p.amount_msat + p.fee_cap_msat + p.service_fee_msat FROM payments p"
    " JOIN charges c ON c.service = p.service AND c.payment_id = p.payment_id"
    " WHERE p.service = ?1 AND c.amount_msat < p.amount_msat + p.fee_cap_msat + p.service_fee_msat",
    "payment {0} charges its budget {1} msat but may cost {2}",
)
_ends = listed(
    "SELECT payment_id, state, coalesce(credited, 'nobody') FROM payments"
    " WHERE service = ?1 AND (state = 'settled') <> (credited IS NOT NULL)",
    "payment {0} is {1} and its amount went to {2}",
)
_drift = listed(
    "SELECT sub_accounts_msat, node_balance_msat FROM totals WHERE service = ?1 AND spending_stopped = ''"
    " AND sub_accounts_msat > node_balance_msat",
    "the accounts hold {0} msat but the node at most {1}, and spending is not stopped",
)
_foreign_results = listed(
    "SELECT r.request_id, r.grant_id, p.grant_id FROM requests r"
    " JOIN payments p ON p.service = r.service AND p.payment_id = r.payment_id"
    " WHERE r.service = ?1 AND r.grant_id <> p.grant_id",
    "request {0} of grant {1} is answered from a payment of grant {2}",
)


def _preimages(subject: Subject) -> Iterator[str]:
    for payment_id, payment_hash, preimage, internal in subject.rows(
        "SELECT payment_id, payment_hash, preimage, internal FROM payments WHERE service = ?1 AND state = 'settled'"
    ):
        if not preimage_fits(preimage, payment_hash) and not (internal and preimage == ""):
            yield f"payment {payment_id} is settled with a preimage that does not hash to {payment_hash}"


def _steps(subject: Subject) -> Iterator[str]:
    """Follow every payment through its recorded steps; a payment begins reserved or dispatched."""
    for payment_id, state, steps in subject.rows("SELECT payment_id, state, steps FROM payments WHERE service = ?1"):
        names = steps.split()
        if not names or names[0] not in ("reserved", "dispatched"):
            yield f"payment {payment_id} is {state} but nothing tells how it came there"
        elif names[-1] != state:
            yield f"payment {payment_id} is {state} but its last step led to {names[-1]}"
        for before, after in itertools.pairwise(names):
            if State(after) not in TRANSITIONS[State(before)]:
                yield f"payment {payment_id} went from {before} to {after}"


def _stuck(subject: Subject) -> Iterator[str]:
    """A payment that is held for one of our own hold invoices is not: its deadline ends it."""
    if subject.stuck_before is None:
        return
    for payment_id, state in subject.rows(
        "SELECT payment_id, state FROM payments p WHERE service = ?1 AND created_at < ?2"
        " AND NOT EXISTS (SELECT 1 FROM invoices i INDEXED BY invoices_by_hash WHERE i.service = p.service"
        "   AND i.payment_hash = p.payment_hash AND i.payment_hash <> '' AND i.held_by = p.payment_id"
        "   AND i.state = 'accepted')"
        f" AND state IN ({', '.join(repr(state.value) for state in sorted(OPEN))})",
        subject.stuck_before,
    ):
        yield f"payment {payment_id} is stuck: still {state}"


def _secrets(subject: Subject) -> Iterator[str]:
    """Search every text and blob of every table, whatever it is called."""
    tables = subject.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'migrations'")
    for (table,) in tables.fetchall():
        columns = [
            name
            for _, name, kind, *_ in subject.connection.execute(f"PRAGMA table_info({table})")
            if kind in ("TEXT", "BLOB")
        ]
        for row in subject.rows(f"SELECT {', '.join(columns) or 'NULL'} FROM {table} WHERE service = ?1"):
            for name, value in zip(columns, row, strict=False):
                if value and _SECRET.search(value.encode() if isinstance(value, str) else value):
                    yield f"{table}.{name} holds what looks like a secret key"


#: Every check, by the invariant it proves.
CHECKS: Final[tuple[tuple[str, Callable[[Subject], Iterator[str]]], ...]] = (
    ("I1", _one_holder),
    ("I2", balances_rebuilt),
    ("I2", totals_rebuilt),
    ("I3", _evidence),
    ("I4", _overdraft),
    ("I4", _overcharge),
    ("I4", budgets_rebuilt),
    ("I4", _open_invoices),
    ("I5", _overspend),
    ("I5", _service_fee),
    ("I6", _replies),
    ("I6", _unmarked),
    ("I6", _refusals),
    ("I6", _unanswered),
    ("I6", _undecided),
    ("I6", _lost),
    ("I6", waiting_in_vain),
    ("I6", _numbers),
    ("I6", _gaps),
    ("I6", _untold),
    ("I6", untold_zaps),
    ("I6", untold_webhooks),
    ("I7", _request_twice),
    ("I7", _credit_twice),
    ("I7", _tokens),
    ("I7", told_twice),
    ("I7", incomplete),
    ("I7", misnamed),
    ("I8", _ends),
    ("I9", _preimages),
    ("I9", unproven_decisions),
    ("I10", _credit_without_invoice),
    ("I10", _settled_without_credit),
    ("I10", _too_little),
    ("I10", held_for_nothing),
    ("I10", told_for_nothing),
    ("I11", _rounding),
    ("I11", _charged_less),
    ("I11", priced_otherwise),
    ("I12", _drift),
    ("I13", _steps),
    ("I13", _unasked),
    ("I13", _unconnected),
    ("I13", ungranted),
    ("I13", misplaced),
    ("I13", in_use),
    ("I14", _foreign_results),
    ("I14", told_to_others),
    ("I14", foreign_decisions),
    ("I15", _stuck),
    ("I16", _secrets),
)
