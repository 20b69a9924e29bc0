"""The owner looks on: what becomes true and what is refused, one after the other, for as long as somebody listens.

What becomes true is read from the feed, at the reader's pace: a slow one holds nobody, and has a position to go on
from. What leaves no row in the feed is told to those who listen, up to a number that waits.
"""

from __future__ import annotations

import asyncio
import logging
import re
from types import TracebackType
from typing import Any, Final, Self

from kitestring.app.owner.account_names import in_names
from kitestring.app.owner.approvals import what_is_asked
from kitestring.app.service.activity import Activity, Did, Turned, TurnedMore, Unkept
from kitestring.app.service.activity_words import sentence
from kitestring.app.service.seldom import Seldom
from kitestring.base.commands import OWNER_WIRE
from kitestring.base.errors import TABLE, KitestringError, Reason
from kitestring.base.events import EventKind, FeedEvent, Missed
from kitestring.base.grants import Grant
from kitestring.base.money import ZERO
from kitestring.base.ports import Clock
from kitestring.base.records import OwnInvoice, Payment
from kitestring.base.store import Reads
from kitestring.base.text import clean
from kitestring.codec.json import loads_object
from kitestring.engine.feed import Consumer, Feed

log = logging.getLogger("kitestring.activity")

HappeningRow = dict[str, Any]

#: Rows that wait for a reader in memory (about 200 bytes each). What becomes true beyond them waits in the ledger; what
#: leaves no row there is counted.
MAX_WAITING: Final = 100
#: Readers at once: one is a few kB and a task.
MAX_READERS: Final = 32
#: Seconds until the ledger is read again after it could not be.
AGAIN_S: Final = 1.0
#: Seconds that the last lines of the log get at a stop.
LAST_LINES_S: Final = 1.0

_POSITION: Final = re.compile("feed:(0|[1-9][0-9]{0,15})", re.ASCII)
#: Event → what it is called. What is not here is not told: an invoice that nobody has paid, a zap beside its payment.
NAMES: Final = {
    EventKind.SETTLED: "payment_sent",
    EventKind.FAILED: "payment_failed",
    EventKind.RESOLVED: "payment_resolved",
    EventKind.RECEIVED: "payment_received",
    EventKind.ACCEPTED: "hold_invoice_accepted",
    EventKind.CANCELED: "hold_invoice_canceled",
    EventKind.GRANTED: "connection_made",
    EventKind.CHANGED: "connection_changed",
    EventKind.REVOKED: "connection_ended",
    EventKind.ASKED: "asked",
    EventKind.DECIDED: "decided",
    EventKind.ALARM: "alarm",
    EventKind.ALLOWED: "allowed",
}
#: The log has these already.
_LOGGED: Final = frozenset({"alarm", "allowed"})
#: Members that a line of the log has, beside its sentence.
_FIELDS: Final = (
    "event", "payment_hash", "amount_msat", "fee_msat", "service_fee_msat", "connection", "offer", "account", "reason",
    "position",
)  # fmt: skip
_EMPTY: Final[HappeningRow] = dict.fromkeys(
    (
        "event", "happened_at", "type", "state", "payment_hash", "amount_msat", "fee_msat", "service_fee_msat",
        "created_at", "settled_at", "description", "preimage", "account", "connection", "connection_id", "offer",
        "offer_id", "payer_data", "wire", "approval_id", "reason", "detail", "count", "by_strangers", "position",
    )
)  # fmt: skip


def position(number: int) -> str:
    """The place after the event of that number, as it is kept by others."""
    return f"feed:{number}"


def read_position(text: str) -> int:
    """The number of the last event that was told. Raises KitestringError(MALFORMED)."""
    found = _POSITION.fullmatch(text)
    if found is None:
        shown = clean(text, 20)
        sentence = f"{shown!r} is no position of this service: give one back as it was told, such as feed:17"
        raise KitestringError(Reason.MALFORMED, sentence)
    return int(found[1])


class ActivityReaders:
    """Makes the readers of one service."""

    def __init__(self, store: Reads, feed: Feed, activity: Activity, clock: Clock) -> None:
        self._store, self._feed, self._activity, self._clock = store, feed, activity, clock
        self._readers = 0

    async def begin(self, after: int | None = None) -> ActivityReader:
        """A reader of what comes after the event of that number; None = from now on. Close it.

        Raises KitestringError: BUSY where there are too many, MALFORMED for a number that this ledger has not reached.
        """
        if self._readers >= MAX_READERS:
            raise KitestringError(Reason.BUSY, f"{MAX_READERS} watch this service already: end one of them first")
        last = await self._store.last_event()
        if after is not None and after > last:
            raise KitestringError(
                Reason.MALFORMED,
                f"{position(after)} is ahead of this service, which is at {position(last)}: another ledger was put in "
                "its place; leave --since out to begin now",
            )
        reader = await self._feed.reader(last if after is None else after, NAMES)
        self._readers += 1
        return ActivityReader(self._store, reader, self._activity, self._clock, self._gone)

    def _gone(self) -> None:
        self._readers -= 1


