"""Enroll a key: account, offer, pointer and grant in one commit, or none of them."""

from __future__ import annotations

from typing import Final

from kitestring.base.enrolments import PREFIX, PREFIX_END
from kitestring.base.errors import Reason
from kitestring.base.transactions.answers import Claimed, Denied, Finished, Running, Stale
from kitestring.base.transactions.owner import EnrollKey, SaveAccount, SaveGrant, SaveOffer, Write
from kitestring.ledger.apply import claims, owner
from kitestring.ledger.apply.batch import Batch
from kitestring.ledger.apply.together import together

#: A walk over the enrolled accounts alone, by the primary key.
_NUMBER: Final = "SELECT count(*) FROM accounts WHERE service = ? AND account_id >= ? AND account_id < ?"


def enroll_key(batch: Batch, tx: EnrollKey) -> Claimed | Finished | Running | Stale | Denied:
    """Claim the request with its answer and all rows; whatever is in the way leaves nothing."""
    known = batch.known(tx.request.request_id)
    if known is not None:
        return known
    made = tx.enrolment
    if batch.is_too_old(tx.request):
        return Denied(Reason.STALE_REQUEST)
    if claims.is_blocked(batch, made.grant.caller):
        return Denied(Reason.NOT_PERMITTED)
    if batch.balance(made.account.account_id) is not None:
        return Stale()
    if batch.execute(_NUMBER, (batch.service, PREFIX, PREFIX_END)).fetchone()[0] >= tx.max_accounts:
        return Denied(Reason.OVER_BUDGET)
    writes: tuple[Write, ...] = (
        SaveAccount(made.account), SaveOffer(made.offer), SaveGrant(made.pointer), SaveGrant(made.grant)
    )  # fmt: skip
    refusal = together(batch, owner.steps(batch, writes, tx.request.received_at))
    if refusal is not None:
        return refusal
    batch.insert_answered(tx.request, (tx.message,), tx.request.received_at)
    return Claimed()
