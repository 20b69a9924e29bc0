"""A payment of this service for a hold invoice of this service: nothing is held at the node, the reserve stays.

The node's invoice is cancelled first, so that nobody outside can pay it as well. Whom it serves first, wins: what it
holds already is not taken from its payer. Only its word about this very invoice counts: of a hash that it does not know
any more it says nothing about who has paid.

Until something is held the claim has its deadline, as an order to the node has; afterwards the invoice has its own.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.invoices import WAITING, Decision, InvoiceState
from kitestring.base.money import ZERO
from kitestring.base.node import NodeInvoiceState
from kitestring.base.payments import Failed, FailureReason, Settled
from kitestring.base.records import OwnInvoice, Payment
from kitestring.base.transactions.invoices import HoldPayment
from kitestring.engine.context import Context, pauses
from kitestring.engine.node import reachable

log = logging.getLogger("kitestring.engine")

#: Seconds after which the ledger is looked at without news: another process may have written the decision.
LOOK_S: Final = 45.0
_TAKEN: Final = Failed("the invoice was paid from outside meanwhile", FailureReason.TAKEN)
CANCELED: Final = Failed("the payee has cancelled the invoice", FailureReason.REFUSED)
_UNKNOWN: Final = Failed("the node does not know this hold invoice any more: nothing is held for it")
#: The end of a payment that is not held for an invoice in this state.
_MISSED: Final = {
    InvoiceState.ACCEPTED: _TAKEN,
    InvoiceState.SETTLED: _TAKEN,
    InvoiceState.CANCELED: CANCELED,
    InvoiceState.EXPIRED: Failed("the hold invoice has expired", FailureReason.EXPIRED),
    InvoiceState.LEFT: Failed("the hold invoice is of another node"),
}


async def held_inside(
    context: Context, payment: Payment, why_not: Callable[[], Awaitable[Failed | None]]
) -> Settled | Failed:
    """Hold this payment until the payee has decided. Nothing is recorded yet of the end that is returned.

    ``why_not`` gives the end of a payment that nobody wants to begin any more, and raises KitestringError while that
    cannot be said.
    """
    breaks = pauses()
    while True:
        invoice = await context.store.invoice_by_hash(payment.node_id, payment.payment_hash)
        if invoice is None:
            return _TAKEN
        end = decided(invoice, payment)
        if end is not None:
            return end
        if invoice.state is InvoiceState.ACCEPTED:
            await context.holds.wait(invoice.invoice_id, LOOK_S)
            continue
        try:
            end = await why_not() or await _hold(context, invoice, payment)
        except KitestringError as unclear:  # the node may hold a payment of it: nothing is held twice
            log.warning("internal payment %s is not held yet: %s", payment.payment_hash[:16], unclear.message)
            await context.holds.wait(invoice.invoice_id, next(breaks))
        if end is not None:
            return end


def is_canceled(invoice: OwnInvoice) -> bool:
    """Whether nobody is paid by it any more, whatever the node still has to say."""
    is_to_be = invoice.state in WAITING and invoice.decision is Decision.CANCEL
    return is_to_be or invoice.state is InvoiceState.CANCELED


def is_held_for(payment: Payment, invoice: OwnInvoice) -> bool:
    """Whether this payment is what is held for this invoice."""
    return invoice.state is InvoiceState.ACCEPTED and invoice.held_by == payment.payment_id


def decided(invoice: OwnInvoice, payment: Payment) -> Settled | Failed | None:
    """The end of this payment as the ledger has it, None while it is open."""
    if invoice.state in WAITING and invoice.decision is Decision.CANCEL:
        return CANCELED
    if invoice.state is InvoiceState.OPEN:
        return None
    if not is_held_for(payment, invoice):
        return _MISSED[invoice.state]
    return Settled(invoice.preimage, ZERO) if invoice.decision is Decision.SETTLE else None


async def _hold(context: Context, invoice: OwnInvoice, payment: Payment) -> Failed | None:
    """Raises KitestringError(UNAVAILABLE) while the node does not say that nobody outside can pay it."""
    payment_hash = payment.payment_hash
    status = await reachable(context.backend.lookup_invoice(payment_hash))
    if status.bolt11 != invoice.bolt11:
        return _UNKNOWN
    if status.state is NodeInvoiceState.OPEN:
        status = await reachable(context.backend.cancel_invoice(payment_hash))
    # Some nodes delete what is cancelled: this one has shown it open, and then it is gone.
    if status.state not in {NodeInvoiceState.CANCELED, NodeInvoiceState.UNKNOWN}:
        return _TAKEN
    height = (await reachable(context.backend.info())).block_height
    if why := context.same_node.other():
        raise KitestringError(Reason.UNAVAILABLE, private=why)
    deadline, now = height + invoice.hold_blocks, context.clock.now()
    await context.record(
        HoldPayment(payment.node_id, payment_hash, payment.amount_msat, deadline, now, payment.payment_id)
    )
    return None