class ActivityReader:
    """Reads one after the other. Use it as a context."""

    def __init__(self, store: Reads, reader: Consumer, activity: Activity, clock: Clock, gone: Any) -> None:
        self._store, self._reader, self._clock, self._gone = store, reader, clock, gone
        self._rows: Final[asyncio.Queue[FeedEvent | Missed | Unkept]] = asyncio.Queue(MAX_WAITING)
        self._told = reader.position
        self._left_out = 0
        self._in_hand: FeedEvent | Missed | Unkept | None = None
        self._lines: Final = Seldom(log, clock)
        self._hearing = activity.heard_by(self._hear)

    @property
    def position(self) -> str:
        """The place up to which it has told."""
        return position(self._told)

    def __enter__(self) -> Self:
        self._hearing.__enter__()
        self._pump = asyncio.get_running_loop().create_task(self._read())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hearing.__exit__(None, None, None)
        self._pump.cancel()
        self._reader.close()
        self._gone()

    def _hear(self, one: Unkept) -> None:
        try:
            self._rows.put_nowait(one)
        except asyncio.QueueFull:  # the reader is slow: it is told how many it missed
            self._left_out += one.count if isinstance(one, TurnedMore) else 1

    async def _read(self) -> None:
        while True:
            try:
                for row in await self._reader.read():
                    await self._rows.put(row)
            except KitestringError as failure:
                self._lines.warning("the feed cannot be read: %s", failure.message)
                await self._clock.sleep(AGAIN_S)

    async def next(self, wait_s: float | None = None) -> HappeningRow | None:
        """The next one; None where nothing happens for ``wait_s`` seconds, which loses nothing."""
        if self._left_out and self._in_hand is None and self._rows.empty():
            left_out, self._left_out = self._left_out, 0
            return self._whole({"event": "refused_more", "count": left_out, "by_strangers": False})
        if self._in_hand is None:
            try:
                async with asyncio.timeout(wait_s):
                    self._in_hand = await self._rows.get()
            except TimeoutError:
                return None
        row = self._in_hand
        told = await self._in_full(row)
        self._in_hand = None  # whoever was cancelled before gets it once more
        if isinstance(row, FeedEvent | Missed):
            self._told = row.number
        return self._whole(told)

    def is_behind(self, number: int) -> bool:
        """Whether there is something to tell, up to the event of that number."""
        return self._reader.position < number or self._in_hand is not None or not self._rows.empty()

    async def _in_full(self, row: FeedEvent | Missed | Unkept) -> HappeningRow:
        """The row, however often the ledger cannot be read."""
        while True:
            try:
                return await in_names(self._store, await self._shown(row))
            except KitestringError as failure:
                self._lines.warning("the ledger cannot be read: %s", failure.message)
                await self._clock.sleep(AGAIN_S)

    def _whole(self, told: HappeningRow) -> HappeningRow:
        return {**_EMPTY, "happened_at": self._clock.now(), **told, "position": self.position}

    # ------------------------------------------------------------ in full

    async def _shown(self, row: FeedEvent | Missed | Unkept) -> HappeningRow:
        match row:
            case FeedEvent():
                return await self._event(row)
            case Missed():
                return {"event": "missed", "count": row.count}
            case TurnedMore():
                return {
                    "event": "refused_more", "happened_at": row.at, "count": row.count,
                    "by_strangers": row.by_strangers,
                }  # fmt: skip
            case Did():
                return {"event": "command", "happened_at": row.at, "detail": row.what}
            case Turned():
                return {
                    "event": "refused", "happened_at": row.at, "wire": row.wire, "reason": row.reason.value,
                    "detail": row.message, "payment_hash": row.payment_hash or None,
                    "amount_msat": None if row.amount_msat is None else int(row.amount_msat),
                    **await self._whose(row.grant_id, row.offer_id),
                }  # fmt: skip

    async def _event(self, event: FeedEvent) -> HappeningRow:
        told: HappeningRow = {"event": NAMES[event.kind], "happened_at": event.at, "account": event.account_id or None}
        if event.kind in _OF_PAYMENTS:
            payment = await self._store.payment(event.subject)
            return {**told, **({} if payment is None else await self._payment(event, payment))}
        if event.kind in _OF_INVOICES:
            invoice = await self._store.invoice(event.subject)
            if invoice is not None:
                return {**told, **await self._invoice(event, invoice)}
            if event.kind is EventKind.RECEIVED:
                return {**told, **_foreign(event)}
        if event.kind in _OF_QUESTIONS:
            return {**told, **await self._question(event)}
        whose = await self._whose(event.grant_id)
        return {**told, **whose, "detail": event.detail or None}

    async def _payment(self, event: FeedEvent, payment: Payment) -> HappeningRow:
        is_paid = event.kind is EventKind.SETTLED
        reason = Reason.PAYMENT_FAILED if event.kind is EventKind.FAILED else None
        return {
            "type": "outgoing", "state": payment.state.value, "payment_hash": payment.payment_hash,
            "amount_msat": int(payment.amount_msat), "fee_msat": int(payment.fee_msat if is_paid else ZERO),
            "service_fee_msat": int(payment.service_fee_msat if is_paid else ZERO),
            "created_at": payment.created_at, "settled_at": payment.settled_at,
            "description": payment.description or None,
            "preimage": payment.preimage or None, "reason": None if reason is None else reason.value,
            "detail": None if is_paid else payment.evidence or (TABLE[reason].sentence if reason else None),
            **await self._whose(payment.grant_id),
        }  # fmt: skip

    async def _invoice(self, event: FeedEvent, invoice: OwnInvoice) -> HappeningRow:
        amount = invoice.received_msat if event.kind is EventKind.RECEIVED else None
        amount = invoice.amount_msat if amount is None else amount
        is_more = event.detail if event.kind is EventKind.RECEIVED else ""
        is_taken_back = event.kind is EventKind.CANCELED and not invoice.is_hold
        return {
            **({"event": "surplus_received"} if is_more else {}),
            **({"event": "invoice_canceled"} if is_taken_back else {}),
            "type": "incoming", "state": invoice.state.value, "payment_hash": invoice.payment_hash,
            "amount_msat": None if amount is None or is_more else int(amount), "fee_msat": 0, "service_fee_msat": 0,
            "created_at": invoice.created_at, "settled_at": invoice.settled_at,
            "description": invoice.description or None,
            "preimage": invoice.preimage if event.kind is EventKind.RECEIVED else None,
            "payer_data": loads_object(invoice.payer_data) if invoice.payer_data else None,
            "detail": "the invoice was paid once more" if is_more else None,
            **await self._whose(invoice.grant_id, invoice.offer_id),
        }  # fmt: skip

    async def _question(self, event: FeedEvent) -> HappeningRow:
        asked = await self._store.approval(event.subject)
        if asked is None:
            return {"approval_id": event.subject, "detail": event.detail}
        pointer = await self._store.grant(asked.target)
        words = what_is_asked(asked, asked.target if pointer is None else pointer.name)
        detail = words if event.kind is EventKind.ASKED else f"{event.detail}: {words}"
        return {"approval_id": event.subject, "detail": detail}

    async def _whose(self, grant_id: str, offer_id: str = "") -> HappeningRow:
        """The names of the connection and the offer; of the owner's own there are none."""
        grant = await self._store.grant(grant_id) if grant_id else None
        grant = None if grant is None or grant.wire == OWNER_WIRE else grant
        offer = await self._store.offer(offer_id) if offer_id else None
        return {
            **_of_grant(grant), "offer": None if offer is None else offer.label, "offer_id": offer_id or None,
        }  # fmt: skip


