"""One of several invoices that are paid in one call: the order for it, or why it cannot be paid."""

from __future__ import annotations

from kitestring.base.commands import PayInvoice
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.client.payable import Payable
from kitestring.codec import bolt11
from kitestring.codec.pasted import tidy


def order_of(
    text: str, amount: Msat | None, max_fee: Msat | None, network: str, now: int
) -> PayInvoice | KitestringError:
    """The order to pay an invoice at ``now`` (Unix seconds), on ``network`` ("" = any), or its error as a value."""
    try:
        invoice = bolt11.decode(tidy(text))
        command = Payable(invoice, bolt11.amount_to_pay(invoice, amount)).order(max_fee)
    except CodecError as error:
        return KitestringError(Reason.MALFORMED, f"the invoice cannot be read: {error}")
    except KitestringError as error:
        return error
    if network and invoice.network != network:
        return KitestringError(Reason.WRONG_NETWORK, f"this invoice is for {invoice.network}")
    if command.expires_at <= now:
        return KitestringError(Reason.EXPIRED_INVOICE, "this invoice has expired: ask for a new one")
    return command
