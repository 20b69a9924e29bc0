"""lnd's settlements in their order: a stream that is made again when it is silent, and a cursor that knows its epoch.

lnd numbers settlements, and a node that was recovered with a new database of invoices begins at 1 again. So a place in
the order is a number *and* the invoice that has it. Where lnd has another one there, or none, its numbers have begun
again, and everything that is settled is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Final, NamedTuple, TypeVar

from kitestring.backend.http import NodeAnswerError, NodeHttp
from kitestring.backend.lnd import wire
from kitestring.backend.lnd.invoices import every_invoice, find_invoice, pages_from_the_newest
from kitestring.backend.lnd.rest import results
from kitestring.base.node import Settlement

S = TypeVar("S")

#: A subscription that was silent for so long is made again, because the connection may be dead; nothing is missed.
STREAM_IDLE_S: Final = 300.0
#: The same while nothing was ever settled, doubled each time: index 0 has no backlog, so the list is looked at instead.
EMPTY_IDLE_S: Final = 1.0


class SettledAt(NamedTuple):
    """A place in lnd's order of settlements: the number and the invoice that has it, which no other database gives it
    too. ``payment_hash`` is "" where only the number is known, and then it is no place."""

    number: int
    payment_hash: str

    @classmethod
    def of(cls, cursor: bytes) -> SettledAt:
        """Read a cursor. Raises ValueError."""
        number, _, payment_hash = cursor.decode().partition(" ")
        return cls(int(number), payment_hash)

    def __bytes__(self) -> bytes:
        return f"{self.number} {self.payment_hash}".encode()


#: Before the first settlement.
BEGINNING: Final = SettledAt(0, "")


async def settlements(http: NodeHttp, cursor: bytes) -> AsyncGenerator[Settlement, None]:
    """Settlements after ``cursor`` (a :class:`SettledAt`), forever; b"" begins at the newest one known, or a little
    before it. Raises when the connection breaks; the caller goes on from its last cursor."""
    last = SettledAt.of(cursor) if cursor else await _recently_settled(http)
    idle_s = EMPTY_IDLE_S
    while True:
        if last.number and not await _still_has(http, last):
            last = BEGINNING
        # Closed here and not by the garbage collector, so that the connection goes when the caller goes.
        async with aclosing(_settled_since(http, last.number, STREAM_IDLE_S if last.number else idle_s)) as found:
            async for invoice in found:
                if invoice.state == "SETTLED":
                    last = SettledAt(wire.int64(invoice.settle_index), wire.from_base64(invoice.r_hash))
                    yield _settlement(invoice, last)
        idle_s = min(2 * idle_s, STREAM_IDLE_S)


async def _settled_since(http: NodeHttp, index: int, idle_s: float) -> AsyncGenerator[wire.LndInvoice, None]:
    """The stream after ``index`` until it is silent for ``idle_s``; at index 0 what is settled already comes first, in
    order."""
    if index == 0:
        settled = [invoice async for invoice in every_invoice(http) if invoice.state == "SETTLED"]
        for invoice in sorted(settled, key=lambda entry: wire.int64(entry.settle_index)):
            yield invoice
        if settled:
            return
    async with AsyncExitStack() as stack:
        opening = results(http, "GET", f"/v1/invoices/subscribe?settle_index={index}", wire.LndInvoice)
        try:
            async with asyncio.timeout(idle_s):
                invoices = await stack.enter_async_context(opening)
        except TimeoutError:
            return
        while (following := await _next(invoices, idle_s)) is not None:
            yield following


async def _next(entries: AsyncIterator[S], idle_s: float) -> S | None:
    """The next entry, None when the stream was silent for too long. Raises NodeAnswerError when it has ended."""
    try:
        async with asyncio.timeout(idle_s):
            return await anext(entries)
    except TimeoutError:
        return None
    except StopAsyncIteration:
        raise NodeAnswerError("lnd ended the subscription") from None


async def _still_has(http: NodeHttp, last: SettledAt) -> bool:
    invoice = await find_invoice(http, last.payment_hash)
    return invoice is not None and wire.int64(invoice.settle_index) == last.number


async def _recently_settled(http: NodeHttp) -> SettledAt:
    """An invoice that is not settled after the last one: the latest among the newest of which one is settled. lnd
    orders its list by creation, so the very last one would need all of it."""
    async with aclosing(pages_from_the_newest(http)) as pages:
        async for page in pages:
            index, r_hash = max(((wire.int64(entry.settle_index), entry.r_hash) for entry in page), default=(0, ""))
            if index:
                return SettledAt(index, wire.from_base64(r_hash))
    return BEGINNING


def _settlement(invoice: wire.LndInvoice, place: SettledAt) -> Settlement:
    return Settlement(
        place.payment_hash,
        wire.msat(invoice.amt_paid_msat),
        wire.int64(invoice.settle_date),
        wire.from_base64(invoice.r_preimage),
        bytes(place),
    )
