"""The seam to a Lightning node: what a backend is asked, what it answers, and what it can do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from kitestring.base.money import ZERO, Msat
from kitestring.base.payments import LookupAnswer, PayAnswer


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do; the engine never guesses.

    ``own_preimage``: takes our preimage for an invoice. ``idempotent_by_hash``: the same hash sent twice pays once.
    ``authoritative_lookup``: "never seen" proves that. ``fee_cap``: honours the cap. ``sub_sat``:
    amounts below one sat.
    """

    own_preimage: bool
    idempotent_by_hash: bool
    authoritative_lookup: bool
    fee_cap: bool
    amountless: bool
    description_hash: bool
    sub_sat: bool = True
    hold: bool = False
    keysend: bool = False
    bolt12: bool = False


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """``network`` is ``bitcoin``, ``testnet``, ``signet`` or ``regtest``; ``node_id`` is the node's public key."""

    node_id: str
    alias: str
    color: str
    network: str
    block_height: int
    block_hash: str


@dataclass(frozen=True, slots=True)
class NodeBalance:
    spendable_msat: Msat
    receivable_msat: Msat


@dataclass(frozen=True, slots=True)
class PayOrder:
    """``amount_msat`` is given to the node only for amountless invoices. ``timeout_s`` bounds the node's own search."""

    bolt11: str
    payment_hash: str
    amount_msat: Msat
    amountless: bool
    fee_cap_msat: Msat
    timeout_s: int


@dataclass(frozen=True, slots=True)
class InvoiceOrder:
    """``preimage`` is 64 hex digits where the backend has ``own_preimage``, else ""."""

    amount_msat: Msat | None
    description: str
    description_hash: str
    expiry_s: int
    preimage: str


@dataclass(frozen=True, slots=True)
class NodeInvoice:
    bolt11: str
    payment_hash: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class InvoiceStatus:
    """``state``: ``open``, ``settled``, ``canceled`` (also expired at the node) or ``unknown`` (no such invoice)."""

    state: str
    bolt11: str = ""
    received_msat: Msat = ZERO
    settled_at: int = 0
    preimage: str = ""
    expires_at: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """One settled invoice from the stream; ``cursor`` resumes right after it."""

    payment_hash: str
    received_msat: Msat
    settled_at: int
    preimage: str
    cursor: bytes


@dataclass(frozen=True, slots=True)
class NodePayment:
    """One outgoing payment in the node's own list. ``state``: ``settled``, ``failed`` or ``open``."""

    payment_hash: str
    state: str
    amount_msat: Msat
    fee_msat: Msat
    preimage: str


class NodeUnreachableError(Exception):
    """Could not connect at all: the only exception that proves that the node was never asked."""


class Backend(Protocol):
    """One Lightning node or wallet. Methods may raise anything; the engine reads every exception of :meth:`pay` but
    NodeUnreachableError as Unknown. A backend never says Failed without the node's own final word."""

    capabilities: Capabilities

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def info(self) -> NodeInfo: ...
    async def balance(self) -> NodeBalance: ...

    async def pay(self, order: PayOrder) -> PayAnswer:
        """Pay once per hash. "Already exists" means look it up, never Failed."""
        ...

    async def lookup_payment(self, payment_hash: str) -> LookupAnswer: ...

    async def track(self, payment_hash: str) -> LookupAnswer:
        """Wait for the end of a payment that was sent before; may give up with InFlight or Unknown."""
        ...

    async def make_invoice(self, order: InvoiceOrder) -> NodeInvoice:
        """With ``own_preimage`` the same preimage gives the same invoice again ("already exists" is looked up)."""
        ...

    async def cancel_invoice(self, payment_hash: str) -> InvoiceStatus:
        """Cancel if still open; answers the status afterwards."""
        ...

    async def lookup_invoice(self, payment_hash: str) -> InvoiceStatus: ...

    def settlements(self, cursor: bytes) -> AsyncIterator[Settlement]:
        """Settled invoices after ``cursor`` (b"" = from now on, or from the beginning where the node can), for ever."""
        ...

    def list_payments(self) -> AsyncIterator[NodePayment]: ...
    def list_invoices(self) -> AsyncIterator[tuple[str, InvoiceStatus]]: ...
