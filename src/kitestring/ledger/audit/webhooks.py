"""Each invoice that settled while its offer had a webhook has its delivery, as long as the feed tells of it."""

from __future__ import annotations

from typing import Final

from kitestring.ledger.audit.subject import listed

#: A second payment of an invoice, which its event has a detail for, is no other purchase.
untold_webhooks: Final = listed(
    "SELECT i.invoice_id, i.offer_id FROM events e"
    " CROSS JOIN invoices i ON i.service = e.service AND i.invoice_id = e.subject AND i.offer_id <> ''"
    " CROSS JOIN offers o ON o.service = i.service AND o.offer_id = i.offer_id AND o.webhook <> ''"
    " WHERE e.service = ?1 AND e.kind = 'received' AND e.detail = '' AND i.state = 'settled'"
    " AND e.event > o.webhook_since AND NOT EXISTS (SELECT 1 FROM deliveries d"
    "   WHERE d.service = i.service AND d.invoice_id = i.invoice_id)",
    "invoice {0} was paid, and the webhook of offer {1} is never told",
)
told_for_nothing: Final = listed(
    "SELECT d.invoice_id, d.offer_id, coalesce(i.state, 'missing') FROM deliveries d"
    " LEFT JOIN invoices i ON i.service = d.service AND i.invoice_id = d.invoice_id"
    " WHERE d.service = ?1 AND (i.state IS NOT 'settled' OR i.offer_id <> d.offer_id)",
    "the webhook of offer {1} is told of invoice {0}, which is {2}, or another offer's",
)
