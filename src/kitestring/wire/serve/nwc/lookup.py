"""``lookup_payment`` of NIP-47 (extension 09, a draft as of 2026-09): one record, found by any of its names.

A record is named by the way of its money and its payment hash, so that a payment to oneself has two names.
"""

from __future__ import annotations

from typing import Final

from kitestring.base.commands import LookupPayment
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.outcomes import Direction, Found, Transaction, TransactionState
from kitestring.codec.json import loads_object, text_member
from kitestring.codec.members import hash_member, object_member
from kitestring.wire.serve.nwc.members import Params, asked_hash

EXTENSION: Final = "09"
#: The name under which a refusal tells of a type of payment that is not known here.
PAYMENT_TYPE: Final = "payment_type"
BOLT11: Final = "bolt11"
KEYSEND: Final = "keysend"
#: The ways in which a payment may be named, of which a request has exactly one.
_FORMS: Final = ("transaction_id", "payment_hash or invoice", "payment_type with lookup")


def read_lookup(params: Params, _: str) -> LookupPayment:
    """Raises CodecError, and KitestringError(UNSUPPORTED) for another type of payment than an invoice's."""
    transaction_id, kind = text_member(params, "transaction_id"), text_member(params, PAYMENT_TYPE)
    by_hash = params.get("payment_hash") is not None or params.get("invoice") is not None
    if [transaction_id is not None, by_hash, kind is not None].count(True) != 1:
        raise CodecError(f"name a payment in one way: {', '.join(_FORMS)}")
    if transaction_id is not None:
        return _read_id(transaction_id)
    if kind is None:
        return LookupPayment(payment_hash=asked_hash(params))
    if kind != BOLT11:
        raise KitestringError(Reason.UNSUPPORTED, "payments of this type are not known here", payment_type=kind[:40])
    return LookupPayment(payment_hash=asked_hash(object_member(params, "lookup")))


def _read_id(text: str) -> LookupPayment:
    way, _, payment_hash = text.partition(":")
    if way not in {one.value for one in Direction}:
        raise KitestringError(Reason.UNKNOWN_TARGET, "there is no such invoice or payment on this connection")
    return LookupPayment(payment_hash=hash_member({"hash": payment_hash}, "hash"), direction=way)


def transaction_id(way: Direction, payment_hash: str) -> str:
    """The name of a record. A payment to oneself has one for each way."""
    return f"{way.value}:{payment_hash}"


def write_record(found: Found) -> object:
    """The result: what says nothing is left out."""
    record = found.transaction
    more = {
        "fees_paid": int(record.fees_msat),
        "expires_at": record.expires_at,
        "settled_at": record.settled_at,
        "metadata": loads_object(record.metadata) if record.metadata else None,
    }
    return {
        "transaction_id": transaction_id(record.type, record.payment_hash),
        "type": record.type.value,
        "state": record.state.value,
        "payment_type": BOLT11 if record.bolt11 else KEYSEND,
        "amount": int(record.amount_msat),
        "created_at": record.created_at,
        "details": _details(record),
    } | {name: value for name, value in more.items() if value is not None}


def _details(record: Transaction) -> dict[str, str]:
    told = {
        "payment_hash": record.payment_hash,
        "invoice": record.bolt11,
        "preimage": record.preimage if record.state is TransactionState.SETTLED else "",
        "description": record.description,
        "description_hash": record.description_hash,
    }
    return {name: value for name, value in told.items() if value}
