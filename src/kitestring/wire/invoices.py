"""Invoices that a peer asks us to pay, read for every wire in the same way."""

from __future__ import annotations

from kitestring.base.commands import PayInvoice
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.codec import bolt11
from kitestring.wire.text import clean_description


def read_invoice(text: str, network: str) -> bolt11.DecodedInvoice:
    """The invoice in ``text``. Raises CodecError, and KitestringError(WRONG_NETWORK).

    Whether it has expired is not asked here: one that is already paid still gets its answer.
    """
    # Nobody asks who the payee is, and every node refuses for good what nobody can have signed (tests/contract).
    invoice = bolt11.decode(text, recover=False)
    if invoice.network != network:
        raise KitestringError(
            Reason.WRONG_NETWORK, f"this invoice is for {invoice.network}, and this wallet is on {network}"
        )
    return invoice


def payment_of(
    invoice: bolt11.DecodedInvoice, amount_msat: Msat, *, max_fee_msat: Msat | None = None, metadata: str = ""
) -> PayInvoice:
    """The command to pay ``invoice``; ``amount_msat`` is its own amount, or that of the caller where it has none."""
    return PayInvoice(
        destination=Bolt11(invoice.text, invoice.amount_msat is None),
        payment_hash=invoice.payment_hash,
        amount_msat=amount_msat,
        max_fee_msat=max_fee_msat,
        network=invoice.network,
        expires_at=invoice.expires_at,
        description=clean_description(invoice.description or ""),
        description_hash=invoice.description_hash or "",
        metadata=metadata,
    )
