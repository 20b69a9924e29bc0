"""Transactions as wallets tell them: one that is asked for by its hash, or a list."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from kitestring.base import commands as c
from kitestring.base import outcomes as o
from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.base.payments import preimage_fits
from kitestring.codec import bolt11
from kitestring.codec.bolt11 import MAX_DESCRIPTION_BYTES
from kitestring.wire.ask.members import MAX_TEXT_CHARS, Members, hex_in, number_in, text_in
from kitestring.wire.ask.nwc.codes import MAX_CODE_CHARS
from kitestring.wire.text import metadata_text

#: No wallet sends more transactions in one reply; the size of the reply bounds it as well.
MAX_TRANSACTIONS: Final = 1000
STATES: Final = {state.value: state for state in o.TransactionState}


def hash_params(command: c.CancelHold | c.LookupInvoice) -> dict[str, object]:
    return {"payment_hash": command.payment_hash}


def list_params(command: c.ListTransactions) -> dict[str, object]:
    both = command.unpaid_incoming and command.unpaid_outgoing
    return {
        "from": command.from_ or None,
        "until": command.until or None,
        "limit": command.limit or None,
        "offset": command.offset or None,
        "unpaid": both or None,
        "unpaid_incoming": (command.unpaid_incoming and not both) or None,
        "unpaid_outgoing": (command.unpaid_outgoing and not both) or None,
        "type": command.direction,
    }


def read_found(result: Members, command: c.LookupInvoice) -> o.Found:
    check_hash(result, command.payment_hash)
    return o.Found(read_entry(result))


def read_listed(result: Members, _: c.ListTransactions) -> o.Listed:
    entries = result.get("transactions")
    if not isinstance(entries, list):
        raise CodecError("the wallet's response has no list of transactions")
    rows: list[o.Transaction] = []
    faults: list[str] = []
    for entry in entries[:MAX_TRANSACTIONS]:
        try:
            rows.append(read_entry(entry))
        except CodecError as error:
            faults.append(str(error))
    if faults and not rows:
        raise CodecError(f"none of {len(faults)} entries can be read: {faults[0]}")
    return o.Listed(tuple(rows), len(faults), number_in(result, "total_count"))


def check_hash(result: Members, payment_hash: str) -> None:
    if hex_in(result, "payment_hash") not in {"", payment_hash}:
        raise CodecError("the wallet's record is of another payment than the one asked for")


def read_entry(entry: object, asked_msat: Msat | None = None) -> o.Transaction:
    """``asked_msat`` is the amount where the wallet leaves it out."""
    if not isinstance(entry, dict):
        raise CodecError("the wallet's transaction is not an object")
    amount = number_in(entry, "amount")
    if amount is None:
        amount = asked_msat if asked_msat is not None else _amount_of(text_in(entry, "invoice", MAX_TEXT_CHARS))
    settled_at = number_in(entry, "settled_at") or None
    payment_hash, preimage = hex_in(entry, "payment_hash"), hex_in(entry, "preimage")
    direction = o.Direction.OUTGOING if entry.get("type") == "outgoing" else o.Direction.INCOMING
    state = STATES.get(text_in(entry, "state", MAX_CODE_CHARS).lower())
    if direction is o.Direction.OUTGOING and preimage_fits(preimage, payment_hash):
        # Whoever pays a key has drawn the preimage, and a wallet may show it before it is paid. Of an entry without an
        # invoice nobody knows whether it is such a payment: what its state denies is not known, and no failure.
        is_denied = state not in {None, o.TransactionState.SETTLED} and not settled_at
        is_proof = text_in(entry, "invoice", MAX_TEXT_CHARS) or not is_denied
        state = o.TransactionState.SETTLED if is_proof else o.TransactionState.PENDING
    elif state is None:  # older wallets have none
        state = o.TransactionState.SETTLED if settled_at else o.TransactionState.PENDING
    return o.Transaction(
        type=direction,
        state=state,
        payment_hash=payment_hash,
        amount_msat=Msat(amount),
        fee_msat=Msat(number_in(entry, "fees_paid") or 0),
        created_at=number_in(entry, "created_at") or 0,
        settled_at=settled_at,
        expires_at=number_in(entry, "expires_at") or None,
        bolt11=text_in(entry, "invoice", MAX_TEXT_CHARS),
        description=text_in(entry, "description", MAX_DESCRIPTION_BYTES),
        description_hash=hex_in(entry, "description_hash"),
        preimage=preimage if state is o.TransactionState.SETTLED else "",
        metadata=metadata_text(entry.get("metadata"), MAX_TEXT_CHARS),
        settle_deadline=number_in(entry, "settle_deadline") if state is o.TransactionState.ACCEPTED else None,
    )


def read_transaction(entry: object) -> o.Transaction:
    """One transaction that a wallet tells, with its payment hash. Raises CodecError."""
    found = read_entry(entry)
    if not found.payment_hash:
        return replace(found, payment_hash=bolt11.decode(found.bolt11, recover=False).payment_hash)
    return found


def _amount_of(invoice: str) -> Msat:
    """The amount of a transaction that does not tell it."""
    try:
        amount_msat = bolt11.decode(invoice, recover=False).amount_msat
    except CodecError:
        amount_msat = None
    if amount_msat is None:
        raise CodecError("the wallet's transaction has no amount")
    return amount_msat
