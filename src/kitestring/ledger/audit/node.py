"""``kitestring audit --node``: the ledger against the node's own lists, by hash and in both directions.

What the node says of a fee or of a settlement and what cannot be true was an alarm when it was booked, or not booked
(:mod:`kitestring.ledger.apply.truth`). It is compared by the same rule, and no difference forever.
"""

# ruff: noqa: S608 - what is pasted into statements are the column lists of rows.py, never a value

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kitestring.base.destinations import Keysend
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import Msat, is_amount
from kitestring.base.node import InvoiceStatus, NodeInvoiceState, NodePayment, NodePaymentState
from kitestring.base.payments import HOLDING, OPEN, State, booked_fee
from kitestring.base.records import OwnInvoice, Payment
from kitestring.ledger.audit.subject import Violation
from kitestring.ledger.rows import INVOICE, PAYMENT, read_invoice, read_payment
from kitestring.ledger.sqlite.store import connect_readonly, service_number

_INVARIANT: Final = "I2"
#: The node's state for each of ours, as long as nobody is wrong.
_AGREES: Final = {State.SETTLED: NodePaymentState.SETTLED, State.FAILED: NodePaymentState.FAILED}
#: States of an invoice after which the node keeps nothing for it.
_ENDED: Final = frozenset({InvoiceState.EXPIRED, InvoiceState.CANCELED})


@dataclass(frozen=True, slots=True)
class Books:
    """The ledger's records of one node. ``credits``: (hash, received) of every settlement it has booked; ``refused``:
    the hashes of those of which nothing could be booked."""

    payments: tuple[Payment, ...]
    invoices: tuple[OwnInvoice, ...]
    credits: tuple[tuple[str, Msat], ...]
    refused: frozenset[str]


def books(source: str | Path | sqlite3.Connection, service_id: str, node_id: str) -> Books:
    """Read the ledger's side, in one snapshot. Raises KitestringError when there is no such ledger."""
    connection = source if isinstance(source, sqlite3.Connection) else connect_readonly(Path(source))
    try:
        connection.execute("BEGIN")
        key = (service_number(connection, service_id), node_id)
        where = "WHERE service = ? AND node_id = ? ORDER BY rowid"
        payments = connection.execute(f"SELECT {PAYMENT} FROM payments {where}", key).fetchall()
        invoices = connection.execute(f"SELECT {INVOICE} FROM invoices {where}", key).fetchall()
        credited = connection.execute(
            "SELECT payment_hash, received_msat, kind = 'refused' FROM credits WHERE service = ? AND node_id = ?", key
        ).fetchall()
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if connection is not source:
            connection.close()
    return Books(
        tuple(read_payment(row) for row in payments),
        tuple(read_invoice(row) for row in invoices),
        tuple((payment_hash, Msat(received)) for payment_hash, received, is_refused in credited if not is_refused),
        frozenset(payment_hash for payment_hash, _, is_refused in credited if is_refused),
    )


def compare(
    ours: Books,
    node_payments: Iterable[NodePayment],
    node_invoices: Iterable[tuple[str, InvoiceStatus]],
    *,
    whole_node: bool = True,
) -> list[Violation]:
    """Every payment and invoice of this node in the ledger matches one at the node, and the reverse.

    What is open at either side is under way and no violation. With ``whole_node`` False the node serves others as
    well, and what only the node knows is not ours.
    """
    at_node, held = _paid_there(node_payments), _paid_here(ours.payments)
    found = [sentence for own in held.values() if not own.internal for sentence in _payment(own, at_node)]
    found += _only_there(at_node, held, whole_node)
    found += _invoices(ours, dict(node_invoices), whole_node)
    return [Violation(_INVARIANT, sentence) for sentence in sorted(found)]


def _paid_there(payments: Iterable[NodePayment]) -> dict[str, NodePayment]:
    """A node may list failed attempts of a hash beside the one that counts."""
    found: dict[str, NodePayment] = {}
    for payment in payments:
        if payment.payment_hash not in found or found[payment.payment_hash].state is NodePaymentState.FAILED:
            found[payment.payment_hash] = payment
    return found


