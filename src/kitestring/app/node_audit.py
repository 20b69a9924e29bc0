"""``audit --node``: does the node tell the same story as the ledger?

Every payment and invoice of ours at the node matches one row by hash, with amount, fee and preimage, and the reverse.
What the node did without us (its owner's own programs) is counted, not judged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from kitestring.base.commands import ListTransactions, Transaction
from kitestring.base.ports import Backend, InvoiceStatus, NodePayment, Scope, Store

#: Rows of one page; a ledger of any size is read without being held.
PAGE: Final = 500


@dataclass(slots=True)
class Findings:
    """``violations`` are sentences; the counters say how much was compared."""

    violations: list[str] = field(default_factory=list)
    payments: int = 0
    invoices: int = 0
    foreign: int = 0


async def compare(store: Store, backend: Backend) -> Findings:
    """Compare the ledger with the node it stands on now. Rows of earlier nodes are left alone."""
    node_id = (await backend.info()).node_id
    findings = Findings()
    paid = {payment.payment_hash: payment async for payment in backend.list_payments()}
    received = {payment_hash: status async for payment_hash, status in backend.list_invoices()}
    ours: set[str] = set()
    async for row in _rows(store):
        if row.internal:
            ours.add(row.payment_hash)
        elif row.type == "outgoing":
            ours.add(row.payment_hash)
            await _check_payment(store, node_id, row, paid.get(row.payment_hash), findings)
        else:
            ours.add(row.payment_hash)
            await _check_invoice(store, node_id, row, received.get(row.payment_hash), findings)
    settled_in = {name for name, status in received.items() if status.state == "settled"}
    findings.foreign = len((set(paid) | settled_in) - ours)
    return findings


async def _rows(store: Store) -> AsyncIterator[Transaction]:
    offset = 0
    while True:
        query = ListTransactions(limit=PAGE, offset=offset, unpaid_incoming=True, unpaid_outgoing=True)
        page = await store.transactions(Scope(), query)
        for row in page:
            yield row
        if len(page) < PAGE:
            return
        offset += PAGE


async def _check_payment(
    store: Store, node_id: str, row: Transaction, seen: NodePayment | None, findings: Findings
) -> None:
    stored = await store.payment_by_hash(node_id, row.payment_hash)
    if stored is None:
        return  # made on an earlier node
    findings.payments += 1
    say = findings.violations.append
    if row.state == "settled":
        if seen is None or seen.state != "settled":
            say(f"payment {row.payment_hash} is settled here, but {seen.state if seen else 'unknown'} at the node")
        elif (seen.amount_msat, seen.fee_msat) != (row.amount_msat, row.fee_msat):
            say(
                f"payment {row.payment_hash} is {int(row.amount_msat)} + {int(row.fee_msat)} msat here, "
                f"{int(seen.amount_msat)} + {int(seen.fee_msat)} msat at the node"
            )
        elif seen.preimage and seen.preimage != row.preimage:
            say(f"payment {row.payment_hash} has another preimage at the node")
    elif row.state == "failed" and seen is not None and seen.state == "settled":
        say(f"payment {row.payment_hash} failed here, but is settled at the node")


async def _check_invoice(
    store: Store, node_id: str, row: Transaction, seen: InvoiceStatus | None, findings: Findings
) -> None:
    stored = await store.invoice_by_hash(node_id, row.payment_hash)
    if stored is None:
        return  # made on an earlier node
    findings.invoices += 1
    say = findings.violations.append
    if row.state == "settled":
        received = stored.received_msat or row.amount_msat
        if seen is None or seen.state != "settled":
            say(f"invoice {row.payment_hash} is paid here, but {seen.state if seen else 'unknown'} at the node")
        elif seen.received_msat != received:
            say(
                f"invoice {row.payment_hash} brought {int(received)} msat here, "
                f"{int(seen.received_msat)} msat at the node"
            )
    elif seen is not None and seen.state == "settled":
        say(f"invoice {row.payment_hash} is {row.state} here, but paid at the node")
