"""Claim a request for several payments: a row that lasts until each of them has one of its own."""

from __future__ import annotations

from kitestring.base.errors import Reason
from kitestring.base.transactions import ClaimBundle, Claimed, Denied, Finished, Running
from kitestring.ledger.apply.batch import Batch


def claim_bundle(batch: Batch, tx: ClaimBundle) -> Claimed | Finished | Running | Denied:
    """Nothing of money is in it: that is claimed part by part."""
    known = batch.known(tx.request.request_id)
    if known is not None:
        return known
    if batch.is_too_old(tx.request):
        return Denied(Reason.STALE_REQUEST)
    batch.insert_request(tx.request, tx.request.payment_id)
    return Claimed()