def _paid_here(payments: Iterable[Payment]) -> dict[str, Payment]:
    found: dict[str, Payment] = {}
    for payment in payments:
        if payment.state in HOLDING or payment.payment_hash not in found:
            found[payment.payment_hash] = payment
    return found


def _only_there(at_node: dict[str, NodePayment], held: dict[str, Payment], whole_node: bool) -> Iterator[str]:
    for payment_hash, payment in at_node.items():
        mine = held.get(payment_hash)
        if payment.state is not NodePaymentState.SETTLED:
            continue
        if mine is not None and mine.internal and isinstance(mine.destination, Keysend):
            mine = None  # its preimage was the caller's to choose, and nothing was asked of the node
        if mine is not None and mine.internal:
            yield f"payment {payment_hash} was settled inside the service, but the node paid it too"
        elif mine is None and whole_node:
            yield f"the node paid {payment_hash} ({int(payment.amount_msat)} msat), which the ledger does not know"


def _payment(own: Payment, at_node: dict[str, NodePayment]) -> Iterator[str]:
    name, other = f"payment {own.payment_hash}", at_node.get(own.payment_hash)
    if own.state in OPEN or (other is not None and other.state is NodePaymentState.OPEN):
        if own.state is State.FAILED:
            yield f"{name} is failed in the ledger, but the node is still trying"
        return
    if other is None:
        if own.state is State.SETTLED:
            yield f"{name} is settled in the ledger, but the node does not know it"
        return
    if own.state is State.RESOLVED or _AGREES[own.state] is not other.state:
        if not (own.state is State.RESOLVED and other.state is NodePaymentState.FAILED):
            yield f"{name} is {own.state.value} in the ledger, but {other.state} at the node"
        return
    if own.state is State.SETTLED:
        yield from _differences(name, own, other)


def _differences(name: str, own: Payment, other: NodePayment) -> Iterator[str]:
    if own.amount_msat != other.amount_msat:
        yield f"{name} is of {int(own.amount_msat)} msat, at the node of {int(other.amount_msat)}"
    if own.fee_msat != booked_fee(other.fee_msat, own.fee_cap_msat):
        yield f"{name} cost a fee of {int(own.fee_msat)} msat, at the node {int(other.fee_msat)}"
    if own.preimage.lower() != other.preimage.lower():
        yield f"{name} has another preimage at the node"


def _invoices(ours: Books, at_node: dict[str, InvoiceStatus], whole_node: bool) -> Iterator[str]:
    held = {invoice.payment_hash: invoice for invoice in ours.invoices if invoice.payment_hash}
    credited = dict(ours.credits)
    for payment_hash, own in held.items():
        if own.state is InvoiceState.SETTLED and not own.internal:
            yield from _invoice(own, at_node.get(payment_hash))
        elif own.state in _ENDED and _is_held(at_node.get(payment_hash)):
            yield f"invoice {payment_hash} is {own.state.value} in the ledger, but the node holds a payment of it"
    for payment_hash, status in at_node.items():
        if status.state is not NodeInvoiceState.SETTLED or (payment_hash not in held and not whole_node):
            continue
        booked = credited.get(payment_hash)
        received = f"the node received {int(status.received_msat)} msat for {payment_hash}"
        if booked is None and payment_hash in ours.refused and not is_amount(status.received_msat):
            continue
        if booked is None:
            yield f"{received}, which the ledger has not credited"
        elif booked != status.received_msat:
            yield f"{received}, the ledger credited {int(booked)}"


def _is_held(status: InvoiceStatus | None) -> bool:
    return status is not None and status.state is NodeInvoiceState.ACCEPTED


def _invoice(own: OwnInvoice, status: InvoiceStatus | None) -> Iterator[str]:
    name = f"invoice {own.payment_hash}"
    if status is None or status.state is not NodeInvoiceState.SETTLED:
        yield f"{name} is settled in the ledger, but {'unknown' if status is None else status.state} at the node"
    elif status.preimage and own.preimage and status.preimage.lower() != own.preimage.lower():
        yield f"{name} has another preimage at the node"
