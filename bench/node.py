"""A Lightning node that costs next to nothing, so that what is measured is the service: memory, no network, no keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from hashlib import sha256

from bench import world
from kitestring.base.money import ZERO, Msat, sat
from kitestring.base.node import (
    Capabilities,
    Finding,
    InvoiceOrder,
    InvoiceStatus,
    NodeBalance,
    NodeInfo,
    NodeInvoice,
    NodePayment,
    PayOrder,
    Settlement,
)
from kitestring.base.payments import InFlight, LookupAnswer, PayAnswer, Settled, Unknown

_INFO = NodeInfo("02" + "ab" * 32, "bench", "#101010", world.NETWORK, 840_000, "00" * 32)
_FEE = Msat(1_000)


class BenchNode:
    """Pays whatever :func:`bench.world.invoice` made, at once; gives out invoices that were written beforehand."""

    capabilities = Capabilities(
        own_preimage=False, idempotent_by_hash=True, authoritative_lookup=True, fee_cap=True, amountless=True,
        description_hash=True,
    )  # fmt: skip

    def __init__(self, payable: int, makeable: int) -> None:
        """``payable`` invoices can be paid, ``makeable`` further ones can be asked for."""
        preimages = [world.preimage(number) for number in range(payable + makeable)]
        hashes = [sha256(preimage).hexdigest() for preimage in preimages]
        self._answers: dict[str, PayAnswer] = {
            payment_hash: Settled(preimage.hex(), _FEE)
            for payment_hash, preimage in zip(hashes[:payable], preimages, strict=False)
        }
        expires_at = int(time.time()) + 7_200
        self._ready = [
            NodeInvoice(world.invoice(number), hashes[number], expires_at)
            for number in range(payable, payable + makeable)
        ]

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def info(self) -> NodeInfo:
        return _INFO

    async def balance(self) -> NodeBalance:
        return NodeBalance(sat(1_000_000_000), sat(1_000_000_000))

    async def findings(self) -> tuple[Finding, ...]:
        return ()

    async def own_books(self) -> tuple[str, ...]:
        return ()

    async def pay(self, order: PayOrder) -> PayAnswer:
        return self._answers.get(order.payment_hash) or Unknown("not an invoice of this bench")

    async def lookup_payment(self, payment_hash: str) -> LookupAnswer:
        return self._answers.get(payment_hash) or InFlight()

    async def track(self, payment_hash: str) -> LookupAnswer:
        return await self.lookup_payment(payment_hash)

    async def make_invoice(self, order: InvoiceOrder) -> NodeInvoice:
        return self._ready.pop()

    async def cancel_invoice(self, payment_hash: str) -> InvoiceStatus:
        return InvoiceStatus("canceled", received_msat=ZERO)

    async def lookup_invoice(self, payment_hash: str) -> InvoiceStatus:
        return InvoiceStatus("open")

    async def settlements(self, cursor: bytes) -> AsyncIterator[Settlement]:
        await asyncio.Event().wait()
        yield Settlement("", ZERO, 0, "", cursor)

    async def list_payments(self) -> AsyncIterator[NodePayment]:
        empty: tuple[NodePayment, ...] = ()
        for payment in empty:
            yield payment

    async def list_invoices(self) -> AsyncIterator[tuple[str, InvoiceStatus]]:
        empty: tuple[tuple[str, InvoiceStatus], ...] = ()
        for invoice in empty:
            yield invoice
