"""The function that applies each value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kitestring.base import transactions as t
from kitestring.ledger.apply import (
    approvals,
    bundles,
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
APPLY: Final[dict[type[t.Tx[Any]], Callable[[Batch, Any], Any]]] = {
    t.ClaimPayment: payments.claim_payment,
    t.RecordPayment: payments.record_payment,
    t.ResolvePayment: payments.resolve_payment,
    t.ClaimBundle: bundles.claim_bundle,
    t.EndBundle: bundles.end_bundle,
    t.AskOwner: approvals.ask_owner,
    t.AwaitApproval: approvals.await_approval,
    t.Decide: approvals.decide,
    t.RecordInvoice: invoices.record_invoice,
    t.HoldPayment: holds.hold_payment,
    t.DecideHold: holds.decide_hold,
    t.WarnHold: holds.warn_hold,
    t.AlarmHold: holds.alarm_hold,
    t.EndHold: holds.end_hold,
    t.Credit: invoices.credit,
    t.ParkSettlement: invoices.park_settlement,
    t.ExpireInvoices: invoices.expire_invoices,
    t.LeaveInvoices: invoices.leave_invoices,
    t.Answer: requests.answer,
    t.Refuse: refusals.refuse,
    t.ForgetRefusals: refusals.forget_refusals,
    t.Prune: requests.prune,
    t.ForgetNews: feed.forget_news,
    t.EnrollKey: enrolments.enroll_key,
    t.ManageOffers: managing.manage_offers,
    t.Execute: owner.execute,
    t.MarkSent: feed.mark_sent,
    t.Tell: feed.tell,
    t.NoteAttempt: webhooks.note_attempt,
    t.NoteUses: owner.note_uses,
    t.SaveNode: owner.save_node,
    t.SetSpending: owner.set_spending,
}
