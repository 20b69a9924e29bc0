"""Checks of accounts of enrolled keys: each has exactly the rows that it began with, and they are its own."""

# ruff: noqa: S608 - what is pasted into statements are constants of this package, never a value

from __future__ import annotations

from typing import Final

from kitestring.base.commands import DEBITS_WIRE
from kitestring.base.enrolments import KEY_DIGITS, PREFIX
from kitestring.ledger.audit.subject import listed

_ENROLLED: Final = f"substr(a.account_id, 1, {len(PREFIX)}) = '{PREFIX}'"
#: The rows of the first moment alone: later ones are the owner's doing, or that of an app.
_POINTERS: Final = (
    "FROM grants p WHERE p.service = ?1 AND p.account_id = a.account_id AND p.name = a.account_id"
    f" AND p.wire = '{DEBITS_WIRE}' AND p.caller = '' AND p.created_at = a.created_at"
)

misnamed = listed(
    "SELECT a.account_id, a.name FROM accounts a WHERE a.service = ?1 AND"
    f" {_ENROLLED} AND a.account_id IS NOT '{PREFIX}' || substr(a.name, 1, {KEY_DIGITS})",
    "account {0} is said to be that of the key {1}",
)
incomplete = listed(
    f"""
SELECT account_id, offers, pointers, grants FROM (
  SELECT a.account_id,
    (SELECT count(*) FROM offers o WHERE o.service = ?1 AND o.account_id = a.account_id
      AND o.created_at = a.created_at AND o.creator = a.name AND o.pointer_id = '') AS offers,
    (SELECT count(*) {_POINTERS}) AS pointers,
    (SELECT count(*) FROM grants g WHERE g.service = ?1 AND g.account_id = a.account_id AND g.caller = a.name
      AND g.created_at = a.created_at AND g.pointer_id IN (SELECT p.grant_id {_POINTERS})) AS grants
  FROM accounts a WHERE a.service = ?1 AND {_ENROLLED})
WHERE (offers, pointers, grants) <> (1, 1, 1)""",
    "account {0} of an enrolled key began with {1} offers, {2} pointers and {3} grants of its key, not one each",
)
