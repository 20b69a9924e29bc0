"""``pay_invoice`` of Nostr Wallet Connect, and what every paying method answers."""

from __future__ import annotations

from kitestring.base.commands import PayInvoice
from kitestring.base.errors import CodecError, KitestringError
from kitestring.base.outcomes import Paid
from kitestring.codec import bolt11
from kitestring.wire.invoices import payment_of, read_invoice
from kitestring.wire.serve.nwc.members import Params, amount_member, metadata_member, required_text


def read_payment(params: Params, network: str) -> PayInvoice:
    """Raises CodecError, and KitestringError(WRONG_NETWORK)."""
    invoice = read_invoice(required_text(params, "invoice"), network)
    amount = amount_member(params, low=1)
    try:
        amount_msat = bolt11.amount_to_pay(invoice, amount)
    except KitestringError as error:
        raise CodecError(error.message) from None
    max_fee_msat = amount_member(params, "max_fee")
    return payment_of(invoice, amount_msat, max_fee_msat=max_fee_msat, metadata=metadata_member(params))


def write_paid(paid: Paid) -> object:
    """The result."""
    return {"preimage": paid.preimage, "fees_paid": int(paid.fees_msat)}
