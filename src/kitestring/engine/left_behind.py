"""Hold invoices of a node on which the service does not stand any more: what is to be done there by hand."""

from __future__ import annotations

from kitestring.base.invoices import WAITING, Decision, InvoiceState
from kitestring.base.records import OwnInvoice


def left_behind(invoice: OwnInvoice, here: str) -> str:
    """The sentence for the owner, "" where nothing is to be done: the service stands on the node ``here``.

    What is held inside the service is in our books alone, and one that nobody has paid and nobody has decided about
    waits for its node like any other invoice.
    """
    is_waiting = invoice.is_hold and invoice.state in WAITING and not invoice.held_by
    if not is_waiting or invoice.node_id == here:
        return ""
    payment_hash, deadline = invoice.payment_hash, invoice.settle_deadline
    node = f"node {invoice.node_id[:16]}…, and the service stands on another one now"
    if invoice.decision is Decision.SETTLE:
        return (
            f"the payment held for {payment_hash} was to be settled, but it is held by {node}: put that node back"
            f" before block {deadline}, or the payment goes back to its payer"
        )
    if invoice.state is InvoiceState.OPEN:
        if invoice.decision is Decision.NONE:
            return ""
        return (
            f"the hold invoice of {payment_hash} was to be cancelled, but it is of {node}: put that node back, or"
            " cancel it there; until it has expired somebody may pay it"
        )
    was = "was to go back" if invoice.decision is Decision.CANCEL else "cannot be settled or cancelled from here"
    return (
        f"the payment held for {payment_hash} {was}, but it is held by {node}: put that node back, or cancel it there,"
        f" before block {deadline}; a node that comes too close to it closes a channel"
    )
