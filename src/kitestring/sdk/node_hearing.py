"""A node that is asked directly tells of invoices that were paid. Of what it pays it tells nothing: who gives it an
order has its answer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final, assert_never

from kitestring.base.errors import KitestringError
from kitestring.base.money import ZERO
from kitestring.base.node import Backend, InvoiceStatus, NodeInvoiceState, Settlement
from kitestring.base.outcomes import Direction, Transaction, TransactionState
from kitestring.base.ports import Clock
from kitestring.codec import bolt11
from kitestring.sdk.open_payment import ask_node
from kitestring.transport.changes import Changes
from kitestring.wire.ask.nwc.notifications import Notification
from kitestring.wire.text import clean_description

_log: Final = logging.getLogger(__name__)

#: Paid invoices that wait to be taken: then the node is not read on.
MAX_HEARD: Final = 1_000
#: Seconds after which it is looked again whether there is room.
WAIT_S: Final = 3_600.0
#: Seconds until a stream that broke is asked for again.
AGAIN_S: Final = 5.0


class NodeHearing:
    """Hears the invoices that ``backend`` calls settled from ``since`` (Unix seconds) on."""

    directions: frozenset[Direction] = frozenset({Direction.INCOMING})

    def __init__(self, backend: Backend, clock: Clock, since: int) -> None:
        self._backend: Final = backend
        self._clock: Final = clock
        self._since: Final = since
        self._heard: Final[deque[Notification]] = deque()
        self._changes: Final = Changes(clock)
        self._reading: asyncio.Task[None] | None = None
        self._is_closed = False
        self.has_missed = True

    @property
    def is_promised(self) -> bool:
        return True

    async def open(self, timeout_s: float) -> None:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())

    async def next(self, timeout_s: float) -> Notification | None:
        had = self.has_missed
        await self._changes.until(
            lambda: bool(self._heard) or self._is_closed or (self.has_missed and not had), timeout_s
        )
        found = self._heard.popleft() if self._heard else None
        self._changes.notify()
        return found

    async def close(self) -> None:
        self._is_closed = True
        self._changes.notify()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        """Follow the stream, forever: one that breaks is asked for again where it was."""
        cursor = b""
        while True:
            try:
                async for settlement in self._backend.settlements(cursor):
                    await self._take(settlement)
                    cursor = settlement.cursor
            except Exception as failure:  # noqa: BLE001 - not hidden: it is logged, and the list is looked at
                _log.warning("the node tells no payments now, and is asked again: %s", failure)
            self.has_missed = True
            self._changes.notify()
            await self._clock.sleep(AGAIN_S)

    async def _take(self, settlement: Settlement) -> None:
        if settlement.settled_at < self._since:
            return
        while len(self._heard) >= MAX_HEARD:
            await self._changes.until(lambda: len(self._heard) < MAX_HEARD, WAIT_S)
        try:
            status = await ask_node(self._backend.lookup_invoice(settlement.payment_hash))
            self._heard.append(Notification("payment_received", incoming(status, settlement.payment_hash)))
        except KitestringError as failure:
            _log.warning("invoice %s is paid, and is looked for again: %s", settlement.payment_hash[:16], failure)
            self.has_missed = True
        self._changes.notify()


def _invoice_state(state: NodeInvoiceState) -> TransactionState:
    match state:
        case NodeInvoiceState.OPEN:
            return TransactionState.PENDING
        case NodeInvoiceState.ACCEPTED:
            return TransactionState.ACCEPTED
        case NodeInvoiceState.SETTLED:
            return TransactionState.SETTLED
        case NodeInvoiceState.CANCELED | NodeInvoiceState.UNKNOWN:
            return TransactionState.EXPIRED
        case _:
            assert_never(state)


def incoming(status: InvoiceStatus, payment_hash: str) -> Transaction:
    """The invoice as a wallet shows it."""
    invoice = bolt11.decode(status.bolt11, recover=False)
    settled = status.state is NodeInvoiceState.SETTLED
    is_there = settled or status.state is NodeInvoiceState.ACCEPTED
    received_msat = status.received_msat if is_there else ZERO
    return Transaction(
        Direction.INCOMING, _invoice_state(status.state), payment_hash,
        received_msat or invoice.amount_msat or ZERO, ZERO, invoice.timestamp,
        settled_at=status.settled_at if settled else None, expires_at=invoice.expires_at, bolt11=status.bolt11,
        description=clean_description(invoice.description or ""), preimage=status.preimage if settled else "",
        settle_deadline=status.settle_deadline or None,
    )  # fmt: skip
