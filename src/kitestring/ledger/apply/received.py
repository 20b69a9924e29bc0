"""The words about an invoice that is settled, in one order whichever way the money came."""

from __future__ import annotations

from kitestring.base.events import EventKind
from kitestring.base.records import OwnInvoice
from kitestring.ledger.apply import webhooks
from kitestring.ledger.apply.accounts import tell_late
from kitestring.ledger.apply.batch import Batch


def tell_received(batch: Batch, invoice: OwnInvoice, at: int) -> None:
    """Tell that an invoice is settled, to everybody who is owed that. A delivery names the event just before it."""
    tell_late(batch, invoice.account_id, at)
    whose = {"grant_id": invoice.grant_id, "account_id": invoice.account_id}
    batch.tell(EventKind.RECEIVED, invoice.invoice_id, at, **whose)
    webhooks.owe(batch, invoice.invoice_id, invoice.offer_id, at)
    if invoice.zap:
        batch.tell(EventKind.ZAPPED, invoice.invoice_id, at, **whose)
