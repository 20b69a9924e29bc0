"""A node tells of invoices that were paid, over streams that break and look-ups that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.base.node import InvoiceStatus, NodeInvoiceState, Settlement
from kitestring.base.outcomes import Direction, TransactionState
from kitestring.sdk import node_hearing
from kitestring.sdk.node_hearing import AGAIN_S, NodeHearing, incoming
from tests.kit.clock import EPOCH, VirtualClock, virtual
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice


class Node:
    """``told`` is what its stream tells from the beginning; then it hangs, or breaks where it ``breaks``."""

    def __init__(self, *settled_at: int) -> None:
        self.told = [
            Settlement(f"{number:064x}", sat(5), at, PREIMAGE, str(number).encode())
            for number, at in enumerate(settled_at, 1)
        ]
        self.breaks = False
        self.cursors: list[bytes] = []
        self.looked_up: list[str] = []
        self.failures: list[KitestringError] = []

    async def settlements(self, cursor: bytes) -> AsyncIterator[Settlement]:
        self.cursors.append(cursor)
        for one in self.told[int(cursor or 0) :]:
            yield one
        if self.breaks:
            raise OSError("the stream broke")
        await asyncio.Event().wait()

    async def lookup_invoice(self, payment_hash: str) -> InvoiceStatus:
        self.looked_up.append(payment_hash)
        if self.failures:
            raise self.failures.pop()
        return InvoiceStatus(NodeInvoiceState.SETTLED, invoice(sat(5)), sat(6), EPOCH, PREIMAGE)


@asynccontextmanager
async def hearing(node: Node, since: int = EPOCH) -> AsyncIterator[NodeHearing]:
    backend: Any = node
    made = NodeHearing(backend, VirtualClock(), since)
    await made.open(1)
    await made.open(1)
    try:
        yield made
    finally:
        await made.close()


async def numbers(made: NodeHearing, count: int) -> list[int]:
    heard = [await made.next(10) for _ in range(count)]
    return [int(one.transaction.payment_hash, 16) for one in heard if one is not None]


@virtual
async def test_a_paid_invoice_is_told_as_the_node_has_it() -> None:
    node = Node(EPOCH)
    async with hearing(node) as made:
        told = await made.next(10)
        assert told is not None
        assert (told.type, told.transaction.amount_msat, told.transaction.settled_at) == (
            "payment_received", Msat(6_000), EPOCH,
        )  # fmt: skip
        assert made.is_promised
        assert made.directions == {Direction.INCOMING}
        assert await made.next(10) is None
        assert len(node.cursors) == 1


@virtual
async def test_what_was_paid_before_it_began_is_not_even_looked_up() -> None:
    node = Node(EPOCH - 2, EPOCH - 1, EPOCH)
    async with hearing(node) as made:
        assert await numbers(made, 1) == [3]
        assert len(node.looked_up) == 1


@virtual
async def test_a_stream_that_breaks_is_asked_for_again_where_it_was_and_something_may_be_missed() -> None:
    node = Node(EPOCH, EPOCH)
    node.breaks = True
    async with hearing(node) as made:
        made.has_missed = False
        assert await numbers(made, 2) == [1, 2]
        await asyncio.sleep(AGAIN_S + 1)
        assert made.has_missed
        assert node.cursors == [b"", b"2"]


@virtual
async def test_an_invoice_that_cannot_be_looked_up_is_left_to_the_list() -> None:
    node = Node(EPOCH, EPOCH)
    node.failures = [KitestringError(Reason.UNAVAILABLE, "the node is away")]
    async with hearing(node) as made:
        made.has_missed = False
        assert await numbers(made, 1) == [2]
        assert made.has_missed


@virtual
async def test_more_than_can_wait_is_not_read_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_hearing, "MAX_HEARD", 2)
    node = Node(*[EPOCH] * 5)
    async with hearing(node) as made:
        await asyncio.sleep(1)
        assert len(node.looked_up) == 2
        assert await numbers(made, 5) == [1, 2, 3, 4, 5]


@virtual
async def test_who_waits_is_told_of_the_end() -> None:
    async with hearing(Node()) as made:
        waiting = asyncio.ensure_future(made.next(10_000))
        await asyncio.sleep(1)
    assert await waiting is None


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (NodeInvoiceState.OPEN, TransactionState.PENDING),
        (NodeInvoiceState.SETTLED, TransactionState.SETTLED),
        (NodeInvoiceState.CANCELED, TransactionState.EXPIRED),
        (NodeInvoiceState.UNKNOWN, TransactionState.EXPIRED),
    ],
)
def test_an_invoice_of_the_node_is_a_transaction(state: NodeInvoiceState, expected: TransactionState) -> None:
    row = incoming(InvoiceStatus(state, invoice(sat(5)), sat(6), EPOCH, PREIMAGE), PAYMENT_HASH)
    is_settled = state is NodeInvoiceState.SETTLED
    assert (row.state, row.amount_msat) == (expected, sat(6) if is_settled else sat(5))
    assert (row.settled_at, row.preimage) == ((EPOCH, PREIMAGE) if is_settled else (None, ""))


async def test_one_that_was_never_opened_can_be_closed() -> None:
    node: Any = Node()
    await NodeHearing(node, VirtualClock(), 0).close()
