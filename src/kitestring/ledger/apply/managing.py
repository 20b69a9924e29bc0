"""The request of an app that changes its offers: claimed and answered with the change, or not at all."""

from __future__ import annotations

from typing import Final

from kitestring.base.errors import Reason
from kitestring.base.transactions.answers import Claimed, Denied, Finished, Running, Stale
from kitestring.base.transactions.owner import ManageOffers
from kitestring.ledger.apply import claims, owner
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.apply.together import together

_GRANT: Final = "SELECT version FROM grants WHERE service = ? AND grant_id = ? AND revoked_at IS NULL"


def manage_offers(batch: Batch, tx: ManageOffers) -> Claimed | Finished | Running | Stale | Denied:
    """All writes or none, with the claim and the reply."""
    known = batch.known(tx.request.request_id)
    if known is not None:
        return known
    if batch.is_too_old(tx.request, caller=tx.caller):
        return Denied(Reason.STALE_REQUEST)
    if claims.is_blocked(batch, tx.caller):
        return Denied(Reason.NOT_PERMITTED)
    if tx.grant_id and batch.execute(_GRANT, (batch.service, tx.grant_id)).fetchone() != (tx.grant_version,):
        return Stale()
    at = tx.request.received_at
    refusal = together(batch, owner.steps(batch, tx.writes, at))
    if refusal is not None:
        return refusal
    batch.insert_answered(tx.request, (tx.message,), at)
    return Claimed()
