"""Failpoints: a store and a backend whose every door can be the last one that is crossed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

from kitestring.base.node import Backend, HoldOrder, InvoiceOrder, NodeInvoiceState, PayOrder, Settlement
from kitestring.base.transactions.answers import Tx
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.ledger.in_step import keep_in_step

A = TypeVar("A")


class KilledError(BaseException):
    """The process ended here. No ``except Exception`` may survive it."""


class Crossings:
    """Counts labelled points; at the ``fatal``-th (from 1, 0 = never) and at all later ones the process is dead.

    ``labels`` are those that were crossed, the fatal one the last. ``at`` kills at the first point of that label
    instead. ``doing`` is called at the first point of a label, once.
    """

    def __init__(
        self, fatal: int = 0, *, at: str = "", doing: Mapping[str, Callable[[], object]] | None = None
    ) -> None:
        self.fatal = fatal
        self.labels: list[str] = []
        self.killed = asyncio.Event()
        self._at = at
        self._doing = dict(doing or {})

    def cross(self, label: str) -> None:
        if self.killed.is_set():
            raise KilledError(label)
        self.labels.append(label)
        if label in self._doing:
            self._doing.pop(label)()
        if label == self._at or (self.fatal and len(self.labels) >= self.fatal):
            self.killed.set()
            raise KilledError(label)


class CrossedStore:
    """A store with a point before and after every commit; its thread keeps step with a virtual loop.

    ``broken`` holds errors that the next applies raise instead of being carried out, by the name of the value; ``lost``
    those that they raise although they were carried out.
    """

    def __init__(self, store: SqliteStore, crossings: Crossings | None = None) -> None:
        keep_in_step(store)
        self._store = store
        self._crossings = crossings or Crossings()
        self.broken: dict[str, list[Exception]] = {}
        self.lost: dict[str, list[Exception]] = {}
        self.applied: list[Tx[Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def apply(self, tx: Tx[A]) -> A:
        name = type(tx).__name__
        self._crossings.cross(f"before {name}")
        if errors := self.broken.get(name):
            raise errors.pop(0)
        answer = await self._store.apply(tx)
        self.applied.append(tx)
        self._crossings.cross(f"after {name}")
        if errors := self.lost.get(name):
            raise errors.pop(0)
        return answer


class CrossedBackend:
    """A backend with a point before and after every call that money depends on."""

    def __init__(self, backend: Backend, crossings: Crossings) -> None:
        self._backend: Any = backend
        self._crossings = crossings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def _through(self, label: str, call: Any) -> Any:
        try:
            self._crossings.cross(f"before {label}")
        except KilledError:
            call.close()
            raise
        answer = await call
        self._crossings.cross(f"after {label}")
        return answer

    async def pay(self, order: PayOrder) -> Any:
        return await self._through("pay", self._backend.pay(order))

    async def lookup_payment(self, payment_hash: str) -> Any:
        return await self._through("lookup_payment", self._backend.lookup_payment(payment_hash))

    async def track(self, payment_hash: str) -> Any:
        return await self._through("track", self._backend.track(payment_hash))

    async def make_invoice(self, order: InvoiceOrder) -> Any:
        return await self._through("make_invoice", self._backend.make_invoice(order))

    async def cancel_invoice(self, payment_hash: str) -> Any:
        return await self._through("cancel_invoice", self._backend.cancel_invoice(payment_hash))

    async def lookup_invoice(self, payment_hash: str) -> Any:
        return await self._through("lookup_invoice", self._backend.lookup_invoice(payment_hash))

    async def track_invoice(self, payment_hash: str, seen: NodeInvoiceState) -> Any:
        return await self._through("track_invoice", self._backend.track_invoice(payment_hash, seen))

    async def make_hold_invoice(self, order: HoldOrder) -> Any:
        return await self._through("make_hold_invoice", self._backend.make_hold_invoice(order))

    async def settle_invoice(self, preimage: str) -> Any:
        return await self._through("settle_invoice", self._backend.settle_invoice(preimage))

    async def settlements(self, cursor: bytes) -> AsyncIterator[Settlement]:
        async for settlement in self._backend.settlements(cursor):
            self._crossings.cross("settlement")
            yield settlement
