"""Hold invoices of Nostr Wallet Connect (extension 03): made, settled and cancelled."""

from __future__ import annotations

from hashlib import sha256

from kitestring.base.commands import CancelHold, MakeHoldInvoice, SettleHold
from kitestring.base.errors import CodecError
from kitestring.base.outcomes import HoldEnded
from kitestring.codec.members import count_member
from kitestring.wire.serve.nwc.invoices import read_invoice_request
from kitestring.wire.serve.nwc.members import Params, required_hash


def read_hold(params: Params, network: str) -> MakeHoldInvoice:
    """As an ordinary invoice, of the caller's payment hash and with an amount. Raises CodecError."""
    made = read_invoice_request(params, network)
    if made.amount_msat is None:
        raise CodecError("amount is missing")
    return MakeHoldInvoice(
        payment_hash=required_hash(params, "payment_hash"),
        min_cltv_delta=count_member(params, "min_cltv_expiry_delta") or 0,
        amount_msat=made.amount_msat,
        description=made.description,
        description_hash=made.description_hash,
        expiry_s=made.expiry_s,
        metadata=made.metadata,
    )


def read_settle(params: Params, _: str) -> SettleHold:
    """Raises CodecError."""
    preimage = required_hash(params, "preimage")
    return SettleHold(payment_hash=sha256(bytes.fromhex(preimage)).hexdigest(), preimage=preimage)


def read_cancel(params: Params, _: str) -> CancelHold:
    """Raises CodecError."""
    return CancelHold(payment_hash=required_hash(params, "payment_hash"))


def write_ended(_: HoldEnded) -> object:
    """The result of both: that there is one says it."""
    return {}
