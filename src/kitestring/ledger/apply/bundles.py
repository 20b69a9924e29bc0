"""Claim a request for several payments: a row that lasts until each of them has one of its own."""

from __future__ import annotations

from typing import Final

from kitestring.base.errors import Reason
from kitestring.base.records import BUNDLE, REPLY, Message
from kitestring.base.transactions.answers import Claimed, Denied, Done, Finished, Running
from kitestring.base.transactions.payments import ClaimBundle, EndBundle
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.apply.refusals import make_room

_OPEN: Final = (
    "SELECT request, grant_id, reply_to FROM requests"
    " WHERE service = ? AND request_id = ? AND payment_id = ? AND finished_at IS NULL"
)
_LASTS: Final = "SELECT 1 FROM requests WHERE service = ? AND request_id = ? AND until IS NULL"
_FORGET_WORDS: Final = "UPDATE requests SET command = x'', reply_to = x'' WHERE request = ?"
_REFUSED: Final = "UPDATE requests SET finished_at = ?, until = ? WHERE request = ?"


def claim_bundle(batch: Batch, tx: ClaimBundle) -> Claimed | Finished | Running | Denied:
    """Nothing of money is in it: that is claimed part by part."""
    known = batch.known(tx.request.request_id)
    if known is not None:
        return known
    if batch.is_too_old(tx.request):
        return Denied(Reason.STALE_REQUEST)
    batch.insert_request(tx.request, tx.request.payment_id)
    return Claimed()


def end_bundle(batch: Batch, tx: EndBundle) -> Done:
    """Finish it. Its row lasts as long as the longest row of its parts may."""
    row = batch.execute(_OPEN, (batch.service, tx.request_id, BUNDLE)).fetchone()
    if row is None:
        return Done()
    number, grant_id, reply_to = row
    batch.execute(_FORGET_WORDS, (number,))
    if tx.until is None or any(batch.execute(_LASTS, (batch.service, part)).fetchone() for part in tx.parts):
        batch.store((Message(tx.request_id, REPLY, b"", b"", tx.now, reply_to),), tx.now, number)
    else:
        batch.execute(_REFUSED, (tx.now, tx.until, number))
        batch.counts.count_refused(grant_id, 1, 0)
        make_room(batch, grant_id, tx.max_number)
    return Done()
