"""The events of a service, for the program around it: an iterator that begins at a position, and callbacks."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec

from kitestring.app.owner.params import of_others
from kitestring.app.service.core import Core
from kitestring.base.errors import KitestringError
from kitestring.base.events import EventKind, FeedEvent, Missed
from kitestring.base.outcomes import Direction, Transaction
from kitestring.base.records import OwnInvoice, Payment
from kitestring.base.store import Reads, Scope
from kitestring.base.transactions.feed import Tell
from kitestring.engine.feed import Consumer

log = logging.getLogger("kitestring")

#: The name under which the ledger keeps how far the callbacks have come.
CONSUMER: Final = "on_paid"
#: Seconds until the ledger is read again after it could not be.
AGAIN_S: Final = 1.0
_INCOMING: Final = frozenset(
    {EventKind.RECEIVED, EventKind.ZAPPED, EventKind.ACCEPTED, EventKind.CANCELED, EventKind.EXPIRED}
)
_OUTGOING: Final = frozenset({EventKind.SETTLED, EventKind.FAILED, EventKind.RESOLVED})


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """Something became true: of ``kind`` ``received`` (an invoice of ours was paid), ``settled`` or ``failed`` (a
    payment of ours), ``granted``, ``changed``, ``revoked`` (a connection), ``alarm`` and others. ``transaction`` is the
    money that it is about, if it is about any. ``position`` is its number: give it back to go on after it. A
    ``received`` with a ``detail`` settles nothing: ``surplus`` is an invoice that was paid once more, ``unknown`` money
    that no invoice asked for.

    ``missed`` says that events which nobody had read were forgotten, and ``detail`` how many.
    """

    position: int
    kind: str
    happened_at: int
    account: str = ""
    connection_id: str = ""
    detail: str = ""
    transaction: Transaction | None = None


class ServiceEvents:
    """Made by ``Service.events``. Use it in ``async for``; it ends with its service, or with :meth:`close`. What is not
    taken waits in the ledger, not in memory."""

    def __init__(self, core: Core, since: int | None, kinds: frozenset[EventKind]) -> None:
        self._core: Final = core
        self._kinds: Final = kinds
        self._since: Final = since
        self._reader: Consumer | None = None
        self._reading: asyncio.Task[list[FeedEvent | Missed]] | None = None
        self._rows: Final[deque[FeedEvent | Missed]] = deque()
        self.is_closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ServiceEvent:
        """The next event; waits for it. Raises KitestringError(INTERNAL) when the ledger cannot be read."""
        if self._reader is None and not self.is_closed:
            self._reader = await self._core.feed.reader(self._since, self._kinds)
        while not self._rows:
            await self._read()
        told = await _shown(self._core.store, self._rows[0])
        self._rows.popleft()  # only now: what could not be read is told at the next try
        return told

    async def _read(self) -> None:
        """Read on. Whoever waits may be cancelled, and ask again: what was read by then is not lost."""
        if self._reader is None or self.is_closed:
            raise StopAsyncIteration
        if self._reading is None:
            self._reading = asyncio.create_task(self._reader.read())
        await asyncio.wait({self._reading})
        if self.is_closed:
            raise StopAsyncIteration
        done, self._reading = self._reading, None
        self._rows.extend(done.result())

    async def close(self) -> None:
        """End it: whoever waits for the next event is told that there is none."""
        self.is_closed = True
        self._rows.clear()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._reader is not None:
            self._reader.close()


PaidCallback = Callable[[Transaction], Any]


async def tell_paid(core: Core, callbacks: Sequence[PaidCallback]) -> None:
    """Call ``callbacks`` for each invoice that is paid, in the order in which they were, from the first time on that
    there was a callback. The ledger keeps how far they have come: after a crash the last one may be told again. One
    that raises is logged, and has been told."""
    if await core.store.position(CONSUMER) is None:
        await core.store.apply(Tell(CONSUMER, await core.store.last_event(), core.clock.now()))
    with await core.feed.consumer(CONSUMER, {EventKind.RECEIVED}) as news:
        rows, told = deque[FeedEvent | Missed](), 0
        while True:
            try:
                if not rows:
                    rows.extend(await news.read())
                row = rows[0]
                if row.number > told:
                    await _tell(core.store, row, callbacks)
                    told = row.number
                await core.store.apply(Tell(CONSUMER, row.number, core.clock.now()))
                rows.popleft()
            except KitestringError as failure:
                log.warning("payments are told to on_paid again in a moment: %s", failure.message)
                await core.clock.sleep(AGAIN_S)


async def _tell(store: Reads, row: FeedEvent | Missed, callbacks: Sequence[PaidCallback]) -> None:
    if isinstance(row, Missed):
        log.warning("%d events were forgotten before they were told to on_paid", row.count)
        return
    found = None if row.detail else await _transaction(store, row)
    if found is None:  # an invoice that was paid once more, or money that no invoice of ours asked for
        return
    for callback in callbacks:
        try:
            await _call(callback, found)
        except Exception:
            log.exception("on_paid: %s has raised; payment %s counts as told", callback, found.payment_hash[:16])


async def _call(callback: PaidCallback, paid: Transaction) -> None:
    """A plain function has a thread of its own, so that it may wait."""
    if inspect.iscoroutinefunction(callback):
        await callback(paid)
    else:
        await asyncio.to_thread(callback, paid)


async def _shown(store: Reads, row: FeedEvent | Missed) -> ServiceEvent:
    if isinstance(row, Missed):
        return ServiceEvent(row.number, "missed", 0, detail=f"{row.count} events were forgotten before they were told")
    found, names = await _transaction(store, row), await store.renamed_accounts()
    return ServiceEvent(
        row.number, row.kind.value, row.at, names.get(row.account_id, row.account_id), of_others(row.grant_id) or "",
        row.detail, found,
    )  # fmt: skip


async def _transaction(store: Reads, event: FeedEvent) -> Transaction | None:
    about: OwnInvoice | Payment | None = None
    if event.kind in _INCOMING:
        about = await store.invoice(event.subject)
    elif event.kind in _OUTGOING:
        about = await store.payment(event.subject)
    if about is None:
        return None
    way = Direction.INCOMING if isinstance(about, OwnInvoice) else Direction.OUTGOING
    found = await store.transaction(Scope(), about.payment_hash, way)
    return None if found is None else as_told(found, await store.renamed_accounts())


def as_told(transaction: Transaction, names: Mapping[str, str]) -> Transaction:
    """The transaction as a program is told it, with the names and ids of ``--json``: ``names`` are those of renamed
    accounts by their ids, and the owner's own is of no connection."""
    return msgspec.structs.replace(
        transaction,
        account=names.get(transaction.account, transaction.account),
        connection_id=of_others(transaction.connection_id) or "",
    )


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel a task, and wait for its end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
