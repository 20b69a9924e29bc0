"""Checks of an audit: the offers that apps manage."""

# ruff: noqa: S608 - what is pasted into statements are constants of this package, never a value

from __future__ import annotations

from typing import Final

from kitestring.base.enrolments import PREFIX
from kitestring.ledger.audit.subject import listed

#: The owner has let its maker make it, for once or for good, whatever has become of that since; or its maker has the
#: account itself, over whatever link.
ungranted: Final = listed(
    "SELECT o.offer_id, o.creator, o.pointer_id FROM offers o WHERE o.service = ?1 AND o.creator <> ''"
    " AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.service = o.service AND g.caller = o.creator"
    "   AND g.pointer_id = o.pointer_id)"
    " AND NOT EXISTS (SELECT 1 FROM accounts c WHERE c.service = o.service AND c.account_id = o.account_id"
    f"   AND substr(c.account_id, 1, {len(PREFIX)}) = '{PREFIX}' AND c.name = o.creator)"
    " AND NOT EXISTS (SELECT 1 FROM approvals a WHERE a.service = o.service AND a.kind = 'manage'"
    "   AND a.state = 'approved' AND a.target = o.pointer_id AND a.caller = o.creator)",
    "offer {0} was made by {1} over {2}, which the owner has never allowed",
)
misplaced: Final = listed(
    "SELECT o.offer_id, o.account_id, g.account_id FROM offers o"
    " JOIN grants g ON g.service = o.service AND g.grant_id = o.pointer_id"
    " WHERE o.service = ?1 AND o.creator <> '' AND o.account_id <> g.account_id",
    "offer {0} fills account {1}, and was made over a link of account {2}",
)
