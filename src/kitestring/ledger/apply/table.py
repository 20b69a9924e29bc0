"""The function that applies each value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kitestring.base.transactions.answers import Tx
from kitestring.base.transactions.approvals import AskOwner, AwaitApproval, Decide
from kitestring.base.transactions.feed import ForgetNews, MarkSent, NoteAttempt, Tell
from kitestring.base.transactions.invoices import (
    AlarmHold,
    Credit,
    DecideHold,
    EndHold,
    ExpireInvoices,
    HoldPayment,
    LeaveInvoices,
    ParkSettlement,
    RecordInvoice,
    WarnHold,
)
from kitestring.base.transactions.owner import EnrollKey, Execute, ManageOffers
from kitestring.base.transactions.payments import ClaimBundle, ClaimPayment, EndBundle, RecordPayment, ResolvePayment
from kitestring.base.transactions.requests import Answer, ForgetRefusals, Prune, Refuse
from kitestring.base.transactions.service import NoteUses, SaveNode, SetSpending
from kitestring.ledger.apply import (
    approvals,
    bundles,
    claims,
    enrolments,
    feed,
    holds,
    invoices,
    managing,
    owner,
    payments,
    refusals,
    requests,
    webhooks,
)
from kitestring.ledger.apply.batch import Batch

#: The type of a value says what its function answers; mypy checks each function against it, this table only pairs them.
APPLY: Final[dict[type[Tx[Any]], Callable[[Batch, Any], Any]]] = {
    ClaimPayment: claims.claim_payment,
    RecordPayment: payments.record_payment,
    ResolvePayment: payments.resolve_payment,
    ClaimBundle: bundles.claim_bundle,
    EndBundle: bundles.end_bundle,
    AskOwner: approvals.ask_owner,
    AwaitApproval: approvals.await_approval,
    Decide: approvals.decide,
    RecordInvoice: invoices.record_invoice,
    HoldPayment: holds.hold_payment,
    DecideHold: holds.decide_hold,
    WarnHold: holds.warn_hold,
    AlarmHold: holds.alarm_hold,
    EndHold: holds.end_hold,
    Credit: invoices.credit,
    ParkSettlement: invoices.park_settlement,
    ExpireInvoices: invoices.expire_invoices,
    LeaveInvoices: invoices.leave_invoices,
    Answer: requests.answer,
    Refuse: refusals.refuse,
    ForgetRefusals: refusals.forget_refusals,
    Prune: requests.prune,
    ForgetNews: feed.forget_news,
    EnrollKey: enrolments.enroll_key,
    ManageOffers: managing.manage_offers,
    Execute: owner.execute,
    MarkSent: feed.mark_sent,
    Tell: feed.tell,
    NoteAttempt: webhooks.note_attempt,
    NoteUses: owner.note_uses,
    SaveNode: owner.save_node,
    SetSpending: owner.set_spending,
}
