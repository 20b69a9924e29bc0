"""The node's identity is part of every conversation: the backend as the engine sees it.

The node behind an address can be exchanged while the service runs: another volume, a failover, a proxy. The other one
knows nothing of our payments, so its word about them proves nothing, and an order that it gets is paid a second time. A
backend tells which node it spoke to last (``Backend.node_id``). Here that is compared before each question, so that
nothing is sent to another node, and after each answer, so that nothing is believed of one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeVar, cast

from kitestring.base.node import (
    Backend,
    Capabilities,
    Finding,
    HoldBackend,
    HoldOrder,
    InvoiceOrder,
    InvoiceStatus,
    NodeBalance,
    NodeInfo,
    NodeInvoice,
    NodeInvoiceState,
    NodePayment,
    OtherNodeError,
    PayOrder,
    Settlement,
    SigningBackend,
)
from kitestring.base.payments import LookupAnswer, PayAnswer

T = TypeVar("T")


class NodeChangedError(Exception):
    """Another node has answered than the one that was asked, or may have. What it was told, it may have done."""


def another(there: str, here: str) -> str:
    """The sentence about a node ``there`` that answers in the place of ``here``."""
    return (
        f"another node ({there[:16]}…) answers at the address of {here[:16]}…, on which these books stand: put that one"
        " back, or restart kitestring to stand on the other"
    )


class SameNode:
    """:class:`~kitestring.base.node.HoldBackend` and ``SigningBackend``, of one node alone: ``expected`` is its id.
    :meth:`info` may be asked of any node; everything else raises OtherNodeError before it is asked, and
    NodeChangedError after it."""

    def __init__(self, backend: Backend, expected: Callable[[], str]) -> None:
        self.capabilities: Capabilities = backend.capabilities
        self._backend: Final = backend
        self._expected: Final = expected

    @property
    def node_id(self) -> str:
        return self._backend.node_id

    def other(self) -> str:
        """The sentence about another node that was heard last; "" where it was the right one, or none yet."""
        there, here = self._backend.node_id, self._expected()
        return another(there, here) if there not in {"", here} else ""

    def _before(self) -> None:
        if why := self.other():
            raise OtherNodeError(why)

    def _after(self) -> None:
        if why := self.other():
            raise NodeChangedError(why)

    async def _ask(self, question: Callable[..., Awaitable[T]], *about: Any) -> T:
        self._before()
        answer = await question(*about)
        self._after()
        return answer

    async def _each(self, rows: AsyncIterator[T]) -> AsyncIterator[T]:
        self._before()
        try:
            async for row in rows:
                self._after()
                yield row
        finally:
            if isinstance(rows, AsyncGenerator):  # its connection goes now, and not when it is collected
                await rows.aclose()

    async def open(self) -> None:
        await self._backend.open()

    async def close(self) -> None:
        await self._backend.close()

    async def findings(self) -> tuple[Finding, ...]:
        return await self._backend.findings()

    async def info(self) -> NodeInfo:
        return await self._backend.info()

    async def balance(self) -> NodeBalance:
        return await self._ask(self._backend.balance)

    async def payment_index(self) -> int:
        return await self._ask(self._backend.payment_index)

    async def pay(self, order: PayOrder) -> PayAnswer:
        return await self._ask(self._backend.pay, order)

    async def lookup_payment(self, payment_hash: str) -> LookupAnswer:
        return await self._ask(self._backend.lookup_payment, payment_hash)

    async def track(self, payment_hash: str) -> LookupAnswer:
        return await self._ask(self._backend.track, payment_hash)

    async def make_invoice(self, order: InvoiceOrder) -> NodeInvoice:
        return await self._ask(self._backend.make_invoice, order)

    async def cancel_invoice(self, payment_hash: str) -> InvoiceStatus:
        return await self._ask(self._backend.cancel_invoice, payment_hash)

    async def lookup_invoice(self, payment_hash: str) -> InvoiceStatus:
        return await self._ask(self._backend.lookup_invoice, payment_hash)

    @property
    def _holder(self) -> HoldBackend:
        """Only for a backend that declares ``hold``."""
        return cast("HoldBackend", self._backend)

    async def make_hold_invoice(self, order: HoldOrder) -> NodeInvoice:
        return await self._ask(self._holder.make_hold_invoice, order)

    async def settle_invoice(self, preimage: str) -> InvoiceStatus:
        return await self._ask(self._holder.settle_invoice, preimage)

    async def track_invoice(self, payment_hash: str, seen: NodeInvoiceState) -> InvoiceStatus:
        return await self._ask(self._holder.track_invoice, payment_hash, seen)

    async def sign_message(self, message: str) -> str:
        return await self._ask(cast("SigningBackend", self._backend).sign_message, message)

    def settlements(self, cursor: bytes) -> AsyncIterator[Settlement]:
        return self._each(self._backend.settlements(cursor))

    def list_payments(self) -> AsyncIterator[NodePayment]:
        return self._each(self._backend.list_payments())

    def list_invoices(self) -> AsyncIterator[tuple[str, InvoiceStatus]]:
        return self._each(self._backend.list_invoices())

    async def own_books(self) -> tuple[str, ...]:
        return await self._ask(self._backend.own_books)
