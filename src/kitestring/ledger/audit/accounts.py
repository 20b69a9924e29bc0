"""Checks of closed accounts: they are used no more.

Their invoices are no violation: one that was left at another node is open again when that node is back.
"""

from __future__ import annotations

from kitestring.ledger.audit.subject import listed

in_use = listed(
    """
SELECT a.account_id, 'grant ' || g.grant_id FROM accounts a JOIN grants g
  ON g.service = a.service AND g.account_id = a.account_id AND g.revoked_at IS NULL
WHERE a.service = ?1 AND a.closed_at IS NOT NULL
UNION ALL
SELECT a.account_id, 'offer ' || o.offer_id FROM accounts a JOIN offers o
  ON o.service = a.service AND o.account_id = a.account_id AND (o.state = 'open' OR o.state = 'off')
WHERE a.service = ?1 AND a.closed_at IS NOT NULL
UNION ALL
SELECT a.account_id, 'payment ' || p.payment_id FROM accounts a JOIN payments p
  ON p.service = a.service AND p.account_id = a.account_id AND p.state IN ('reserved', 'dispatched', 'unknown')
WHERE a.service = ?1 AND a.closed_at IS NOT NULL""",
    "account {0} is closed, but {1} is open",
)
