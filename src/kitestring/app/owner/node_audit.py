"""``audit --node`` on a live service: both sides are read here, and :mod:`kitestring.ledger.audit.node` compares."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from kitestring.app.service.node_words import told
from kitestring.base.node import Backend
from kitestring.base.ports import Clock
from kitestring.ledger.audit.node import books, compare

T = TypeVar("T")

#: Seconds between the two looks: what only one of them finds was under way and is no violation.
SECOND_LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Findings:
    """``violations`` are sentences; the counters say how many rows of the ledger were compared."""

    violations: tuple[str, ...]
    payments: int
    invoices: int


@dataclass(frozen=True, slots=True)
class AuditedService:
    """One service in one ledger. ``whole_node``: nobody else uses the node, so what only the node knows is wrong."""

    ledger: Path
    service_id: str
    whole_node: bool


async def examine(subject: AuditedService, backend: Backend, clock: Clock) -> Findings:
    """Compare the ledger with the node it stands on now; rows of earlier nodes are left alone. Raises KitestringError
    when the node cannot be asked."""
    first = await _look(subject, backend)
    if not first.violations:
        return first
    await clock.sleep(SECOND_LOOK_S)
    again = await _look(subject, backend)
    lasting = tuple(sentence for sentence in again.violations if sentence in first.violations)
    return Findings(lasting, again.payments, again.invoices)


async def _look(subject: AuditedService, backend: Backend) -> Findings:
    node_id = (await told(backend.info())).node_id
    paid, received = await told(_all(backend.list_payments())), await told(_all(backend.list_invoices()))
    ours = await asyncio.to_thread(books, subject.ledger, subject.service_id, node_id)
    found = compare(ours, paid, received, whole_node=subject.whole_node)
    return Findings(tuple(violation.sentence for violation in found), len(ours.payments), len(ours.invoices))


async def _all(rows: AsyncIterator[T]) -> list[T]:
    return [row async for row in rows]
