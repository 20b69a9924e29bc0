"""``pay_keysend`` of Nostr Wallet Connect (extension 04): a payment to a key, without an invoice."""

from __future__ import annotations

from kitestring.base.commands import PayInvoice
from kitestring.base.errors import CodecError
from kitestring.codec.keysend import Records, keysend, read_node_key, read_records, write_records
from kitestring.codec.members import hash_member
from kitestring.wire.serve.nwc.members import (
    MAX_METADATA_CHARS,
    Params,
    amount_member,
    metadata_member,
    required_text,
)
from kitestring.wire.text import metadata_text


def read_keysend(params: Params, _: str) -> PayInvoice:
    """Raises CodecError."""
    amount, max_fee = amount_member(params, low=1), amount_member(params, "max_fee")
    if amount is None:
        raise CodecError("amount is missing")
    records = read_records(params.get("tlv_records"))
    return keysend(
        read_node_key(required_text(params, "pubkey")),
        amount,
        preimage=hash_member(params, "preimage"),
        records=records,
        max_fee_msat=max_fee,
        metadata=_with_records(params, records),
    )


def _with_records(params: Params, records: Records) -> str:
    """The metadata with the records, as extension 06 names them; without them where it would be too long."""
    given = params.get("metadata")
    both = {**(given if isinstance(given, dict) else {}), "tlv_records": write_records(records)}
    return (metadata_text(both, MAX_METADATA_CHARS) if records else "") or metadata_member(params)
