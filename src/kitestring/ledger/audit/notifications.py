"""The words to others about payments: to nobody twice of one, to nobody of what it is not shown, to everybody of a
zap."""

# ruff: noqa: S608 - what is pasted into statements is a part of them, never a value

from __future__ import annotations

from typing import Final

from kitestring.ledger.audit.subject import listed

#: The words of a notification are its type and the id of the payment or invoice, its address is the grant.
_TOLD: Final = """
WITH told AS (
  SELECT CAST(address AS TEXT) AS grant_id, CAST(plaintext AS TEXT) AS words,
    substr(CAST(plaintext AS TEXT), instr(CAST(plaintext AS TEXT), ' ') + 1) AS subject
  FROM outbox WHERE service = ?1 AND request IS NULL AND kind = 'notification')
"""

#: Both are written in the transaction that settles the invoice, and forgotten in the same order.
_UNTOLD_ZAPS: Final = """
SELECT invoice_id FROM invoices WHERE service = ?1 AND zap <> ''
  AND invoice_id IN (SELECT subject FROM events WHERE service = ?1 AND kind = 'received' AND detail = '')
  AND invoice_id NOT IN (SELECT subject FROM events WHERE service = ?1 AND kind = 'zapped')
"""

told_twice = listed(
    _TOLD + "SELECT grant_id, words, count(*) FROM told GROUP BY grant_id, words HAVING count(*) > 1",
    "connection {0} is told {2} times: {1}",
)
#: One that is shown its account, or may have been before it was changed, is told of that account.
_SEEN: Final = """(x.grant_id = t.grant_id OR EXISTS (SELECT 1 FROM grants g
  WHERE g.service = ?1 AND g.grant_id = t.grant_id AND g.account_id = x.account_id
    AND (g.shown_history = 'account' OR g.version > 1)))"""
told_to_others = listed(
    _TOLD + "SELECT grant_id, words FROM told t"
    f" WHERE NOT EXISTS (SELECT 1 FROM payments x WHERE x.service = ?1 AND x.payment_id = t.subject AND {_SEEN})"
    f" AND NOT EXISTS (SELECT 1 FROM invoices x WHERE x.service = ?1 AND x.invoice_id = t.subject AND {_SEEN})",
    "connection {0} is told of what is not its own: {1}",
)
untold_zaps = listed(_UNTOLD_ZAPS, "invoice {0} answers a zap request and is paid, and nobody is told")
