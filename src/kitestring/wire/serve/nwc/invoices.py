"""``make_invoice`` and ``lookup_invoice`` of Nostr Wallet Connect."""

from __future__ import annotations

from kitestring.base.commands import DEFAULT_EXPIRY_S, MAX_EXPIRY_S, MIN_EXPIRY_S, LookupInvoice, MakeInvoice
from kitestring.codec.members import count_member, hash_member, words_member
from kitestring.wire.serve.nwc.members import Params, amount_member, asked_hash, metadata_member
from kitestring.wire.text import clean_description


def read_invoice_request(params: Params, _: str) -> MakeInvoice:
    """Without an ``amount`` the payer names it. Raises CodecError."""
    described_by_hash = hash_member(params, "description_hash")
    expiry = count_member(params, "expiry")
    return MakeInvoice(
        amount_msat=amount_member(params) or None,
        # An invoice carries one of the two; the hash wins.
        description="" if described_by_hash else clean_description(words_member(params, "description")),
        description_hash=described_by_hash,
        expiry_s=min(max(expiry, MIN_EXPIRY_S), MAX_EXPIRY_S) if expiry else DEFAULT_EXPIRY_S,
        metadata=metadata_member(params),
    )


def read_lookup(params: Params, _: str) -> LookupInvoice:
    """Raises CodecError."""
    return LookupInvoice(payment_hash=asked_hash(params))
