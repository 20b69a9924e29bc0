"""Sums of an audit: every balance, total and budget rebuilt from what is append-only and compared."""

from __future__ import annotations

from collections.abc import Iterator

from kitestring.ledger.audit.subject import Subject, listed

_accounts = listed(
    """
WITH booked AS (
  SELECT e.account_id, sum(max(e.amount_msat, 0)) AS credits, sum(max(-e.amount_msat, 0)) AS posted
  FROM entries e WHERE e.service = ?1 GROUP BY e.account_id),
held AS (SELECT account_id, sum(amount_msat + fee_cap_msat + service_fee_msat) AS pending FROM payments
  WHERE service = ?1 AND state IN ('reserved', 'dispatched', 'unknown') GROUP BY account_id)
SELECT a.account_id, a.credits_msat, a.posted_msat, a.pending_msat,
  coalesce(b.credits, 0), coalesce(b.posted, 0), coalesce(h.pending, 0)
FROM accounts a LEFT JOIN booked b ON b.account_id = a.account_id LEFT JOIN held h ON h.account_id = a.account_id
WHERE a.service = ?1 AND (a.credits_msat, a.posted_msat, a.pending_msat)
  <> (coalesce(b.credits, 0), coalesce(b.posted, 0), coalesce(h.pending, 0))""",
    "account {0} keeps credits, posted, pending of {1}, {2}, {3} msat; its entries and open payments say {4}, {5}, {6}",
)
_unbalanced = listed(
    "SELECT entry, sum(amount_msat) FROM entries WHERE service = ?1 GROUP BY entry HAVING sum(amount_msat) <> 0",
    "the entries of {0} sum to {1} msat",
)
_homeless = listed(
    "SELECT DISTINCT e.account_id FROM entries e WHERE e.service = ?1 AND NOT EXISTS"
    " (SELECT 1 FROM accounts a WHERE a.service = e.service AND a.account_id = e.account_id)",
    "there are entries of account {0}, which does not exist",
)
_totals = listed(
    """
SELECT k.spent_msat, k.sub_accounts_msat, k.owner_pending_msat, k.pending_msat,
  (SELECT coalesce(sum(amount_msat + fee_msat), 0) FROM payments
    WHERE service = ?1 AND state = 'settled' AND NOT internal) AS spent,
  (SELECT coalesce(sum(credits_msat - posted_msat), 0) FROM accounts WHERE service = ?1 AND kind = 'sub') AS subs,
  (SELECT coalesce(sum(pending_msat), 0) FROM accounts WHERE service = ?1 AND kind = 'owner') AS owner,
  (SELECT coalesce(sum(pending_msat), 0) FROM accounts WHERE service = ?1) AS pending
FROM totals k WHERE k.service = ?1
  AND (k.spent_msat, k.sub_accounts_msat, k.owner_pending_msat, k.pending_msat) <> (spent, subs, owner, pending)""",
    "the totals keep spent, sub-accounts, owner pending, pending of {0}, {1}, {2}, {3} msat;"
    " the ledger says {4}, {5}, {6}, {7}",
)
_budgets = listed(
    """
SELECT b.grant_id, b.used_msat, sum(c.taken_msat) FROM budgets b
JOIN charges c ON c.service = b.service AND c.grant_id = b.grant_id AND c.budget_id = b.budget_id
  AND c.bucket >= b.oldest
WHERE b.service = ?1 GROUP BY b.grant_id, b.budget_id, b.used_msat HAVING b.used_msat < sum(c.taken_msat)""",
    "the budget of grant {0} keeps {1} msat as used, its payments say {2}",
)
_buckets = listed(
    """
SELECT k.grant_id, k.bucket, k.used_msat, sum(c.taken_msat) FROM buckets k
JOIN budgets b ON b.service = k.service AND b.grant_id = k.grant_id AND b.budget_id = k.budget_id
  AND k.bucket >= b.oldest
JOIN charges c ON c.service = k.service AND c.grant_id = k.grant_id AND c.budget_id = k.budget_id
  AND c.bucket = k.bucket AND c.oldest <> c.bucket
WHERE k.service = ?1 GROUP BY k.grant_id, k.budget_id, k.bucket, k.used_msat HAVING k.used_msat < sum(c.taken_msat)""",
    "bucket {1} of grant {0} keeps {2} msat as used, its payments say {3}",
)
_buckets_of_budgets = listed(
    """
SELECT b.grant_id, b.used_msat, sum(k.used_msat) FROM budgets b
JOIN buckets k ON k.service = b.service AND k.grant_id = b.grant_id AND k.budget_id = b.budget_id
  AND k.bucket >= b.oldest
WHERE b.service = ?1 GROUP BY b.grant_id, b.budget_id, b.used_msat HAVING b.used_msat < sum(k.used_msat)""",
    "the budget of grant {0} keeps {1} msat as used, its buckets say {2}",
)


def balances_rebuilt(subject: Subject) -> Iterator[str]:
    """Every account keeps exactly what its entries say, and the entries of each payment and transfer sum to zero."""
    yield from _accounts(subject)
    yield from _unbalanced(subject)
    yield from _homeless(subject)


def totals_rebuilt(subject: Subject) -> Iterator[str]:
    return _totals(subject)


def budgets_rebuilt(subject: Subject) -> Iterator[str]:
    """Every budget keeps at least what was used: one that keeps less would let too much through."""
    yield from _budgets(subject)
    yield from _buckets(subject)
    yield from _buckets_of_budgets(subject)
