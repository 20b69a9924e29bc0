"""The transaction object of Nostr Wallet Connect: what is told of one payment or invoice."""

from __future__ import annotations

import msgspec

from kitestring.base.outcomes import Found, Invoiced, Transaction, TransactionState


class TransactionEntry(msgspec.Struct, omit_defaults=True):
    """The transaction object. The first five members are always there, the others only when they say something."""

    type: str
    payment_hash: str
    amount: int
    fees_paid: int
    created_at: int
    state: str
    invoice: str = ""
    description: str = ""
    description_hash: str = ""
    preimage: str = ""
    expires_at: int | None = None
    settled_at: int | None = None
    settle_deadline: int | None = None
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def entry_of(record: Transaction) -> TransactionEntry:
    """The preimage is told of what has settled alone."""
    return TransactionEntry(
        record.type,
        record.payment_hash,
        int(record.amount_msat),
        int(record.fees_msat),
        record.created_at,
        record.state,
        record.bolt11,
        record.description,
        record.description_hash,
        record.preimage if record.state is TransactionState.SETTLED else "",
        record.expires_at,
        record.settled_at,
        record.settle_deadline,
        msgspec.Raw(record.metadata.encode()) if record.metadata else msgspec.UNSET,
    )


def write_transaction(outcome: Invoiced | Found) -> object:
    """The result of the methods that tell of one."""
    return entry_of(outcome.transaction)
