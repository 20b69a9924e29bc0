"""The form in which what has happened is booked: one that no constraint refuses.

A claim may be refused; what a node or the operator says afterwards may not: the money has moved, whatever the books
think of it. So all that comes from outside into an outcome, a resolution or a credit passes through here first. What
cannot be true is booked as what is surest, and an alarm says what was said.
"""

from __future__ import annotations

from typing import Final

from kitestring.base.events import EventKind
from kitestring.base.money import MAX_WHOLE, Msat, is_amount
from kitestring.base.payments import booked_fee
from kitestring.base.records import Payment
from kitestring.base.transactions.invoices import Credit
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.rows import FEES, WORLD

#: No sum in the ledger goes beyond what a column of SQLite holds.
MAX_SUM: Final = 2**63 - 1
#: Characters of evidence or of a note: a node's own words, and no log of it.
MAX_WORDS_CHARS: Final = 2_000
_NO_WORDS: Final = "no words were given"


def words(said: str) -> str:
    """Evidence or a note as it is stored: never empty, and nothing in it that a database cannot hold."""
    storable = said[:MAX_WORDS_CHARS].encode("utf-8", "replace").decode()
    return storable if storable.strip() else _NO_WORDS


def paid_fee(batch: Batch, p: Payment, fee_msat: Msat, now: int) -> int:
    """The fee in msat that is booked, with an alarm where it is not the one that was said."""
    said, cap = int(fee_msat), int(p.fee_cap_msat)
    if booked_fee(fee_msat, p.fee_cap_msat) == said and _fits(batch, p, int(p.amount_msat) + said):
        return said
    detail = f"payment {p.payment_hash}: a fee of {_shown(said)} msat cannot be; its cap of {cap} msat is booked"
    batch.tell(EventKind.ALARM, p.payment_id, now, grant_id=p.grant_id, account_id=p.account_id, detail=detail)
    return cap


def is_bookable(batch: Batch, account_id: str, received: int) -> bool:
    """Whether so many msat can have come in."""
    sums = (batch.of(account_id).credits, batch.of(WORLD).posted, abs(batch.sums.node_balance or 0))
    return is_amount(received) and max(sums) + received <= MAX_SUM


def settled_at(said: int) -> int:
    """A time by the node's clock that a column holds."""
    return min(max(said, 0), MAX_WHOLE)


def refuse_amount(batch: Batch, tx: Credit, at: int) -> None:
    """Raise the alarm about a settlement of which nothing can be booked."""
    said = _shown(int(tx.received_msat))
    detail = f"the node says that {tx.payment_hash} was paid with {said} msat, which cannot be: nothing is booked"
    batch.tell(EventKind.ALARM, tx.payment_hash, at, detail=detail)


def _fits(batch: Batch, p: Payment, cost: int) -> bool:
    sums = (batch.of(p.account_id).posted, batch.sums.spent, batch.of(FEES).credits, batch.of(WORLD).credits)
    return max(sums) + cost + int(p.service_fee_msat) <= MAX_SUM


def _shown(number: int) -> str:
    """A number in few digits; Python refuses to write very long ones."""
    return str(number) if abs(number) <= MAX_SUM else f"{'-' if number < 0 else ''}more than {MAX_SUM}"
