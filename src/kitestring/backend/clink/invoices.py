"""Invoices of a CLINK wallet: its offer makes them, and a receipt on the same request says that one was paid.

A receipt is an event that relays do not keep, and there is no list to look it up in. But services say their stored
answer and receipt again to a request that they know. So the signed request of each open invoice is kept, and sent again
at a start, when a relay is back, and now and then; that makes nothing which anybody is shown: of an answer that brings
another invoice, nobody hears.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from kitestring.backend.clink.book import InvoiceRow, WalletBook
from kitestring.backend.clink.line import ServiceLine
from kitestring.backend.nostr.connection import WalletAnswerError
from kitestring.base.errors import CodecError, KitestringError
from kitestring.base.money import MSAT_PER_SAT
from kitestring.base.node import (
    InvoiceOrder,
    InvoiceStatus,
    NodeInvoice,
    NodeInvoiceState,
    NodeUnreachableError,
    Settlement,
)
from kitestring.base.ports import Clock
from kitestring.codec import bolt11
from kitestring.codec.pointers import Noffer
from kitestring.nostr.event import Event, decode_event, encode_event
from kitestring.transport.changes import Changes
from kitestring.wire.ask import offers as wire

log = logging.getLogger("kitestring.backend")

#: An invoice is followed so long after its expiry, in seconds, and for an hour of this process after it was asked for
#: once more; one that nobody has called paid by then is over. The second is what counts: our own clock may be wrong by
#: a day, and so long we may have been away.
OVER_S: Final = 86_400
ASKED_S: Final = 3_600.0
#: The invoice by which the network is learnt, in sats, where the offer does not name its bounds.
PROBE_SATS: Final = 1_000
_PROBE_EXPIRY_S: Final = 60
#: Settlements read at once.
_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class ReceiptPace:
    """Seconds. ``answer_s``: for an invoice. ``again_s``: between two times that all open requests are sent again;
    ``each_s``: between two of them, so that the service counts no flood."""

    answer_s: float = 30.0
    again_s: float = 1_800.0
    each_s: float = 0.2


DEFAULT_PACE: Final = ReceiptPace()


class WalletInvoices:
    """The invoices of one wallet. Raises NodeUnreachableError where nothing was sent,
    TimeoutError and WalletAnswerError."""

    def __init__(self, noffer: Noffer, line: ServiceLine, book: WalletBook, clock: Clock, pace: ReceiptPace) -> None:
        self._noffer: Final = noffer
        self._line: Final = line
        self._book: Final = book
        self._clock: Final = clock
        self._pace: Final = pace
        self._changes: Final = Changes(clock)
        self._repeating: asyncio.Task[None] | None = None
        self._asked_late: Final[dict[str, float]] = {}  # when those that are late were first asked for again

    def resume(self) -> None:
        """Hear of the invoices that are open, and ask for what was missed."""
        for row in self._book.open_invoices():
            self._follow(row.payment_hash, decode_event(row.event).id)
        self._repeating = asyncio.create_task(self._repeat())

    async def close(self) -> None:
        """Send nothing again."""
        task, self._repeating = self._repeating, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # ------------------------------------------------------------ making

    async def network(self) -> str:
        """The network of an invoice that nobody is shown. Raises as :meth:`make` does."""
        answer, _ = await self._ask(PROBE_SATS, "", _PROBE_EXPIRY_S)
        if isinstance(answer, wire.OfferError):
            low, high = answer.range_sats or (None, None)
            answer, _ = await self._ask(low or high or PROBE_SATS, "", _PROBE_EXPIRY_S)
        if isinstance(answer, wire.OfferError):
            raise _refused(answer)
        return _read(answer.bolt11).network

    async def make(self, order: InvoiceOrder, network: str) -> NodeInvoice:
        """An invoice over exactly this amount; its description and its life are the wallet's to decide."""
        if order.amount_msat is None or order.description_hash or order.amount_msat % MSAT_PER_SAT:
            raise WalletAnswerError("an offer makes invoices over whole sats, with a description of its own")
        amount_sats = order.amount_msat.sats_up()
        answer, request = await self._ask(amount_sats, order.description, order.expiry_s)
        if isinstance(answer, wire.OfferError):
            raise _refused(answer)
        try:
            made = wire.check_invoice(
                answer.bolt11, amount_sats=amount_sats, network=network or _read(answer.bolt11).network,
                now=self._clock.now(), min_left_s=0,
            )  # fmt: skip
        except KitestringError as wrong:
            raise WalletAnswerError(f"the wallet's offer: {wrong.message}") from wrong
        if made.amount_msat != order.amount_msat:
            raise WalletAnswerError("the wallet has made an invoice that leaves the amount to its payer")
        row = InvoiceRow(made.payment_hash, made.text, order.amount_msat, made.expires_at, encode_event(request))
        if not self._book.add_invoice(row, self._clock.now()):
            raise WalletAnswerError("the wallet has sent an invoice that it has sent before, or too many are open")
        self._follow(made.payment_hash, request.id)
        return NodeInvoice(made.text, made.payment_hash, made.expires_at)

    async def _ask(
        self, amount_sats: int, description: str, expiry_s: int
    ) -> tuple[wire.OfferInvoice | wire.OfferError, Event]:
        await self._line.reached()
        request = self._line.request(
            wire.encode_request(
                self._noffer.offer, amount_sats=amount_sats, description=description, expires_in_s=expiry_s
            )
        )
        heard: list[wire.OfferInvoice | wire.OfferError] = []
        changes = Changes(self._clock)

        def hear(text: str) -> None:
            reply = wire.decode_reply(text)
            if not isinstance(reply, wire.OfferReceipt):
                heard.append(reply)
                changes.notify()

        self._line.follow(request.id, hear)
        self._line.send(request)
        try:
            if not await changes.until(lambda: bool(heard), self._pace.answer_s):
                raise TimeoutError("the service of the wallet's offer does not answer: is it online?")
        finally:
            self._line.forget(request.id)
        return heard[0], request

    # ------------------------------------------------------------ receipts

    def _follow(self, payment_hash: str, request_id: str) -> None:
        self._line.follow(request_id, lambda text: self._hear(payment_hash, request_id, text))

    def _hear(self, payment_hash: str, request_id: str, text: str) -> None:
        reply = wire.decode_reply(text)
        if not isinstance(reply, wire.OfferReceipt):
            return
        proof = wire.judge_receipt(reply, payment_hash)
        if proof == "false":
            log.error("the wallet calls invoice %s paid, with a preimage of another one: not booked", payment_hash[:16])
            self._book.doubt(payment_hash)
            return
        self._book.settle(payment_hash, reply.preimage, self._clock.now())
        self._forget(payment_hash, request_id)
        self._changes.notify()

    def _forget(self, payment_hash: str, request_id: str) -> None:
        self._line.forget(request_id)
        self._asked_late.pop(payment_hash, None)

    async def _repeat(self) -> None:
        """Forever: send the requests of open invoices again, to relays that are back, and now and then to all."""
        known: set[str] = set()
        while True:
            await self._line.until_back(known, self._pace.again_s)
            known.update(self._line.connected())
            try:
                await self._ask_again()
            except sqlite3.Error as full:
                log.warning("the book of the CLINK wallet cannot be used now: %s", full)

    async def _ask_again(self) -> None:
        for row in self._book.reopen(self._clock.now() - OVER_S):  # our clock was ahead when they were given up
            self._follow(row.payment_hash, decode_event(row.event).id)
        for row in self._book.open_invoices():
            if self._is_over(row):
                self._book.give_up(row.payment_hash)
                self._forget(row.payment_hash, decode_event(row.event).id)
                continue
            self._send_again(row)
            await self._clock.sleep(self._pace.each_s)

    def _send_again(self, row: InvoiceRow) -> None:
        try:
            self._line.send(row.event)
        except NodeUnreachableError:
            return  # it is being closed
        if self._is_late(row) and self._line.connected():
            self._asked_late.setdefault(row.payment_hash, self._clock.monotonic())

    def _is_late(self, row: InvoiceRow) -> bool:
        return row.expires_at + OVER_S < self._clock.now()

    def _is_over(self, row: InvoiceRow) -> bool:
        asked_s = self._asked_late.get(row.payment_hash)
        return self._is_late(row) and asked_s is not None and self._clock.monotonic() - asked_s >= ASKED_S

    # ------------------------------------------------------------ what has become of them

    def status(self, payment_hash: str) -> InvoiceStatus:
        """The state of an invoice. Raises WalletAnswerError for one that is not known here: no wallet can be asked for
        it."""
        row = self._book.invoice(payment_hash)
        if row is None:
            raise WalletAnswerError("a CLINK wallet cannot be asked for an invoice that was not made here")
        if row.place:
            return InvoiceStatus(
                NodeInvoiceState.SETTLED, row.bolt11, row.amount_msat, row.settled_at, row.preimage, row.expires_at
            )
        state = NodeInvoiceState.CANCELED if row.is_over else NodeInvoiceState.OPEN
        return InvoiceStatus(state, row.bolt11, expires_at=row.expires_at)

    async def settlements(self, cursor: bytes) -> AsyncGenerator[Settlement, None]:
        """Tell those after ``cursor`` (a place and its payment hash), forever. One that this book does not have is of
        another one: then all are told."""
        place = self._place(cursor)
        while True:
            found = self._book.settled_after(place, _PAGE)
            for row in found:
                place = row.place
                yield Settlement(
                    row.payment_hash, row.amount_msat, row.settled_at, row.preimage,
                    f"{row.place} {row.payment_hash}".encode(),
                )  # fmt: skip
            if not found:
                await self._changes.until(lambda: bool(self._book.settled_after(place, 1)), self._pace.again_s)  # noqa: B023 - is awaited here

    def _place(self, cursor: bytes) -> int:
        place, _, payment_hash = cursor.decode().partition(" ")
        row = self._book.invoice(payment_hash)
        return row.place if row is not None and str(row.place) == place else 0


def _read(text: str) -> bolt11.DecodedInvoice:
    try:
        return bolt11.decode(text, recover=False)
    except CodecError as error:
        raise WalletAnswerError(f"the wallet's offer sent an invoice that cannot be read: {error}") from error


def _refused(answer: wire.OfferError) -> WalletAnswerError:
    known = f"code {answer.code}" if answer.code is not None else "no code"
    return WalletAnswerError(f"the wallet's offer refused ({known}): {answer.text or 'no reason given'}")
