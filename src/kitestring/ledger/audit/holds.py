"""Checks of what is decided about invoices: whose payment is held, what was decided, and who waits for the end."""

from __future__ import annotations

from collections.abc import Iterator

from kitestring.base.payments import preimage_fits
from kitestring.ledger.audit.subject import Subject, listed

waiting_in_vain = listed(
    "SELECT r.request_id, i.payment_hash, i.state FROM requests r"
    " JOIN invoices i ON i.service = r.service AND i.invoice_id = r.payment_id"
    " WHERE r.service = ?1 AND r.finished_at IS NULL AND i.state NOT IN ('open', 'accepted')",
    "request {0} waits for the end of the invoice of {1}, which is {2}",
)
held_for_nothing = listed(
    "SELECT i.payment_hash, i.held_by, coalesce(p.state, 'missing') FROM invoices i"
    " LEFT JOIN payments p ON p.service = i.service AND p.payment_id = i.held_by AND p.payment_hash = i.payment_hash"
    " WHERE i.service = ?1 AND i.state = 'accepted' AND i.held_by <> ''"
    " AND (p.state IS NOT 'reserved' OR NOT p.internal)",
    "the hold invoice of {0} holds payment {1}, which is {2}",
)
foreign_decisions = listed(
    "SELECT r.request_id, r.grant_id, i.grant_id FROM requests r"
    " JOIN invoices i ON i.service = r.service AND i.invoice_id = r.payment_id"
    " LEFT JOIN grants g ON g.service = r.service AND g.grant_id = r.grant_id"
    " WHERE r.service = ?1 AND r.grant_id <> i.grant_id AND g.wire IS NOT 'owner'",
    "request {0} of grant {1} decides about an invoice of grant {2}",
)


def unproven_decisions(subject: Subject) -> Iterator[str]:
    """Nothing is decided to be settled without the preimage, which is stored with the decision."""
    for payment_hash, preimage in subject.rows(
        "SELECT payment_hash, preimage FROM invoices WHERE service = ?1 AND decision = 'settle'"
    ):
        if not preimage_fits(preimage, payment_hash):
            yield f"the hold invoice of {payment_hash} was to be settled with a preimage that does not hash to it"