_OF_PAYMENTS: Final = frozenset({EventKind.SETTLED, EventKind.FAILED, EventKind.RESOLVED})
_OF_INVOICES: Final = frozenset({EventKind.RECEIVED, EventKind.ACCEPTED, EventKind.CANCELED})
_OF_QUESTIONS: Final = frozenset({EventKind.ASKED, EventKind.DECIDED})


def _of_grant(grant: Grant | None) -> HappeningRow:
    if grant is None:
        return {}
    return {"connection": grant.name, "connection_id": grant.grant_id, "wire": grant.wire}


def _foreign(event: FeedEvent) -> HappeningRow:
    """Money that came for none of our invoices."""
    return {
        "event": "surplus_received", "type": "incoming", "state": "settled", "payment_hash": event.subject,
        "settled_at": event.at,
        "detail": "the node was paid for an invoice that is not of this service",
    }  # fmt: skip


class LogLines:
    """Writes the activity into the log: what becomes true from when it was made, once it has begun."""

    def __init__(self, reader: ActivityReader, store: Reads) -> None:
        self._reader, self._store = reader.__enter__(), store
        self._writing: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Write, for as long as the service runs."""
        self._writing = asyncio.get_running_loop().create_task(self._write())

    async def finish(self) -> None:
        """Write what has become true so far, and end."""
        try:
            if self._writing is not None:
                self._writing.cancel()
                await asyncio.gather(self._writing, return_exceptions=True)
                await self._write_rest(await self._store.last_event())
        finally:
            self._reader.__exit__(None, None, None)

    async def _write(self) -> None:
        while True:
            if (told := await self._reader.next()) is not None:
                _line(told)

    async def _write_rest(self, last: int) -> None:
        while self._reader.is_behind(last) and (told := await self._reader.next(LAST_LINES_S)) is not None:
            _line(told)


def _line(told: HappeningRow) -> None:
    if told["event"] not in _LOGGED:
        fields = {name: told[name] for name in _FIELDS if told[name] is not None}
        log.info("%s", sentence(told), extra={"fields": fields})
