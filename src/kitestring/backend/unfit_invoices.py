"""Invoices that no wallet is given to pay: not every wallet looks at all of this itself."""

from __future__ import annotations

from kitestring.base.errors import CodecError
from kitestring.base.payments import Failed, FailureReason
from kitestring.codec import bolt11


def unfit_invoice(text: str, network: str, now: int) -> Failed | None:
    """The refusal of an invoice that no key can have signed, that is of another network than ``network`` ("" = any), or
    that has expired by ``now`` (Unix seconds); None where it may be sent."""
    try:
        invoice = bolt11.decode(text)
    except CodecError as error:
        return Failed(f"the wallet was not asked: {error}", FailureReason.REFUSED)
    if network and invoice.network != network:
        why = f"the wallet was not asked: the invoice is of {invoice.network}, the wallet of {network}"
        return Failed(why, FailureReason.REFUSED)
    if invoice.expires_at <= now:
        return Failed("the wallet was not asked: the invoice has expired", FailureReason.EXPIRED)
    return None
