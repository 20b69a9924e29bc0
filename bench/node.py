"""A Lightning node that costs next to nothing, so that what is measured is the service: no network, no keys.

Nor does it hold anything in memory that grows by more than a few bytes per payment: the memory of the process that it
runs in is measured too. The invoices that it gives out stand in a file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

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
    NodeInvoiceState,
    NodePayment,
    PayOrder,
    Settlement,
)
from kitestring.base.payments import InFlight, LookupAnswer, PayAnswer, Settled, Unknown

_INFO: Final = NodeInfo(world.NODE_ID, "bench", "#101010", world.NETWORK, 840_000, "00" * 32)
_FEE: Final = Msat(1_000)
#: Hex digits of a payment hash by which an invoice is found: no two of a run share them.
_HASH_DIGITS: Final = 15
#: Seconds that an invoice of the file is good for.
EXPIRY_S: Final = 7_200


def write_invoices(path: Path, numbers: range) -> None:
    """The file of invoices that a :class:`BenchNode` gives out, one a line."""
    with path.open("w", encoding="ascii") as file:
        for number in numbers:
            file.write(f"{world.invoice(number)} {world.payment_hash(number)}\n")


class BenchNode:
    """Pays the invoices of :func:`bench.world.invoice` at once; gives out those of a file, one after the other.

    ``lookup_s`` is how long it takes to look an invoice up. Those that it was asked about are counted, each once, and
    the time of the last new one is kept (monotonic seconds).
    """

    capabilities = Capabilities(
        own_preimage=False, idempotent_by_hash=True, authoritative_lookup=True, fee_cap=True, amountless=True,
        description_hash=True,
    )  # fmt: skip

    node_id = _INFO.node_id

    def __init__(self, payable: range, invoices: Path, lookup_s: float = 0) -> None:
        self._numbers = {int(world.payment_hash(number)[:_HASH_DIGITS], 16): number for number in payable}
        self._invoices = invoices.open(encoding="ascii")
        self._lookup_s = lookup_s
        self._looked_up: set[str] = set()
        self._looked_up_at = 0.0

    @property
    def looked_up(self) -> tuple[int, float]:
        return len(self._looked_up), self._looked_up_at

    async def open(self) -> None: ...
    async def close(self) -> None:
        self._invoices.close()

    async def info(self) -> NodeInfo:
        return _INFO

    async def balance(self) -> NodeBalance:
        return NodeBalance(sat(1_000_000_000), sat(1_000_000_000), sat(1_000_000_000))

    async def payment_index(self) -> int:
        return 0

    async def findings(self) -> tuple[Finding, ...]:
        return ()

    async def own_books(self) -> tuple[str, ...]:
        return ()

    def _settled(self, payment_hash: str) -> Settled | None:
        number = self._numbers.get(int(payment_hash[:_HASH_DIGITS], 16))
        return None if number is None else Settled(world.preimage(number).hex(), _FEE)

    async def pay(self, order: PayOrder) -> PayAnswer:
        return self._settled(order.payment_hash) or Unknown("not an invoice of this bench")

    async def lookup_payment(self, payment_hash: str) -> LookupAnswer:
        return self._settled(payment_hash) or InFlight()

    async def track(self, payment_hash: str) -> LookupAnswer:
        return await self.lookup_payment(payment_hash)

    async def make_invoice(self, order: InvoiceOrder) -> NodeInvoice:
        bolt11, payment_hash = self._invoices.readline().split()
        return NodeInvoice(bolt11, payment_hash, int(time.time()) + EXPIRY_S)

    async def cancel_invoice(self, payment_hash: str) -> InvoiceStatus:
        return InvoiceStatus(NodeInvoiceState.CANCELED, received_msat=ZERO)

    async def lookup_invoice(self, payment_hash: str) -> InvoiceStatus:
        if self._lookup_s:
            await asyncio.sleep(self._lookup_s)
        if payment_hash not in self._looked_up:
            self._looked_up.add(payment_hash)
            self._looked_up_at = time.monotonic()
        return InvoiceStatus(NodeInvoiceState.OPEN)

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
