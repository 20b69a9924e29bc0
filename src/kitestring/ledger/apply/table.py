"""Which function applies which value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kitestring.base.transactions import (
    Answer,
    ClaimInvoice,
    ClaimPayment,
    Credit,
    DropInvoice,
    Execute,
    ExpireInvoices,
    MarkPublished,
    MoveCursor,
    Prune,
    RecordInvoice,
    RecordPayment,
    ResolvePayment,
    SaveNode,
    SetSpending,
    Tx,
    TxAnswer,
)
from kitestring.ledger.apply import invoices as apply_invoices
from kitestring.ledger.apply import owner as apply_owner
from kitestring.ledger.apply import payments as apply_payments
from kitestring.ledger.apply import requests as apply_requests
from kitestring.ledger.apply.batch import Batch

APPLY: Final[dict[type[Tx], Callable[[Batch, Any], TxAnswer]]] = {
    ClaimPayment: apply_payments.claim_payment,
    RecordPayment: apply_payments.record_payment,
    ResolvePayment: apply_payments.resolve_payment,
    ClaimInvoice: apply_invoices.claim_invoice,
    RecordInvoice: apply_invoices.record_invoice,
    DropInvoice: apply_invoices.drop_invoice,
    Credit: apply_invoices.credit,
    ExpireInvoices: apply_invoices.expire_invoices,
    Execute: apply_owner.execute,
    SaveNode: apply_owner.save_node,
    MoveCursor: apply_owner.move_cursor,
    SetSpending: apply_owner.set_spending,
    Answer: apply_requests.answer,
    MarkPublished: apply_requests.mark_published,
    Prune: apply_requests.prune,
}
