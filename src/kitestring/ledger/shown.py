"""Payments and invoices as their owner may see them."""

from __future__ import annotations

from typing import Final, assert_never

from kitestring.base.books import BookEntry, BookState
from kitestring.base.destinations import invoice_text
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import Msat
from kitestring.base.outcomes import Direction, Transaction, TransactionState
from kitestring.base.payments import State
from kitestring.base.records import OwnInvoice, Payment


def _payment_state(state: State) -> TransactionState:
    match state:
        case State.SETTLED:
            return TransactionState.SETTLED
        case State.FAILED | State.REFUSED:
            return TransactionState.FAILED
        case State.RECEIVED | State.ASKED | State.RESERVED | State.DISPATCHED | State.UNKNOWN:
            return TransactionState.PENDING
        case State.RESOLVED:  # closed by the operator's word, which proves nothing: it may still settle
            return TransactionState.PENDING
        case _:
            assert_never(state)


def _invoice_state(state: InvoiceState) -> TransactionState:
    match state:
        case InvoiceState.OPEN | InvoiceState.LEFT:  # nobody can be asked about what is left: it may have been paid
            return TransactionState.PENDING
        case InvoiceState.ACCEPTED:
            return TransactionState.ACCEPTED
        case InvoiceState.SETTLED:
            return TransactionState.SETTLED
        case InvoiceState.EXPIRED | InvoiceState.CANCELED:
            return TransactionState.EXPIRED
        case _:
            assert_never(state)


#: The words for what an app is told is only pending.
_PAYMENT_STATES: Final = {State.UNKNOWN: BookState.UNKNOWN, State.RESOLVED: BookState.RESOLVED}
#: The words of invoices that differ from those for apps.
_INVOICE_STATES: Final = {InvoiceState.CANCELED: BookState.CANCELED, InvoiceState.LEFT: BookState.EXPIRED}


def book_state(entry: BookEntry) -> BookState:
    """The state of an entry as the owner is told it."""
    if isinstance(entry, Payment):
        return _PAYMENT_STATES.get(entry.state) or BookState(_payment_state(entry.state))
    return _INVOICE_STATES.get(entry.state) or BookState(_invoice_state(entry.state))


def transaction_of(entry: BookEntry) -> Transaction:
    """The entry as an app is told it."""
    return outgoing(entry) if isinstance(entry, Payment) else incoming(entry)


def outgoing(p: Payment) -> Transaction:
    return Transaction(
        type=Direction.OUTGOING,
        state=_payment_state(p.state),
        payment_hash=p.payment_hash,
        amount_msat=p.amount_msat,
        fee_msat=p.fee_msat,
        service_fee_msat=p.service_fee_msat if p.state is State.SETTLED else Msat(0),
        created_at=p.created_at,
        settled_at=p.settled_at,
        expires_at=p.expires_at or None,
        bolt11=invoice_text(p.destination),
        description=p.description,
        description_hash=p.description_hash,
        preimage=p.preimage if p.state is State.SETTLED else "",
        metadata=p.metadata,
        account=p.account_id,
        connection_id=p.grant_id,
        internal=p.internal,
        requestor=p.requestor,
    )


def incoming(i: OwnInvoice) -> Transaction:
    """An invoice as its owner sees it. The amount is the received one, before that the one asked for, or 0."""
    return Transaction(
        type=Direction.INCOMING,
        state=_invoice_state(i.state),
        payment_hash=i.payment_hash,
        amount_msat=i.received_msat or i.amount_msat or Msat(0),
        fee_msat=Msat(0),
        created_at=i.created_at,
        settled_at=i.settled_at,
        expires_at=i.expires_at or None,
        bolt11=i.bolt11,
        description=i.description,
        description_hash=i.description_hash,
        preimage=i.preimage if i.state is InvoiceState.SETTLED else "",
        metadata=i.metadata,
        offer_id=i.offer_id,
        payer_data=i.payer_data,
        rate=i.rate,
        account=i.account_id,
        connection_id=i.grant_id,
        internal=i.internal,
        settle_deadline=i.settle_deadline if i.state is InvoiceState.ACCEPTED else None,
    )
