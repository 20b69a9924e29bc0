"""Offers that apps manage: written as they were seen, and never more than there is room for."""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

from typing import Final

from kitestring.base.errors import Reason
from kitestring.base.transactions.answers import Denied, Stale
from kitestring.base.transactions.owner import CheckOffer, EndOffers
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.rows import OFFER, read_offer

_LIVING_POINTER: Final = "SELECT 1 FROM grants WHERE service = ? AND grant_id = ? AND revoked_at IS NULL"
_OFFER: Final = f"SELECT {OFFER} FROM offers WHERE service = ? AND offer_id = ?"
_MADE: Final = (
    "SELECT count(*) FROM offers INDEXED BY offers_by_creator"
    " WHERE service = ? AND pointer_id = ? AND creator = ? AND creator <> '' AND state <> 'deleted'"
)
_DELETED: Final = (
    "SELECT count(*) FROM offers INDEXED BY offers_deleted"
    " WHERE service = ? AND pointer_id = ? AND creator = ? AND creator <> '' AND state = 'deleted'"
)
_END: Final = (
    "UPDATE offers INDEXED BY offers_by_creator SET state = 'deleted'"
    " WHERE service = ? AND pointer_id = ? AND creator <> '' AND state <> 'deleted' AND state <> 'moved'"
)


def check_offer(batch: Batch, write: CheckOffer, _now: int) -> Stale | Denied | None:
    """The refusal of what follows, None where everything is as it was seen."""
    pointer = (batch.service, write.pointer_id)
    if write.pointer_id and batch.execute(_LIVING_POINTER, pointer).fetchone() is None:
        return Stale()
    row = batch.execute(_OFFER, (batch.service, write.offer_id)).fetchone()
    if (None if row is None else read_offer(row)) != write.before:
        return Stale()
    if write.before is not None:
        return None
    maker = (*pointer, write.creator)
    is_full = batch.execute(_MADE, maker).fetchone()[0] >= write.most
    is_full = is_full or batch.execute(_DELETED, maker).fetchone()[0] >= write.most_deleted
    return Denied(Reason.OVER_BUDGET) if is_full else None


def end_offers(batch: Batch, write: EndOffers, _now: int) -> None:
    """Invoices that were given out can still be paid, and what the owner lets forward leads on."""
    values = (batch.service, write.pointer_id)
    if write.creator:
        batch.execute(f"{_END} AND creator = ?", (*values, write.creator))
    else:
        batch.execute(_END, values)
